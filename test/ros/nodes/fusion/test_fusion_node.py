# SPDX-License-Identifier: Apache-2.0
"""FusionNode over DDS: one object each, and what a bad camera costs the others."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseArray, TransformStamped
from std_msgs.msg import Header
from support.onnx_models import ultralytics_metadata, write_model
from support.ros.node_graph import empty_container
from support.ros.probe import LATCHED, RELIABLE
from support.waiting import LIMIT_S
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3D, Detection3DArray

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp
from isaac_inference.ros.messages.poses import detection_3d, pose_from_message
from isaac_inference.ros.nodes.fusion.parameters import FusionParameters
from isaac_inference.sim.placement import look_at

STEP_NS = 100_000_000
T0_NS = 1_700_000_000 * 10**9
SIZE = (0.16, 0.06, 0.24)
COVARIANCE = np.diag([4e-6] * 3 + [4e-4] * 3)
PLACE = Pose(so3_exp((0.0, 0.0, 0.4)), np.array([0.1, 0.05, 0.12]))
EYES = {'front': (0.0, -0.9, 0.6), 'left': (-0.8, 0.5, 0.6), 'right': (0.8, 0.5, 0.6)}
_numbers = itertools.count(1)


class Bench:
    """One fusion node, three cameras that are on /tf, and what hears it. `offset` is a wrong calibration, m."""

    def __init__(self, graph: Any, **parameters: Any) -> None:
        number = next(_numbers)
        self.probe, self.name, space = graph.probe, f'fusion_{number}', f'table_{number}'
        self.world = f'world_{number}'
        self.frames = {name: f'{name}_{number}' for name in EYES}
        self.placed = {name: look_at(np.array(eye), np.array([0.0, 0.0, 0.1])) for name, eye in EYES.items()}
        self._transforms = self.probe.node.create_publisher(TFMessage, '/tf_static', LATCHED)
        self.heard_tf: list[TFMessage] = self.probe.listen('/tf', TFMessage)
        given = {
            'streams': [f'{space}/{name}' for name in EYES],
            'target_frame': self.world,
            'tf_prefix': f'fused_{number}',
            'wait_s': 3.0,
            **parameters,
        }
        self.node = graph.load('FusionNode', self.name, **given)
        self.space = space
        topic = given.get('poses', 'pose/detections_3d')
        self._writers = {
            name: self.probe.node.create_publisher(Detection3DArray, f'{space}/{name}/{topic}', RELIABLE)
            for name in EYES
        }
        self.fused = self.probe.listen('fused/detections_3d', Detection3DArray)
        self.poses = self.probe.listen('fused/poses', PoseArray)
        self.probe.wait_active(self.name)
        self.probe.wait_matched()

    def know(self, *names: str) -> None:
        """Say on /tf_static where these cameras are, until the node knows."""
        for name in names:
            pose, message = self.placed[name], TransformStamped()
            message.header.frame_id, message.child_frame_id = self.world, self.frames[name]
            shift, turn = message.transform.translation, message.transform.rotation
            shift.x, shift.y, shift.z = pose.translation.tolist()
            turn.x, turn.y, turn.z, turn.w = pose.quaternion_numbers()
            self._transforms.publish(TFMessage(transforms=[message]))
            self.probe.wait_until(lambda name=name: self._is_known(name), f'{name} is known')

    def send(self, frame: float, **seen: Sequence[Detection3D] | None) -> None:
        """Each camera's objects, all of one stamp."""
        for name, items in seen.items():
            message = Detection3DArray(header=header(frame, self.frames[name]), detections=list(items or ()))
            self.probe.send(message, self._writers[name])

    def ask(self, frame: float, **seen: Sequence[Detection3D] | None) -> Detection3DArray:
        """Send; the answer of that stamp."""
        self.send(frame, **seen)
        return self.answer(frame)

    def answer(self, frame: float) -> Detection3DArray:
        stamp = header(frame, '').stamp

        def mine() -> list[Detection3DArray]:
            return [one for one in self.fused if one.header.stamp == stamp and one.header.frame_id == self.world]

        self.probe.wait_until(lambda: bool(mine()), 'an answer')
        return mine()[-1]

    def sees(
        self, name: str, pose: Pose = PLACE, label: str = 'box', covariance: np.ndarray = COVARIANCE
    ) -> Detection3D:
        """An object at a pose in the world, as a camera has it."""
        there = self.placed[name].inverse()
        return detection_3d(Header(), label, 0.9, there @ pose, SIZE, identity='7', covariance=covariance)

    def all_see(self, **more: Any) -> dict[str, list[Detection3D]]:
        return {name: [self.sees(name, **more)] for name in EYES}

    def value(self, key: str) -> str:
        return str(self.probe.value(self.name, key))

    def wait_value(self, key: str, value: object) -> None:
        self.probe.wait_until(lambda: self.value(key) == str(value), f'{key} is {value}, not {self.value(key)}')

    def wait_message(self, words: str) -> None:
        self.probe.wait_until(lambda: words in self.probe.status(self.name).message, words)

    def _is_known(self, name: str) -> bool:
        try:
            self.node._transforms.lookup(self.world, self.frames[name], T0_NS)
        except Exception:
            return False
        return True


def header(frame: float, frame_id: str) -> Header:
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = divmod(T0_NS + round(frame * STEP_NS), 10**9)
    return made


@pytest.fixture(scope='module')
def around(ros: None) -> Iterator[Any]:
    with empty_container() as graph:
        yield graph


@pytest.fixture
def make_bench(around: Any) -> Callable[..., Bench]:
    made: list[Bench] = []

    def make(*known: str, **parameters: Any) -> Bench:
        bench = Bench(around, **parameters)
        made.append(bench)
        bench.know(*(known or EYES))
        return bench

    yield make
    for bench in made:
        bench.node.trigger_deactivate()


def test_what_three_cameras_see_is_one_object_in_the_target_frame(make_bench):
    bench = make_bench(extrinsic_sigma_m=0.0, extrinsic_sigma_rad=0.0)
    for frame in range(3):
        answer = bench.ask(frame, **bench.all_see())
        (item,) = answer.detections
        assert (item.id, item.results[0].hypothesis.class_id) == ('1', 'box')
        pose = pose_from_message(item.results[0].pose.pose)
        np.testing.assert_allclose(pose.matrix(), PLACE.matrix(), atol=1e-9)
        np.testing.assert_allclose(
            np.array(item.results[0].pose.covariance).reshape(6, 6), COVARIANCE / 3, rtol=1e-6, atol=1e-12
        )
        assert (item.bbox.size.x, item.bbox.size.y, item.bbox.size.z) == SIZE
    bench.probe.wait_until(lambda: any(one.header == answer.header for one in bench.poses), 'the PoseArray')
    assert [one for one in bench.poses if one.header == answer.header][0].poses == [item.results[0].pose.pose]
    bench.wait_value(f'{bench.space}/left.fused', 3)


def test_fused_objects_are_on_tf_below_the_target_frame(make_bench):
    bench = make_bench()
    writer = bench.node._broadcaster._dynamic_writer
    bench.probe.wait_until(lambda: writer.get_subscription_count() > 0, 'the probe hears /tf')
    bench.ask(0, **bench.all_see())
    child = f'{bench.node.parameters.tf_prefix}/box_1'

    def link() -> TransformStamped | None:
        return next(
            (one for many in list(bench.heard_tf) for one in many.transforms if one.child_frame_id == child), None
        )

    bench.probe.wait_until(lambda: link() is not None, 'the object on /tf')
    assert link().header.frame_id == bench.world


def test_a_camera_that_says_nothing_costs_the_others_nothing_but_a_wait(make_bench):
    bench = make_bench(wait_s=0.05, input_timeout_s=0.3)
    for frame in range(4):
        answer = bench.ask(frame, front=[bench.sees('front')], right=[bench.sees('right')])
        assert [item.id for item in answer.detections] == ['1']
    assert bench.node._rounds.counts[f'{bench.space}/left'].missed >= 3
    said, frames, end = f'{bench.space}/left: no poses for', itertools.count(4), time.monotonic() + LIMIT_S
    while said not in bench.probe.status(bench.name).message and time.monotonic() < end:
        bench.ask(next(frames), front=[bench.sees('front')], right=[bench.sees('right')])
    assert said in bench.probe.status(bench.name).message
    assert 'the others are fused without it' in bench.probe.status(bench.name).message


def test_a_camera_without_a_transform_costs_the_others_nothing(make_bench):
    bench = make_bench('front', 'right', transform_wait_s=0.05)
    for frame in range(3):
        answer = bench.ask(frame, **bench.all_see())
        assert [item.id for item in answer.detections] == ['1']
    bench.wait_value('dropped.tf_unknown_frame', 3)
    bench.know('left')
    bench.ask(3, **bench.all_see())
    bench.wait_value(f'{bench.space}/left.fused', 1)


def test_a_flip_in_one_camera_is_outvoted_and_counted(make_bench):
    bench = make_bench()
    flipped = Pose(PLACE.rotation @ so3_exp((0.0, 0.0, np.pi)), PLACE.translation)
    answer = bench.ask(0, **{**bench.all_see(), 'left': [bench.sees('left', flipped)]})
    (item,) = answer.detections
    assert rotation_angle(pose_from_message(item.results[0].pose.pose).rotation.T @ PLACE.rotation) < 1e-6
    bench.wait_value('skipped.outlier', 1)


def test_one_camera_against_another_gives_nothing_and_says_so(make_bench):
    bench = make_bench()
    flipped = Pose(PLACE.rotation @ so3_exp((0.0, 0.0, np.pi)), PLACE.translation)
    answer = bench.ask(0, front=[bench.sees('front')], left=[bench.sees('left', flipped)], right=[])
    assert answer.detections == []
    bench.wait_value('skipped.contradiction', 1)


@pytest.mark.parametrize('value', [math.nan, math.inf, -1.0])
def test_a_covariance_that_is_none_is_left_out_and_named(make_bench, value):
    bench, bad = make_bench(), COVARIANCE.copy()
    bad[1, 1] = value
    answer = bench.ask(0, **{**bench.all_see(), 'left': [bench.sees('left', covariance=bad)]})
    assert len(answer.detections) == 1
    bench.wait_value('skipped.bad_covariance', 1)
    bench.wait_value(f'{bench.space}/left.fused', 0)


def test_a_pose_without_covariance_counts_with_the_noise_of_the_parameters(make_bench):
    bench = make_bench(position_noise=0.002, rotation_noise=0.02, extrinsic_sigma_m=0.0, extrinsic_sigma_rad=0.0)
    answer = bench.ask(0, **bench.all_see(covariance=np.zeros((6, 6))))
    found = np.array(answer.detections[0].results[0].pose.covariance).reshape(6, 6)
    np.testing.assert_allclose(found, COVARIANCE / 3, rtol=1e-6, atol=1e-12)


def test_a_wrong_calibration_is_named_with_its_size_and_not_fused(make_bench):
    """What /tf says of the left camera is 5 cm off."""
    bench = make_bench('front', 'right')
    right = bench.placed['left']
    bench.placed['left'] = Pose(right.rotation, right.translation + (0.03, 0.0, 0.04))
    bench.know('left')
    bench.placed['left'] = right  # where it is
    others = [Pose(np.eye(3), np.array([x, y, 0.12])) for x, y in ((-0.25, 0.1), (0.3, -0.2))]
    for frame in range(12):
        seen = {name: [bench.sees(name, pose) for pose in (PLACE, *others)] for name in EYES}
        answer = bench.ask(frame, **seen)
        if frame < 6:  # it takes some objects to say whose fault it is
            continue
        assert len(answer.detections) == 3
        for item in answer.detections:
            place = pose_from_message(item.results[0].pose.pose).translation
            assert min(np.linalg.norm(place - pose.translation) for pose in (PLACE, *others)) < 1e-6
    bench.wait_message('see the same objects 50 mm apart')
    message = bench.probe.status(bench.name).message
    assert f'{bench.space}/left is left out, as the others agree: check the calibration' in message
    bench.wait_value(f'disagreement_mm.{bench.space}/front.{bench.space}/left', '50.000')


def test_a_frame_id_that_changes_is_one_warning_and_goes_on(make_bench):
    bench = make_bench()
    bench.ask(0, **bench.all_see())
    bench.frames['left'] = f'moved_{bench.frames["left"]}'
    bench.placed['left'] = look_at(np.array((-0.7, 0.6, 0.7)), np.array([0.0, 0.0, 0.1]))
    bench.know('left')
    answer = bench.ask(1, **bench.all_see())
    assert [item.id for item in answer.detections] == ['1']
    bench.ask(2, **bench.all_see())
    bench.wait_value('noted.frame_id_changed', 1)
    bench.wait_value(f'{bench.space}/left.fused', 3)


def test_cameras_of_one_frame_id_are_not_fused(make_bench):
    """Drivers' defaults: /tf then has the place of one of them, and the other one's poses would be given out there."""
    bench = make_bench(transform_wait_s=0.05)
    bench.frames['left'] = bench.frames['right']  # but it stands elsewhere
    for frame in range(3):
        (item,) = bench.ask(frame, **bench.all_see()).detections
        place = pose_from_message(item.results[0].pose.pose).translation
        np.testing.assert_allclose(place, PLACE.translation, atol=1e-6)
    bench.wait_value('dropped.shared_frame_id', 6)
    bench.wait_message(f"all send poses in frame '{bench.frames['right']}', and /tf has one place for it")
    bench.wait_value(f'{bench.space}/front.fused', 3)
    bench.frames['left'] = 'left_of_its_own'
    bench.know('left')
    bench.ask(3, **bench.all_see())
    bench.wait_value(f'{bench.space}/left.fused', 1)
    bench.probe.wait_until(lambda: 'all send' not in bench.probe.status(bench.name).message, 'it is over')


def test_several_models_on_one_camera_have_its_frame_id(make_bench):
    bench = make_bench(correlated=True)
    bench.frames['left'], bench.placed['left'] = bench.frames['right'], bench.placed['right']
    (item,) = bench.ask(0, **bench.all_see()).detections
    bench.wait_value(f'{bench.space}/left.fused', 1)


def test_a_stream_that_nobody_publishes_is_named_with_those_that_there_are(make_bench, around):
    bench = make_bench()
    wrong = f'{bench.space}/lft'
    streams = [f'{bench.space}/front', wrong]
    name, world = f'{bench.name}_wrong', bench.world
    around.load('FusionNode', name, streams=streams, target_frame=world, input_timeout_s=0.3, wait_s=0.05)
    bench.probe.wait_active(name)
    frames, end = itertools.count(), time.monotonic() + LIMIT_S
    while f'{wrong}: no poses for' not in bench.probe.status(name).message and time.monotonic() < end:
        bench.send(next(frames), front=[])
        time.sleep(0.05)
    said = bench.probe.status(name).message
    assert f'/{wrong}/pose/detections_3d (vision_msgs/msg/Detection3DArray); streams that there are: ' in said
    assert f'/{bench.space}/left,' in said


def test_poses_without_a_stamp_or_frame_are_dropped_and_named(make_bench):
    bench = make_bench(wait_s=0.05)
    bench.probe.send(Detection3DArray(detections=[bench.sees('left')]), bench._writers['left'])
    bench.wait_value('dropped.zero_stamp', 1)
    message = Detection3DArray(header=header(1, ''), detections=[bench.sees('left')])
    bench.probe.send(message, bench._writers['left'])
    bench.wait_value('dropped.no_frame_id', 1)
    assert len(bench.ask(2, **bench.all_see()).detections) == 1


def test_poses_that_are_in_the_target_frame_already_are_taken_as_they_are(make_bench):
    bench = make_bench()
    bench.frames['left'], bench.placed['left'] = bench.world, Pose.identity()
    answer = bench.ask(0, **bench.all_see())
    assert len(answer.detections) == 1
    np.testing.assert_allclose(
        pose_from_message(answer.detections[0].results[0].pose.pose).matrix(), PLACE.matrix(), atol=1e-9
    )
    bench.probe.wait_until(lambda: 'already' in bench.value(f'{bench.space}/left.assumed'), 'what is assumed')


def test_the_card_says_which_classes_and_symmetries_there_are(make_bench, tmp_path):
    (tmp_path / 'tiny.yaml').write_text('objects: {can: {symmetry: [{axis: z, order: 0}]}}')
    metadata = ultralytics_metadata(['can', 'box', 'cup'], imgsz=(64, 64))
    model = write_model(tmp_path / 'tiny.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata)
    bench = make_bench(model=str(model))
    turned = {
        name: Pose(PLACE.rotation @ so3_exp((0.0, 0.0, angle)), PLACE.translation)
        for name, angle in zip(EYES, (0.0, 2.0, 4.0), strict=True)
    }
    answer = bench.ask(0, **{name: [bench.sees(name, turned[name], 'can')] for name in EYES})
    assert [item.id for item in answer.detections] == ['1']
    answer = bench.ask(1, **bench.all_see(label='cow'))
    assert answer.detections == []
    bench.wait_value('skipped.unknown_class', 3)


def test_time_that_starts_over_starts_it_over(make_bench):
    bench = make_bench()
    bench.ask(1000, **bench.all_see())
    assert len(bench.ask(0, **bench.all_see()).detections) == 1


@pytest.mark.parametrize(
    'given, told',
    [
        ({}, 'parameter streams: got none'),
        ({'streams': ('a', 'b', '/a')}, 'parameter streams: a comes twice'),
        ({'streams': ('front camera',)}, "parameter streams: got 'front camera', expected names"),
        ({'streams': ('a', 'b'), 'target_frame': '/'}, 'parameter target_frame: got none'),
    ],
)
def test_what_cannot_be_fused_is_refused(given, told):
    with pytest.raises(ConfigError, match=told):
        FusionParameters(**{'target_frame': 'world', **given}).check()


def test_a_node_without_streams_says_so_and_can_be_set_up_later(around):
    node = around.load('FusionNode', 'unset', target_frame='world')
    around.probe.wait_until(lambda: 'configure failed' in around.probe.status('unset').message)
    assert 'parameter streams: got none, expected the names' in around.probe.status('unset').message
    assert node.state == 'unconfigured'
