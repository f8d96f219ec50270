# SPDX-License-Identifier: Apache-2.0
"""Joints as a cloud and back, markers, and the points of REP 155."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from isaac_inference.errors import FrameError
from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ros.messages.people.hri_bodies import body_points
from isaac_inference.ros.messages.people.joints import JointRows, joint_cloud, read_joints
from isaac_inference.ros.messages.people.skeleton_markers import BONES, JOINTS, SkeletonMarkers

HEADER = Header(frame_id='eye')
AT = {name: index for index, name in enumerate(COCO_17.names)}


def some_rows(count: int = 2) -> JointRows:
    rng = np.random.default_rng(1)
    positions = rng.normal(size=(count, 17, 3))
    roots = rng.normal(size=(count, 17, 3, 3))
    covariances = roots @ roots.transpose(0, 1, 3, 2)
    if count:
        positions[0, 3], covariances[0, 3] = np.nan, np.nan
    return JointRows(positions, covariances, rng.uniform(0.3, 1.0, (count, 17)), list(range(7, 7 + count)))


@pytest.mark.parametrize('count', [0, 1, 2])
def test_what_is_written_is_read(count: int) -> None:
    rows = some_rows(count)
    again = read_joints(joint_cloud(HEADER, rows))
    np.testing.assert_allclose(again.positions, rows.positions, rtol=1e-6)
    np.testing.assert_allclose(again.covariances, rows.covariances, rtol=1e-5, atol=1e-6)
    there = np.isfinite(rows.positions[..., 2])
    np.testing.assert_allclose(again.confidences, np.where(there, rows.confidences, 0.0), rtol=1e-6)
    assert list(again.people) == list(rows.people)


def test_the_fields_are_those_that_are_documented_and_x_y_z_come_first() -> None:
    cloud = joint_cloud(HEADER, some_rows())
    assert [field.name for field in cloud.fields[:4]] == ['x', 'y', 'z', 'confidence']
    assert {field.name: field.datatype for field in cloud.fields}['person'] == PointField.UINT32
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (2, 17, 48, 48 * 17)
    assert [field.offset for field in cloud.fields] == list(range(0, 48, 4))
    assert not cloud.is_bigendian
    assert not cloud.is_dense
    assert joint_cloud(HEADER, some_rows(0)).is_dense


@pytest.mark.parametrize('what', ['other fields', 'too few bytes'])
def test_another_cloud_is_told(what: str) -> None:
    cloud = joint_cloud(HEADER, some_rows())
    if what == 'other fields':
        cloud = PointCloud2(header=HEADER)
    else:
        cloud.height = 3
    with pytest.raises(FrameError) as caught:
        read_joints(cloud)
    assert caught.value.reason == 'bad_joints'


def test_markers_have_bones_of_both_ends_only() -> None:
    markers = SkeletonMarkers(COCO_17)
    positions = np.full((17, 3), np.nan)
    positions[[AT['left_hip'], AT['left_knee'], AT['right_ankle']]] = ((0, 0, 3), (0, 0.4, 3), (0.2, 0.8, 3))
    bones, joints = markers.array(HEADER, {5: positions}).markers
    assert (bones.ns, bones.id, bones.type, len(bones.points)) == (BONES, 5, Marker.LINE_LIST, 2)
    assert (joints.ns, joints.type, len(joints.points)) == (JOINTS, Marker.SPHERE_LIST, 3)
    assert bones.colors[0] != joints.colors[-1], 'left is not right'
    assert bones.pose.orientation.w == 1.0, 'RViz takes no quaternion of zeros'


def test_a_list_without_points_is_taken_away() -> None:
    """RViz warns of an empty list, and shows the one before."""
    markers = SkeletonMarkers(COCO_17)
    positions = np.full((17, 3), np.nan)
    positions[AT['nose']] = (0, 0, 3)
    assert [one.action for one in markers.array(HEADER, {5: positions}).markers] == [Marker.DELETE, Marker.ADD]


def test_who_left_is_deleted_once() -> None:
    markers = SkeletonMarkers(COCO_17)
    markers.array(HEADER, {1: np.zeros((17, 3)), 2: np.zeros((17, 3))})
    assert [(one.id, one.action) for one in markers.array(HEADER, {}).markers] == [
        (1, Marker.DELETE), (1, Marker.DELETE), (2, Marker.DELETE), (2, Marker.DELETE),
    ]  # fmt: skip
    assert not markers.is_showing
    assert markers.array(HEADER, {}).markers == []


def test_points_of_rep_155_are_parts_of_the_image_and_unsure_ones_are_nought() -> None:
    row = np.zeros((17, 3))
    row[AT['nose']] = (320, 120, 0.9)
    row[AT['left_eye']] = (330, 110, 0.2)
    row[AT['left_ear']] = (700, 110, 0.9)
    row[AT['right_ear']] = (np.nan, 110, 0.9)
    row[AT['left_wrist']] = (64, 48, 1.2)
    points = body_points(row, COCO_17.names, (640, 480), 0.3)
    assert points.shape == (18, 3)
    np.testing.assert_allclose(points[0], (0.5, 0.25, 0.9))
    np.testing.assert_allclose(points[7], (0.1, 0.1, 1.0))
    np.testing.assert_array_equal(points[[14, 16, 17, 1]], 0.0)


def test_a_neck_is_as_sure_as_the_less_sure_shoulder() -> None:
    row = np.zeros((17, 3))
    row[AT['left_shoulder']], row[AT['right_shoulder']] = (400, 100, 0.9), (200, 140, 0.2)
    assert not body_points(row, COCO_17.names, (640, 480), 0.3)[1].any()
    row[AT['right_shoulder'], 2] = 0.5
    np.testing.assert_allclose(body_points(row, COCO_17.names, (640, 480), 0.3)[1], (300 / 640, 0.25, 0.5))


def test_rows_are_not_changed() -> None:
    rows = some_rows()
    before = dataclasses.asdict(rows)
    joint_cloud(HEADER, rows)
    for name, value in dataclasses.asdict(rows).items():
        np.testing.assert_array_equal(value, before[name])
