# SPDX-License-Identifier: Apache-2.0
"""SimCameraNode with several cameras: one scene at the same moments, or at each camera's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Empty
from support.ros.node_graph import empty_container
from support.ros.probe import RELIABLE
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.poses import pose_from_message
from isaac_inference.ros.nodes.sim_camera.parameters import SceneKind, SimCameraParameters

CAMERAS = ['front', 'left', 'right']
OF_CAMERA = {
    'image': Image,
    'camera_info': CameraInfo,
    'depth/image': Image,
    'truth/detections': Detection2DArray,
    'truth/detections_3d': Detection3DArray,
}
PERIOD_NS = 50_000_000
_numbers = itertools.count(1)


class Cameras:
    """Several simulated cameras, stepped, and all that they say."""

    def __init__(self, graph: Any, **parameters: Any) -> None:
        number = next(_numbers)
        self.probe, space, self.world = graph.probe, f'table_{number}', f'table_{number}'
        given = {
            'cameras': CAMERAS,
            'image_size': [160, 120],
            'step': True,
            'rate_hz': 20.0,
            'seed': 3,
            'frame_id': f'optical_{number}',
            'world_frame': self.world,
            'base_frame': f'base_{number}',
            **parameters,
        }
        topics = {f'{camera}/{topic}': kind for camera in CAMERAS for topic, kind in OF_CAMERA.items()}
        topics['truth/detections_3d'] = Detection3DArray
        self.links: list[TFMessage] = graph.probe.listen('/tf', TFMessage)
        self.heard = {topic: graph.probe.listen(f'{space}/{topic}', kind) for topic, kind in topics.items()}
        self._steps = graph.probe.node.create_publisher(Empty, f'{space}/step', RELIABLE)
        self.node = graph.container.load(
            'isaac_inference',
            'SimCameraNode',
            node_name='sim_camera',
            namespace=f'{graph.namespace}/{space}',
            parameters=[Parameter(name, value=value) for name, value in given.items()],
        ).spin.node
        graph.probe.wait_active(f'{space}/sim_camera')
        graph.probe.wait_matched()
        tf = self.node._transforms._dynamic_writer
        graph.probe.wait_until(lambda: tf.get_subscription_count() > 0, 'the probe hears /tf')

    def step(self, *, cameras: list[str] = CAMERAS) -> None:
        """One frame, until all of these cameras' has come."""
        last = {topic: len(messages) for topic, messages in self.heard.items() if topic.split('/')[0] in cameras}
        self.probe.send(Empty(), self._steps)
        self.probe.wait_until(lambda: all(len(self.heard[topic]) > count for topic, count in last.items()), 'a frame')

    def pose(self, frame: str, stamp: Any) -> Pose:
        """T_world_frame, as of /tf."""

        def found() -> Pose | None:
            for item in (item for message in list(self.links) for item in message.transforms):
                if (item.header.frame_id, item.child_frame_id, item.header.stamp) == (self.world, frame, stamp):
                    shift, turn = item.transform.translation, item.transform.rotation
                    return Pose.from_quaternion((turn.x, turn.y, turn.z, turn.w), (shift.x, shift.y, shift.z))
            return None

        self.probe.wait_until(lambda: found() is not None, f'{frame} on /tf')
        pose = found()
        assert pose is not None
        return pose

    def stamps(self, camera: str) -> list[int]:
        stamps = [message.header.stamp for message in self.heard[f'{camera}/image']]
        return [stamp.sec * 1_000_000_000 + stamp.nanosec for stamp in stamps]


@pytest.fixture(scope='module')
def around(ros: None) -> Iterator[Any]:
    with empty_container() as graph:
        yield graph


@pytest.fixture
def make_cameras(around: Any) -> Callable[..., Cameras]:
    return lambda **parameters: Cameras(around, **parameters)


def centres(message: Detection3DArray, move: Pose) -> dict[str, np.ndarray]:
    return {
        item.id: move.apply(pose_from_message(item.results[0].pose.pose).translation[None])[0]
        for item in message.detections
    }


def test_every_camera_sees_one_scene_at_one_moment_in_its_own_frame(make_cameras):
    table = make_cameras()
    for _ in range(2):
        table.step()
    table.probe.wait_until(lambda: len(table.heard['truth/detections_3d']) == 2, 'the common truth')
    assert table.stamps('front') == table.stamps('left') == table.stamps('right')
    assert np.diff(table.stamps('front')).tolist() == [PERIOD_NS]
    common = table.heard['truth/detections_3d'][-1]
    assert common.header.frame_id == table.world
    expected = centres(common, Pose.identity())
    seen: set[str] = set()
    frames = set()
    for camera in CAMERAS:
        message = table.heard[f'{camera}/truth/detections_3d'][-1]
        assert message.header.stamp == common.header.stamp
        frames.add(message.header.frame_id)
        found = centres(message, table.pose(message.header.frame_id, message.header.stamp))
        assert len(found) >= 4
        for number, place in found.items():
            np.testing.assert_allclose(place, expected[number], atol=1e-9)
        seen |= found.keys()
    assert seen == expected.keys()
    assert frames == {f'{camera}_{table.node.parameters.frame_id}' for camera in CAMERAS}
    pixels = [np.frombuffer(bytes(table.heard[f'{camera}/image'][-1].data), np.uint8) for camera in CAMERAS]
    assert (pixels[0] != pixels[1]).mean() > 0.5 and (pixels[1] != pixels[2]).mean() > 0.5


def test_cameras_without_a_trigger_each_have_their_own_moment(make_cameras):
    table = make_cameras(camera_phases=[0.5, 0.0, 0.25])
    table.step()
    (front,), (left,), (right,) = (table.stamps(camera) for camera in CAMERAS)
    assert (right - left, front - left) == (PERIOD_NS // 4, PERIOD_NS // 2)
    table.probe.wait_until(lambda: len(table.heard['truth/detections_3d']) == 3, 'a common truth at each moment')
    truths = {message.header.stamp.nanosec: message for message in table.heard['truth/detections_3d']}
    for camera in CAMERAS:
        message = table.heard[f'{camera}/truth/detections_3d'][-1]
        expected = centres(truths[message.header.stamp.nanosec], Pose.identity())
        found = centres(message, table.pose(message.header.frame_id, message.header.stamp))
        for number, place in found.items():
            np.testing.assert_allclose(place, expected[number], atol=1e-9)


def test_a_wrong_calibration_moves_the_camera_on_tf_and_no_truth(make_cameras):
    right, wrong = make_cameras(), make_cameras(calibration_error_m=0.05)
    for table in (right, wrong):
        table.step()
    for camera in CAMERAS:
        messages = [table.heard[f'{camera}/truth/detections_3d'][-1] for table in (right, wrong)]
        assert [item.results for item in messages[0].detections] == [item.results for item in messages[1].detections]
        poses = [
            table.pose(message.header.frame_id, message.header.stamp)
            for table, message in zip((right, wrong), messages, strict=True)
        ]
        assert np.linalg.norm(poses[0].translation - poses[1].translation) > 0.005


def test_a_camera_that_is_unplugged_costs_the_others_nothing(make_cameras):
    table = make_cameras()
    table.step()
    assert table.node.set_parameters([Parameter('cameras_off', value=['left'])])[0].successful
    table.step(cameras=['front', 'right'])
    assert [len(table.stamps(camera)) for camera in CAMERAS] == [2, 1, 2]
    refused = table.node.set_parameters([Parameter('cameras_off', value=['rear'])])[0]
    assert not refused.successful
    assert "no camera 'rear'; there are front, left, right" in refused.reason
    assert table.node.set_parameters([Parameter('cameras_off', value=[''])])[0].successful is False
    assert table.node.set_parameters([Parameter('cameras_off', value=['front'])])[0].successful
    table.step(cameras=['left', 'right'])


def test_answers_of_the_first_camera_pace_them_all(make_cameras):
    """Whatever the others' stamps are: only the first one's images are waited for."""
    table = make_cameras(step=False, rate_hz=100.0, max_ahead=1, camera_phases=[0.0, 0.3, 0.6], frames=12)
    answers = table.probe.node.create_publisher(Detection2DArray, f'{table.world}/front/detections', RELIABLE)
    table.probe.wait_until(lambda: answers.get_subscription_count() > 0, 'answers are heard')
    answered = 0
    while answered < 12:
        table.probe.wait_until(lambda done=answered: len(table.heard['front/image']) > done, 'another image')
        answers.publish(Detection2DArray(header=table.heard['front/image'][answered].header))
        answered += 1
    table.probe.wait_until(lambda: not table.node._thread.is_alive(), 'the end')
    assert table.node._pace._is_answered, 'it has never lost its patience'


@pytest.mark.parametrize(
    'given, told',
    [
        ({'cameras': ('a', 'b', 'a')}, 'cameras: a comes twice'),
        ({'cameras': ('front camera', '')}, "got 'front camera', '', expected names of letters"),
        ({'cameras': tuple(f'c{number}' for number in range(17))}, 'got 17, expected at most 16'),
        ({'cameras': ('a', 'b'), 'camera_phases': (0.0,)}, 'camera_phases: got 1, expected one for each of 2'),
        ({'cameras': ('a', 'b'), 'scene': SceneKind.PEOPLE}, 'people are seen by one camera only'),
    ],
)
def test_cameras_that_do_not_go_together_are_refused(given, told):
    with pytest.raises(ConfigError, match=told):
        SimCameraParameters(**given).check_cameras()
