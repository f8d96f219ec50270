# SPDX-License-Identifier: Apache-2.0
"""PoseNode with a target_frame: poses at the image's stamp, whatever the transforms do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.ros.pose_bench import PoseBench, assert_near, covariance_of
from support.ros.pose_views import Card, View, view_of
from support.waiting import wait_until

from isaac_inference.ops.geometry.rigid import Pose, so3_exp, transform_covariance
from isaac_inference.ros.runtime.transforms.broadcaster import FramePose, TransformBroadcaster

S = 1_000_000_000
_numbers = itertools.count(1)


@pytest.fixture(scope='module')
def pose_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Card().write(tmp_path_factory.mktemp('pose'))


@pytest.fixture(scope='module')
def around(make_graph: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    with make_graph() as graph:
        yield graph


@pytest.fixture(scope='module')
def view() -> View:
    return view_of()


class Robot:
    """A bench whose camera moves in `base`: T_base_camera is `at(t)`, t in s since the bench's first stamp."""

    def __init__(self, graph: Any, model: Path, wait_s: float) -> None:
        self.base = f'base_{next(_numbers)}'
        self.bench = PoseBench(graph, model=str(model), target_frame=self.base, transform_wait_s=wait_s)
        self.broadcaster = TransformBroadcaster(self.bench.probe.node)
        self.start_ns = self.bench.last_ns
        wait_until(lambda: graph.probe.node.count_subscribers('/tf') >= 2)

    def at(self, t: float) -> Pose:
        turn, shift = np.array((0.3, -0.5, 0.8)), np.array((0.4, -0.2, 0.1))
        return Pose(so3_exp(turn * t), np.array((0.5, 0.1, 0.9)) + shift * t)

    def tell(self, *times: float) -> None:
        """Send T_base_camera of these times."""
        for t in times:
            pose, stamp_ns = self.at(t), self.start_ns + round(t * S)
            link = FramePose(self.base, self.bench.frame, stamp_ns, pose.translation, pose.quaternion())
            self.broadcaster.send([link])

    def header(self, t: float) -> Any:
        self.bench.last_ns = self.start_ns + round(t * S)
        return self.bench.header(self.bench.last_ns)

    def ask(self, view: View, t: float) -> Any:
        """The objects of a frame of time t; the transforms around it are told first."""
        arrays: list[Any] = []

        def answered() -> bool:
            self.tell(t - 0.05, t + 0.05)  # again: the first ones may be missed
            header = self.bench.send(view, header=self.header(t))
            try:
                arrays.append(self.bench.answer(header, 1.0))
            except AssertionError:
                return False
            return True

        wait_until(answered, 8.0)
        return arrays[-1]

    def assert_right(self, array: Any, view: View, t: float) -> None:
        assert array.header.frame_id == self.base
        for found, item in zip(array.detections, view.items, strict=True):
            assert_near(found, self.at(t) @ item.pose, m=2e-4, deg=0.02)


@pytest.fixture
def robot(around: Any, pose_model: Path) -> Iterator[Robot]:
    robot = Robot(around, pose_model, 0.5)
    yield robot
    robot.bench.close()


@pytest.fixture
def hasty(around: Any, pose_model: Path) -> Iterator[Robot]:
    """A node that waits for a transform as good as not at all."""
    robot = Robot(around, pose_model, 0.02)
    yield robot
    robot.bench.close()


def assert_dropped(robot: Robot, view: View, reason: str, t: float) -> None:
    """A frame of time t gives nothing, and is counted under this reason."""
    before = robot.bench.count('dropped', reason)
    header = robot.bench.send(view, header=robot.header(t))
    wait_until(lambda: robot.bench.count('dropped', reason) > before)
    assert not robot.bench.has_answered(header)


def test_poses_are_in_the_target_frame_at_the_image_s_stamp(robot: Robot, view: View) -> None:
    for t in (0.5, 1.0, 1.5):
        array = robot.ask(view, t)
        robot.assert_right(array, view, t)
    wait_until(lambda: robot.bench.poses[-1].header == array.header)


def test_the_covariance_turns_with_the_pose(around: Any, robot: Robot, pose_model: Path, view: View) -> None:
    plain = PoseBench(around, model=str(pose_model)).ask(view)
    turned = robot.ask(view, 1.0)
    for before, after in zip(plain.detections, turned.detections, strict=True):
        expected = transform_covariance(covariance_of(before), robot.at(1.0))
        np.testing.assert_allclose(covariance_of(after), expected, rtol=1e-3, atol=1e-12)


def test_a_late_transform_is_waited_for(robot: Robot, view: View) -> None:
    robot.ask(view, 0.5)
    header = robot.bench.send(view, header=robot.header(1.0))
    wait_until(lambda: len(robot.bench.node._transforms._arrived._waiters) == 1)
    assert not robot.bench.has_answered(header)
    robot.tell(0.95, 1.05)
    robot.assert_right(robot.bench.answer(header), view, 1.0)


def test_a_transform_that_never_comes_drops_the_frame(hasty: Robot, view: View) -> None:
    assert_dropped(hasty, view, 'tf_unknown_frame', 0.3)
    hasty.assert_right(hasty.ask(view, 0.5), view, 0.5)
    assert_dropped(hasty, view, 'tf_future', 2.0)
    assert_dropped(hasty, view, 'tf_past', -5.0)
    hasty.assert_right(hasty.ask(view, 2.5), view, 2.5)


def test_an_empty_frame_needs_no_transform(hasty: Robot, view: View) -> None:
    hasty.ask(view, 0.5)
    array = hasty.bench.answer(hasty.bench.send(view, header=hasty.header(9.0), items=()))
    assert not array.detections


def test_frames_in_a_circle_drop_the_frame(hasty: Robot, view: View) -> None:
    hasty.ask(view, 0.5)
    stamp_ns, elsewhere = hasty.start_ns + S // 2, f'elsewhere_{hasty.base}'

    def hang(parent: str) -> None:
        hasty.broadcaster.send([FramePose(parent, hasty.base, stamp_ns, (0, 0, 0), (0, 0, 0, 1))])

    hang(hasty.bench.frame)
    assert_dropped(hasty, view, 'tf_loop', 0.52)
    hang(elsewhere)
    hasty.assert_right(hasty.ask(view, 1.0), view, 1.0)


def test_a_broken_transform_drops_the_frame(hasty: Robot, view: View) -> None:
    hasty.ask(view, 0.5)
    zero = FramePose(hasty.base, hasty.bench.frame, hasty.start_ns + S, (0, 0, 0), (0, 0, 0, 1))
    good = hasty.broadcaster._dynamic_writer.publish

    def zeroed(message: Any) -> None:
        message.transforms[0].transform.rotation.w = 0.0
        good(message)

    hasty.broadcaster._dynamic_writer = type('Writer', (), {'publish': staticmethod(zeroed)})()
    hasty.broadcaster.send([zero])
    assert_dropped(hasty, view, 'tf_invalid', 1.0)
    hasty.broadcaster._dynamic_writer = type('Writer', (), {'publish': staticmethod(good)})()
    hasty.assert_right(hasty.ask(view, 1.5), view, 1.5)


def test_time_that_goes_back_is_followed(robot: Robot, view: View) -> None:
    robot.ask(view, 60.0)
    robot.assert_right(robot.ask(view, 1.0), view, 1.0)


def test_what_is_on_tf_hangs_below_the_target_frame(robot: Robot, view: View) -> None:
    array = robot.ask(view, 1.0)

    def sent() -> dict[str, Any]:
        links = [item for message in list(robot.bench.transforms) for item in message.transforms]
        return {item.child_frame_id: item for item in links if item.header == array.header}

    wait_until(lambda: len(sent()) == len(view.items))
    assert set(sent()) == {f'{item.label}_{item.identity}' for item in view.items}
