# SPDX-License-Identifier: Apache-2.0
"""Detections as vision_msgs."""

from __future__ import annotations

import numpy as np
from std_msgs.msg import Header

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ros.messages.detections import detection_array

LABELS = ('cup', 'can', 'box')


def header():
    made = Header(frame_id='lens')
    made.stamp.sec, made.stamp.nanosec = 5, 6
    return made


def test_boxes_become_centres_and_sizes_classes_become_names():
    found = Detections(
        np.array([[10, 20, 30, 60], [0, 0, 5, 5.5]], np.float32),
        np.array([0.75, 0.5], np.float32),
        np.array([2, 0], np.int32),
    )
    message = detection_array(header(), found, LABELS)
    assert len(message.detections) == 2
    first, second = message.detections
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (20.0, 40.0)
    assert (first.bbox.size_x, first.bbox.size_y, first.bbox.center.theta) == (20.0, 40.0, 0.0)
    assert (second.bbox.center.position.x, second.bbox.center.position.y) == (2.5, 2.75)
    assert [
        [(item.hypothesis.class_id, item.hypothesis.score) for item in detection.results]
        for detection in message.detections
    ] == [[('box', 0.75)], [('cup', 0.5)]]


def test_a_rotated_box_is_its_sides_before_the_turn_and_the_angle():
    found = Detections(
        np.array([[10, 20, 30, 60]], np.float32),
        np.ones(1, np.float32),
        np.zeros(1, np.int32),
        angles=np.array([0.5], np.float32),
    )
    (detection,) = detection_array(header(), found, LABELS).detections
    assert (detection.bbox.center.position.x, detection.bbox.center.position.y) == (20.0, 40.0)
    assert (detection.bbox.size_x, detection.bbox.size_y, detection.bbox.center.theta) == (20.0, 40.0, 0.5)


def test_the_image_s_header_is_on_the_array_and_on_every_detection():
    found = Detections(np.zeros((2, 4), np.float32), np.ones(2, np.float32), np.zeros(2, np.int32))
    message = detection_array(header(), found, LABELS)
    assert message.header == header()
    assert [item.header for item in message.detections] == [header(), header()]


def test_nothing_is_tracked_yet_so_ids_are_empty():
    found = Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int32))
    assert detection_array(header(), found, LABELS).detections[0].id == ''


def test_no_detections_are_an_empty_array_with_the_header():
    message = detection_array(header(), Detections.empty(), LABELS)
    assert message.header == header()
    assert list(message.detections) == []
