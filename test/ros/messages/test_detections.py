# SPDX-License-Identifier: Apache-2.0
"""The reading of Detection2DArray and Detection3DArray: the best hypothesis, and what is no detection."""

from __future__ import annotations

import math

import numpy as np
import pytest
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, Detection3D, Detection3DArray, ObjectHypothesisWithPose

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.detections import (
    best_result,
    box_corners,
    check_keypoints,
    checked_result,
    read_detection,
    read_detections,
    with_id,
)
from isaac_inference.ros.messages.poses import (
    detection_3d,
    frame_prefix,
    object_frames,
    pose_array,
    read_object,
)

NAN, INF = math.nan, math.inf
ASCENDING = [('cup', 0.2), ('box', 0.5), ('can', 0.8)]


def result(name: str, score: float, x: float = 0.0) -> ObjectHypothesisWithPose:
    made = ObjectHypothesisWithPose()
    made.hypothesis.class_id, made.hypothesis.score, made.pose.pose.position.x = name, score, x
    return made


def flat(results=(('can', 0.8),), center=(100.0, 50.0), size=(20.0, 10.0), identity='') -> Detection2D:
    item = Detection2D(id=identity, results=[result(*one) for one in results])
    item.bbox.center.position.x, item.bbox.center.position.y = center
    item.bbox.size_x, item.bbox.size_y = size
    return item


def solid(results=(('can', 0.8),), size=(0.1, 0.2, 0.3), identity='7') -> Detection3D:
    item = detection_3d(Header(), '', 0.0, Pose.identity(), size, identity=identity)
    item.results = [result(*one) for one in results]
    return item


def label(item) -> str:
    return best_result(item).hypothesis.class_id


def refused(read, *args) -> str:
    with pytest.raises(FrameError) as caught:
        read(*args)
    return caught.value.reason


@pytest.mark.parametrize('make', [flat, solid])
@pytest.mark.parametrize(
    ('results', 'best'),
    [
        (ASCENDING, 'can'),
        (ASCENDING[::-1], 'can'),
        ([('cup', 0.5), ('can', 0.5)], 'cup'),
        ([('cup', NAN), ('can', 0.1)], 'can'),
        ([('can', 0.1), ('cup', NAN)], 'can'),
        ([('cup', 0.0), ('can', 0.1)], 'can'),
        ([('can', 1.0)], 'can'),
    ],
)
def test_the_highest_score_counts_wherever_it_stands(make, results, best):
    item = make(results)
    assert label(item) == best
    read = read_detection if make is flat else read_object
    assert (read(item).label, read(item).score) == (best, dict(results)[best])


@pytest.mark.parametrize(('make', 'read'), [(flat, read_detection), (solid, read_object)])
@pytest.mark.parametrize(
    ('results', 'reason'),
    [
        ([], 'no_class'),
        ([('', 0.8)], 'no_class'),
        ([('can', 0.3), ('', 0.8)], 'no_class'),
        ([('can', NAN)], 'bad_score'),
        ([('can', NAN), ('cup', NAN)], 'bad_score'),
        ([('can', -0.1)], 'bad_score'),
        ([('can', 1.1)], 'bad_score'),
        ([('can', 0.5), ('cup', INF)], 'bad_score'),
        ([('can', -INF)], 'bad_score'),
    ],
)
def test_what_names_no_class_or_has_no_score_is_no_detection(make, read, results, reason):
    assert refused(read, make(results)) == reason


def test_only_the_model_s_classes_count_where_those_are_known():
    assert refused(checked_result, flat(), {'cup', 'box'}) == 'unknown_class'
    assert refused(read_detection, flat(), 0, {'cup', 'box'}) == 'unknown_class'
    assert refused(read_object, solid(), {'cup', 'box'}) == 'unknown_class'
    assert read_detection(flat(), 0, {'can'}).label == read_object(solid(), {'can'}).label == 'can'


@pytest.mark.parametrize(
    ('center', 'size'),
    [
        ((NAN, 50.0), (20.0, 10.0)),
        ((100.0, INF), (20.0, 10.0)),
        ((100.0, 50.0), (NAN, 10.0)),
        ((100.0, 50.0), (20.0, INF)),
        ((100.0, 50.0), (0.0, 10.0)),
        ((100.0, 50.0), (20.0, 0.0)),
        ((100.0, 50.0), (-20.0, 10.0)),
        ((100.0, 50.0), (-20.0, -10.0)),
        ((1.7e308, 50.0), (1e308, 10.0)),
        ((100.0, 50.0), (5e-324, 10.0)),
    ],
)
def test_a_box_that_is_not_finite_or_has_no_area_is_none(center, size):
    assert refused(box_corners, flat(center=center, size=size)) == 'bad_box'
    assert refused(read_detection, flat(center=center, size=size)) == 'bad_box'


def turned(theta, size=(20.0, 10.0)):
    item = flat(size=size)
    item.bbox.center.theta = theta
    return item


@pytest.mark.parametrize(
    ('theta', 'half_x', 'half_y'),
    [
        (0.0, 10, 5),
        (math.pi / 2, 5, 10),
        (-math.pi, 10, 5),
        (math.pi / 4, 15 / 2**0.5, 15 / 2**0.5),
        (0.5, 10 * math.cos(0.5) + 5 * math.sin(0.5), 10 * math.sin(0.5) + 5 * math.cos(0.5)),
    ],
)
def test_a_rotated_box_is_read_as_the_upright_one_around_it(theta, half_x, half_y):
    seen = read_detection(turned(theta))
    assert seen.box == pytest.approx((100 - half_x, 50 - half_y, 100 + half_x, 50 + half_y))
    assert seen.theta == theta


@pytest.mark.parametrize('item', [turned(NAN), turned(INF), turned(0.5, (0.0, 10.0)), turned(0.5, (20.0, -10.0))])
def test_a_rotated_box_without_an_angle_or_area_is_none(item):
    assert refused(read_detection, item) == 'bad_box'


@pytest.mark.parametrize('size', [(NAN, 0.1, 0.1), (0.1, INF, 0.1), (0.1, 0.1, -0.1)])
def test_an_object_s_size_is_finite_and_not_negative(size):
    assert refused(read_object, solid(size=size)) == 'bad_box'
    assert read_object(solid(size=(0.0, 0.0, 0.0))).size == (0.0, 0.0, 0.0)


def test_corners_are_half_a_side_from_the_centre():
    assert box_corners(flat()) == (90.0, 45.0, 110.0, 55.0)


def test_unusable_detections_are_left_out_with_their_reason_and_the_others_keep_their_place():
    items = [flat(size=(0.0, 0.0)), flat(identity='3'), flat([]), flat([('can', NAN)]), flat(ASCENDING, identity='4')]
    told = []
    seen = read_detections(items, lambda reason, text: told.append((reason, text)))
    assert [(one.index, one.identity, one.label) for one in seen] == [(1, '3', 'can'), (4, '4', 'can')]
    assert [one.item for one in seen] == [items[1], items[4]]
    assert [reason for reason, _ in told] == ['bad_box', 'no_class', 'bad_score']
    assert [text.split(':')[0] for _, text in told] == ['detection 0', 'detection 2', 'detection 3']


def test_without_anybody_to_tell_the_first_unusable_detection_is_an_error():
    assert refused(read_detections, [flat(), flat([])], None) == 'no_class'
    assert len(read_detections([flat(), flat()], None)) == 2


@pytest.mark.parametrize('shape', [(0, 8, 3), (1, 8, 3), (3, 8, 3), (2, 24), (2,)])
def test_keypoints_are_one_row_for_each_detection(shape):
    message = Detection2DArray(detections=[flat(), flat([])])
    assert refused(check_keypoints, message, np.zeros(shape, np.float32)) == 'keypoint_count'
    check_keypoints(message, np.zeros((2, 8, 3), np.float32))


def test_an_id_is_added_to_a_copy():
    item = flat(ASCENDING)
    tracked = with_id(item, '5')
    assert (tracked.id, item.id) == ('5', '')
    assert tracked.results is item.results and tracked.bbox is item.bbox and tracked.header is item.header


def test_poses_and_frames_are_those_of_the_best_hypothesis():
    header = Header(frame_id='lens')
    item = solid([('cup', 0.2, 1.0), ('can', 0.8, 2.0)])
    array = pose_array(Detection3DArray(header=header, detections=[item]))
    assert [pose.position.x for pose in array.poses] == [2.0]
    [frame] = object_frames(header, [item, solid(identity='')])
    assert (frame.child, frame.parent, frame.translation[0]) == ('can_7', 'lens', 2.0)
    [frame] = object_frames(header, [item], 'front/')
    assert frame.child == 'front/can_7'
    assert refused(pose_array, Detection3DArray(detections=[Detection3D()])) == 'no_class'


@pytest.mark.parametrize(
    ('given', 'namespace', 'prefix'),
    [
        ('auto', '/', ''),
        ('auto', '/front', 'front/'),
        ('auto', '/robot1/front', 'robot1/front/'),
        ('', '/front', ''),
        ('left', '/front', 'left/'),
        ('/left/', '/front', 'left/'),
    ],
)
def test_objects_of_two_cameras_have_frames_of_their_own(given, namespace, prefix):
    assert frame_prefix(given, namespace) == prefix
