# SPDX-License-Identifier: Apache-2.0
"""SimCameraNode in a room with people: its truth in the messages that a graph publishes of people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseArray
from isaac_ros_tensor_list_interfaces.msg import TensorList
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Empty
from support.ros.node_graph import empty_container
from support.ros.probe import RELIABLE
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.ros.messages.camera_info import camera_model
from isaac_inference.ros.messages.detections import read_keypoints
from isaac_inference.ros.messages.people.joints import read_joints
from isaac_inference.ros.messages.tensors import from_tensor_list
from isaac_inference.ros.nodes.sim_camera.node import SCENE_GAP_S

KINDS = {
    'image': Image,
    'camera_info': CameraInfo,
    'depth/image': Image,
    'truth/detections': Detection2DArray,
    'truth/detections_3d': Detection3DArray,
    'truth/poses': PoseArray,
    'truth/keypoints': TensorList,
    'truth/keypoints_3d': PointCloud2,
}


@pytest.fixture(scope='module')
def heard(ros: None) -> Iterator[dict[str, list[Any]]]:
    """Three frames of two scenes with two people each."""
    with empty_container() as graph:
        values = {'image_size': [160, 120], 'step': True, 'scene': 'people', 'people': 2, 'scene_frames': 2, 'seed': 2}
        got = {topic: graph.probe.listen(topic, kind) for topic, kind in KINDS.items()}
        steps = graph.probe.node.create_publisher(Empty, 'step', RELIABLE)
        graph.container.load(
            'isaac_inference',
            'SimCameraNode',
            node_name='sim_camera',
            namespace=graph.namespace,
            parameters=[Parameter(name, value=value) for name, value in values.items()],
        )
        graph.probe.wait_active('sim_camera')
        for count in range(1, 4):
            graph.probe.send(Empty(), steps)
            graph.probe.wait_until(
                lambda count=count: all(len(messages) == count for messages in got.values()), 'all of a frame'
            )
        yield got


def test_all_of_a_frame_has_one_header(heard: dict[str, list[Any]]) -> None:
    for messages in zip(*heard.values(), strict=True):
        assert all(message.header == messages[0].header for message in messages)


def test_keypoints_and_joints_are_rows_of_the_detections_and_agree(heard: dict[str, list[Any]]) -> None:
    for index, message in enumerate(heard['truth/detections']):
        rows = read_keypoints(message, from_tensor_list(heard['truth/keypoints'][index]))
        joints = read_joints(heard['truth/keypoints_3d'][index])
        assert len(rows) == len(joints.positions) == len(message.detections) > 0
        assert [str(number) for number in joints.people] == [item.id for item in message.detections]
        assert {item.results[0].hypothesis.class_id for item in message.detections} == {'person'}
        camera = camera_model(heard['camera_info'][index])
        for row, positions, visible in zip(rows, joints.positions, joints.confidences, strict=True):
            np.testing.assert_allclose(camera.project(positions) + 0.5, row[:, :2], atol=1e-3)
            np.testing.assert_array_equal(row[:, 2], visible)


def test_numbers_go_on_from_scene_to_scene(heard: dict[str, list[Any]]) -> None:
    ids = [{item.id for item in message.detections} for message in heard['truth/detections']]
    assert ids[0] <= {'1', '2'}
    assert ids[2] <= {'4', '5'}
    stamps = [message.header.stamp.sec + message.header.stamp.nanosec * 1e-9 for message in heard['image']]
    assert stamps[2] - stamps[1] > SCENE_GAP_S


def test_people_have_a_place_in_space(heard: dict[str, list[Any]]) -> None:
    message, joints = heard['truth/detections_3d'][0], read_joints(heard['truth/keypoints_3d'][0])
    for item, positions in zip(message.detections, joints.positions, strict=True):
        center = item.bbox.center.position
        assert np.linalg.norm(positions.mean(axis=0) - (center.x, center.y, center.z)) < 0.4
        assert 1.5 <= item.bbox.size.z <= 2.0
