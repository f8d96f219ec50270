# SPDX-License-Identifier: Apache-2.0
"""SimCameraNode over DDS: one stamp a frame, repeatable, and true to what it says."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseArray
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Empty
from support.ros.probe import RELIABLE
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.camera_info import camera_model
from isaac_inference.ros.messages.depth import depth_array
from isaac_inference.ros.messages.image import from_image_message
from isaac_inference.ros.messages.poses import pose_from_message
from isaac_inference.ros.nodes.sim_camera.node import SCENE_GAP_S
from isaac_inference.ros.nodes.sim_camera.pace import PATIENCE_S
from isaac_inference.sim import KINDS, default_camera

KIND_OF = {
    'image': Image,
    'camera_info': CameraInfo,
    'depth/image': Image,
    'depth/camera_info': CameraInfo,
    'truth/detections': Detection2DArray,
    'truth/detections_3d': Detection3DArray,
    'truth/poses': PoseArray,
}
SMALL = [160, 120]
_numbers = itertools.count(1)
_STATIC = QoSProfile(
    depth=10, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL
)


def stamp_ns(message: Any) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


class Sim:
    """A simulated camera in a namespace of its own, and all that it says; its frames' names are its own, too."""

    def __init__(self, graph: Any, **parameters: Any) -> None:
        number = next(_numbers)
        space = f'sim_{number}'
        self.graph, self.name, self.frame, self.world = graph, f'{space}/sim_camera', f'eye_{number}', f'world_{number}'
        frames = {'frame_id': self.frame, 'world_frame': self.world, 'base_frame': f'base_{number}'}
        values = {'image_size': SMALL, 'step': True, 'diagnostics_period_s': 0.1, **frames, **parameters}
        probe = graph.probe.node
        self.links: list[TFMessage] = graph.probe.listen('/tf', TFMessage)
        self.static: list[TFMessage] = graph.probe.listen('/tf_static', TFMessage, _STATIC)
        self._topics = [f'{space}/{topic}' for topic in KIND_OF]
        self.heard = {topic: graph.probe.listen(f'{space}/{topic}', kind) for topic, kind in KIND_OF.items()}
        self._steps = probe.create_publisher(Empty, f'{space}/step', RELIABLE)
        component = graph.container.load(
            'isaac_inference',
            'SimCameraNode',
            node_name='sim_camera',
            namespace=f'{graph.namespace}/{space}',
            parameters=[Parameter(name, value=value) for name, value in values.items()],
        )
        self.node, self._component = component.spin.node, component.unique_id
        graph.probe.wait_active(self.name)
        graph.probe.wait_matched()
        tf = self.node._transforms._dynamic_writer
        graph.probe.wait_until(lambda: tf.get_subscription_count() > 0, 'the probe hears /tf')

    def step(self, count: int = 1) -> None:
        """Ask for frames, and wait until all of each has come."""
        for _ in range(count):
            before = {topic: len(messages) for topic, messages in self.heard.items()}
            self.graph.probe.send(Empty(), self._steps)
            self.graph.probe.wait_until(
                lambda before=before: all(len(self.heard[topic]) > before[topic] for topic in KIND_OF), 'all of a frame'
            )

    def links_at(self, stamp: Any) -> dict[str, Pose]:
        """T_world_child of this camera's world at a stamp."""
        found = {}
        for item in (item for message in list(self.links) for item in message.transforms):
            if item.header.frame_id == self.world and item.header.stamp == stamp:
                shift, turn = item.transform.translation, item.transform.rotation
                found[item.child_frame_id] = Pose.from_quaternion(
                    (turn.x, turn.y, turn.z, turn.w), (shift.x, shift.y, shift.z)
                )
        return found

    def camera(self, topic: str = 'camera_info') -> CameraModel:
        return camera_model(self.heard[topic][-1])

    def depth(self) -> np.ndarray:
        """The last depth image, m."""
        frame = from_image_message(self.heard['depth/image'][-1])
        return DepthImage.check(depth_array(frame), frame.image.encoding).metres()

    def pixels(self) -> np.ndarray:
        return np.frombuffer(bytes(self.heard['image'][-1].data), np.uint8)

    def close(self) -> None:
        self.graph.container.unload(self._component)
        for topic in self._topics:
            self.graph.probe.ignore(topic)
        self.graph.probe.node.destroy_publisher(self._steps)


@pytest.fixture(scope='module')
def around(make_graph: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    with make_graph() as graph:
        yield graph


@pytest.fixture
def make_sim(around: Any) -> Iterator[Callable[..., Sim]]:
    made: list[Sim] = []

    def make(**parameters: Any) -> Sim:
        made.append(Sim(around, **parameters))
        return made[-1]

    yield make
    for sim in made:
        sim.close()


def test_a_step_is_one_frame_of_all_topics_with_one_stamp(make_sim: Callable[..., Sim]) -> None:
    sim = make_sim()
    sim.step(3)
    assert {topic: len(messages) for topic, messages in sim.heard.items()} == dict.fromkeys(KIND_OF, 3)
    for messages in zip(*sim.heard.values(), strict=True):
        assert len({stamp_ns(message) for message in messages}) == 1
        assert {message.header.frame_id for message in messages} == {sim.frame}
    image = sim.heard['image'][-1]
    assert (image.width, image.height, image.encoding, image.step) == (160, 120, 'bgr8', 480)
    assert sim.heard['depth/image'][-1].encoding == '32FC1'


def test_steps_are_a_period_apart_and_scenes_a_jump(make_sim: Callable[..., Sim]) -> None:
    sim = make_sim(rate_hz=20.0, scene_frames=2, objects=3)
    sim.step(5)
    gaps = np.diff([stamp_ns(message) for message in sim.heard['image']]) / 1e9
    np.testing.assert_allclose(gaps, [0.05, 0.05 + SCENE_GAP_S] * 2, atol=1e-6)
    ids = [{item.id for item in message.detections} for message in sim.heard['truth/detections']]
    assert ids[0] <= {'1', '2', '3'}
    assert ids[2] <= {'4', '5', '6'}
    assert ids[4] <= {'7', '8', '9'}


def test_a_clock_drives_it_without_steps_and_it_ends(make_sim: Callable[..., Sim]) -> None:
    sim = make_sim(step=False, rate_hz=50.0, frames=8)
    sim.graph.probe.wait_until(lambda: not sim.node._thread.is_alive(), 'the end')
    stamps = [stamp_ns(message) for message in sim.heard['image']]
    assert stamps == sorted(set(stamps))
    assert sim.node.health.snapshot().processed == 8


def test_equal_seeds_repeat_exactly_and_others_do_not(make_sim: Callable[..., Sim]) -> None:
    first, again, other = make_sim(seed=3), make_sim(seed=3), make_sim(seed=4)
    for _ in range(2):
        for sim in (first, again, other):
            sim.step()
        np.testing.assert_array_equal(first.pixels(), again.pixels())
        np.testing.assert_array_equal(first.depth(), again.depth())
        truths = [sim.heard['truth/poses'][-1].poses for sim in (first, again, other)]
        assert truths[0] == truths[1] != truths[2]
        assert (first.pixels() != other.pixels()).any()


def test_sixteen_bits_hold_millimetres_of_the_same_depth(make_sim: Callable[..., Sim]) -> None:
    metres, millimetres = make_sim(), make_sim(depth_encoding='16UC1')
    for sim in (metres, millimetres):
        sim.step()
    assert millimetres.heard['depth/image'][-1].encoding == '16UC1'
    np.testing.assert_allclose(millimetres.depth(), metres.depth(), atol=0.00051)


def test_depth_of_another_size_has_its_own_camera_info(make_sim: Callable[..., Sim]) -> None:
    whole, half = make_sim(), make_sim(depth_size=[80, 60])
    for sim in (whole, half):
        sim.step()
    assert half.depth().shape == (60, 80)
    assert (half.camera().width, half.camera('depth/camera_info').width) == (160, 80)
    expected = half.camera().resized(80, 60)
    np.testing.assert_allclose(half.camera('depth/camera_info').K, expected.K)
    near = np.nanmedian(np.abs(half.depth() - whole.depth()[::2, ::2]))
    assert near < 0.02


def test_a_distorted_lens_is_in_the_camera_info(make_sim: Callable[..., Sim]) -> None:
    sim = make_sim(distorted=True)
    sim.step()
    message, expected = sim.heard['camera_info'][-1], default_camera(*SMALL, distorted=True)
    assert message.distortion_model == 'plumb_bob'
    assert tuple(message.d) == expected.distortion
    np.testing.assert_array_equal(message.k, expected.K.ravel())
    np.testing.assert_array_equal(np.reshape(message.p, (3, 4))[:, :3], expected.K)


@pytest.mark.parametrize('distorted', [False, True])
def test_the_truth_agrees_with_itself_and_with_tf(make_sim: Callable[..., Sim], distorted: bool) -> None:
    sim = make_sim(distorted=distorted)
    sim.step(2)
    boxes, objects, poses = (sim.heard[f'truth/{name}'][-1] for name in ('detections', 'detections_3d', 'poses'))
    sim.graph.probe.wait_until(lambda: len(sim.links_at(boxes.header.stamp)) == 7)
    links, camera = sim.links_at(boxes.header.stamp), sim.camera()
    assert [item.id for item in boxes.detections] == [item.id for item in objects.detections]
    assert poses.poses == [item.bbox.center for item in objects.detections]
    assert len(boxes.detections) >= 4
    for flat, item in zip(boxes.detections, objects.detections, strict=True):
        (seen_2d,), (seen_3d,) = flat.results, item.results
        kind = KINDS[seen_2d.hypothesis.class_id]
        assert seen_3d.hypothesis == seen_2d.hypothesis
        assert seen_3d.pose.pose == item.bbox.center
        assert 0 < seen_2d.hypothesis.score <= 1
        assert (item.bbox.size.x, item.bbox.size.y, item.bbox.size.z) == kind.size
        pose = pose_from_message(item.bbox.center)
        in_world, told = links[sim.frame] @ pose, links[f'truth/{kind.name}_{item.id}']
        np.testing.assert_allclose(in_world.translation, told.translation, atol=1e-6)
        if not kind.symmetries:
            np.testing.assert_allclose(in_world.rotation, told.rotation, atol=1e-6)
        np.testing.assert_allclose(in_world.rotation[:, 2], told.rotation[:, 2], atol=1e-6)
        center, hull = flat.bbox.center.position, camera.project(pose.apply(cuboid_corners(kind.size))) + 0.5
        assert hull[:, 0].min() - 1 <= center.x <= hull[:, 0].max() + 1
        assert hull[:, 1].min() - 1 <= center.y <= hull[:, 1].max() + 1


def test_the_robot_s_base_is_fixed_in_the_world(make_sim: Callable[..., Sim]) -> None:
    sim = make_sim()

    def bases() -> set[str]:
        items = [item for message in list(sim.static) for item in message.transforms]
        return {item.child_frame_id for item in items if item.header.frame_id == sim.world}

    sim.graph.probe.wait_until(bases)
    (base,) = bases()
    assert base == sim.node.parameters.base_frame


def test_a_deactivated_camera_is_silent_and_goes_on_from_the_start(make_sim: Callable[..., Sim]) -> None:
    sim = make_sim()
    sim.step()
    first = sim.pixels()
    sim.step()
    assert (sim.pixels() != first).any()
    sim.node.trigger_deactivate()
    assert sim.node._thread is None
    sim.node.trigger_activate()
    sim.step()
    np.testing.assert_array_equal(sim.pixels(), first)


def test_it_makes_no_image_ahead_of_a_graph_that_answers(make_sim: Callable[..., Sim]) -> None:
    """One image may be unanswered; the next waits for its answer, or until nobody is there to wait for."""
    sim = make_sim(step=False, rate_hz=100.0, max_ahead=1)
    probe, images = sim.graph.probe, sim.heard['image']
    answers = probe.node.create_publisher(Detection2DArray, f'{sim.name.rpartition("/")[0]}/detections', RELIABLE)
    heard = sim.node._subscriptions_open[0]
    probe.wait_until(lambda: heard.remote and answers.get_subscription_count() > 0, 'the camera hears answers')
    before = len(images)
    probe.wait_until(lambda: len(images) > before + 3, 'images, as nobody has answered yet')
    probe.wait_matched()  # a reader that does not know its writer yet takes the one answer for history
    begin = len(images) - 1  # the pause may well follow the last image that has come
    answers.publish(Detection2DArray())  # to an image before all of these

    def longest_pause_s() -> float:
        stamps = [stamp_ns(message) for message in images[begin:]]
        return float(np.diff(stamps).max(initial=0)) / 1e9

    probe.wait_until(lambda: longest_pause_s() >= 0.9 * PATIENCE_S, 'a pause')
    before = len(images)
    probe.wait_until(lambda: len(images) > before + 3, 'images although nobody answers any more')
    probe.node.destroy_publisher(answers)
