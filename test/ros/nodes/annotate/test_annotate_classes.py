# SPDX-License-Identifier: Apache-2.0
"""AnnotateNode with classes: a mask in place of detections, or beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from support.ros.probe import LATCHED, RELIABLE, image_message
from vision_msgs.msg import Detection2DArray, LabelInfo

from isaac_inference.ops.drawing.boxes import class_color
from isaac_inference.ros.messages.class_mask import class_mask_frame, label_info
from isaac_inference.ros.messages.image import to_image_message
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

BLACK = np.zeros((240, 320, 3), np.uint8)
NAMES = ['background', 'road', 'wall']
MASK = np.zeros((240, 320), np.uint8)
MASK[:120] = 2
MASK[:, 160:] = 1
ROAD, WALL = (60, 240), (60, 60)  # row, column


class Easel:
    """An annotate node that draws classes, and everything that feeds it. For its pairing time stands still."""

    def __init__(self, graph: Any, **parameters: Any) -> None:
        self.probe = graph.probe
        self.node = graph.load('AnnotateNode', 'annotate', draw_rate=False, draw_classes=True, **parameters)
        self.probe.wait_active('annotate')
        self.node._pairing._now = lambda: 0.0
        create = self.probe.node.create_publisher
        self.masks = create(Image, 'class_mask', RELIABLE)
        self.boxes = create(Detection2DArray, 'detections', RELIABLE)
        self.labels = create(LabelInfo, 'label_info', LATCHED)
        self.labels.publish(label_info(Time(), NAMES, 0.0))
        self.pictures = self.probe.listen('annotate/debug_image', Image)
        self.probe.wait_until(lambda: self.node._pictures.wanted and self.node._names)

    def send_image(self) -> Header:
        header = self.probe.send(image_message(BLACK)).header
        self.probe.wait_until(lambda: stamp_ns(header) in list(self.node._pairing._streams['image'].stamps))
        return header

    def send_mask(self, header: Header, mask: np.ndarray = MASK) -> None:
        self.probe.send(to_image_message(class_mask_frame(mask, header)), self.masks)

    def picture(self, header: Header) -> np.ndarray:
        self.probe.wait_until(lambda: any(one.header == header for one in list(self.pictures)), 'the picture')
        picture = next(one for one in self.pictures if one.header == header)
        return np.frombuffer(bytes(picture.data), np.uint8).reshape(picture.height, picture.width, 3)


def assert_tinted(picture: np.ndarray) -> None:
    for place, name in ((ROAD, 'road'), (WALL, 'wall')):
        np.testing.assert_allclose(picture[place], 0.55 * np.array(class_color(name)), atol=1.5)
    assert not picture[180, 100].any()  # the background stays as it is


def test_a_mask_asks_for_a_picture_where_there_are_no_detections(empty_graph: Any) -> None:
    easel = Easel(empty_graph, draw_detections=False)
    header = easel.send_image()
    easel.send_mask(header)
    assert_tinted(easel.picture(header))
    assert 'detections' not in {one.topic for one in easel.node._wanted}


def test_classes_beside_detections_are_waited_for(empty_graph: Any) -> None:
    easel = Easel(empty_graph)
    header = easel.send_image()
    easel.probe.send(Detection2DArray(header=header), easel.boxes)
    easel.probe.wait_until(lambda: easel.node._pairing._pending, 'the picture waits for its classes')
    assert not easel.pictures
    easel.send_mask(header)
    assert_tinted(easel.picture(header))


def test_a_mask_of_another_size_is_not_drawn_and_counted(empty_graph: Any) -> None:
    easel = Easel(empty_graph, draw_detections=False)
    header = easel.send_image()
    easel.send_mask(header, MASK[::2])
    assert not easel.picture(header).any()
    easel.probe.wait_until(lambda: easel.probe.value('annotate', 'skipped.mask_size') == '1')


def test_a_mask_without_its_image_is_named(empty_graph: Any) -> None:
    easel = Easel(empty_graph, draw_detections=False)
    easel.send_mask(Header(stamp=Time(sec=7)))
    easel.probe.wait_until(lambda: easel.probe.value('annotate', 'dropped.image_missing') == '1')


def test_nothing_to_draw_is_refused(empty_graph: Any) -> None:
    empty_graph.load('AnnotateNode', 'annotate', draw_detections=False)
    empty_graph.probe.wait_until(lambda: 'draw_classes' in empty_graph.probe.status('annotate').message)
    assert empty_graph.probe.value('annotate', 'state') == 'unconfigured'


@pytest.mark.parametrize('draw', [True, False])
def test_masks_are_only_listened_to_where_they_are_drawn(empty_graph: Any, draw: bool) -> None:
    node = empty_graph.load('AnnotateNode', 'annotate', draw_classes=draw)
    empty_graph.probe.wait_active('annotate')
    topics = {node.resolve_topic_name(one.topic) for one in node._wanted}
    assert (f'{empty_graph.namespace}/class_mask' in topics) == draw
