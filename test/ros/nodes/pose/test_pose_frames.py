# SPDX-License-Identifier: Apache-2.0
"""PoseNode with a target_frame: poses at the image's stamp, whatever the transforms do."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.ros.pose_bench import PoseBench, assert_near, covariance_of
from support.ros.pose_views import View, view_of
from support.waiting import LIMIT_S

from isaac_inference.ops.geometry.rigid import Pose, so3_exp, transform_covariance
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.transforms import TransformError
from isaac_inference.ros.runtime.transforms.broadcaster import FramePose, TransformBroadcaster

S = 1_000_000_000
_numbers = itertools.count(1)


@pytest.fixture(scope='module')
def view() -> View:
    return view_of()


class Robot:
    """A bench whose camera moves in `base`: T_base_camera is `at(t)`, t in s since the bench's first stamp."""

    def __init__(self, graph: Any, model: Path, wait_s: float = LIMIT_S) -> None:
        self.base = f'base_{next(_numbers)}'
        self.bench = PoseBench(graph, model=str(model), target_frame=self.base)
        self.broadcaster = TransformBroadcaster(self.bench.probe.node)
        self.start_ns = self.bench.last_ns
        source, wait = self.bench.node._transforms, self.bench.node._transforms.wait
        source.wait = lambda target, frame, stamp_ns, timeout_s: wait(target, frame, stamp_ns, wait_s)
        self._writer = self.broadcaster._dynamic_writer
        self.bench.wait_until(self._is_heard, 'the node hears /tf')

    def close(self) -> None:
        """Unload the node, and wait until /tf has lost it: the next one's reader is not taken for it."""
        self.bench.close()
        self.bench.wait_until(lambda: self._writer.get_subscription_count() == 1, 'the node has left /tf')
        self.broadcaster.close()

    def _is_heard(self) -> bool:
        (reader,) = [reader for reader in self.bench.node.subscriptions if reader.topic_name == '/tf']
        talkers = len(self.bench.graph.container.nodes) + 1
        return self._writer.get_subscription_count() == 2 and reader.get_publisher_count() >= talkers

    def at(self, t: float) -> Pose:
        turn, shift = np.array((0.3, -0.5, 0.8)), np.array((0.4, -0.2, 0.1))
        return Pose(so3_exp(turn * t), np.array((0.5, 0.1, 0.9)) + shift * t)

    def tell(self, *times: float) -> None:
        """Send T_base_camera of these times, and wait until the node knows it."""
        for t in times:
            pose, stamp_ns = self.at(t), self.start_ns + round(t * S)
            self.send_link(FramePose(self.base, self.bench.frame, stamp_ns, pose.translation, pose.quaternion()))
            self.bench.wait_until(lambda t=t: self._is_known(t), f'the node knows the transform of {t} s')

    def send_link(self, link: FramePose) -> None:
        self.broadcaster.send([link])

    def _is_known(self, t: float) -> bool:
        try:
            found = self.bench.node._transforms.lookup(self.base, self.bench.frame, self.start_ns + round(t * S))
        except TransformError:
            return False
        return bool(np.allclose(found, self.at(t).matrix(), atol=1e-6))

    def header(self, t: float) -> Any:
        self.bench.last_ns = self.start_ns + round(t * S)
        return self.bench.header(self.bench.last_ns)

    def ask(self, view: View, t: float) -> Any:
        """The objects of a frame of time t; the transforms around it are told first."""
        self.tell(t - 0.05, t + 0.05)
        return self.bench.answer(self.bench.send(view, header=self.header(t)))

    def assert_right(self, array: Any, view: View, t: float) -> None:
        assert array.header.frame_id == self.base
        for found, item in zip(array.detections, view.items, strict=True):
            assert_near(found, self.at(t) @ item.pose, m=2e-4, deg=0.02)


@pytest.fixture
def robot(around: Any, pose_model: Path) -> Iterator[Robot]:
    with contextlib.closing(Robot(around, pose_model)) as robot:
        yield robot


@pytest.fixture
def hasty(around: Any, pose_model: Path) -> Iterator[Robot]:
    """A node that does not wait for a transform."""
    with contextlib.closing(Robot(around, pose_model, 0.0)) as robot:
        yield robot


def assert_dropped(robot: Robot, view: View, reason: str, t: float) -> None:
    """A frame of time t gives nothing, and is counted under this reason."""
    header = robot.bench.send(view, header=robot.header(t))
    robot.bench.wait_counted('dropped', reason)
    assert not robot.bench.has_answered(header)


def test_poses_are_in_the_target_frame_at_the_image_s_stamp(robot: Robot, view: View) -> None:
    for t in (0.5, 1.0, 1.5):
        array = robot.ask(view, t)
        robot.assert_right(array, view, t)
        assert len(robot.bench.poses_of(array).poses) == len(view.items)


def test_the_covariance_turns_with_the_pose(around: Any, robot: Robot, pose_model: Path, view: View) -> None:
    with contextlib.closing(PoseBench(around, model=str(pose_model))) as bench:
        plain = bench.ask(view)
    turned = robot.ask(view, 1.0)
    for before, after in zip(plain.detections, turned.detections, strict=True):
        expected = transform_covariance(covariance_of(before), robot.at(1.0))
        np.testing.assert_allclose(covariance_of(after), expected, rtol=1e-3, atol=1e-12)


def test_a_late_transform_is_waited_for(robot: Robot, view: View) -> None:
    robot.ask(view, 0.5)
    header = robot.bench.send(view, header=robot.header(1.0))
    robot.bench.wait_until(lambda: len(robot.bench.node._transforms._arrived._waiters) == 1, 'the node waits')
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
    writer = hasty.broadcaster._dynamic_writer
    good = writer.publish

    def zeroed(message: Any) -> None:
        message.transforms[0].transform.rotation.w = 0.0
        good(message)

    writer.publish = zeroed
    hasty.broadcaster.send([zero])
    assert_dropped(hasty, view, 'tf_invalid', 1.0)
    writer.publish = good
    hasty.assert_right(hasty.ask(view, 1.5), view, 1.5)


def test_time_that_goes_back_is_followed(robot: Robot, view: View) -> None:
    robot.ask(view, 60.0)
    robot.assert_right(robot.ask(view, 1.0), view, 1.0)


def test_transforms_of_before_are_not_used_when_time_goes_back(robot: Robot, view: View) -> None:
    """A simulator that is reset gives the same stamps again, but the robot is elsewhere."""
    robot.ask(view, 1.0)
    robot.ask(view, 4.0)
    header = robot.bench.send(view, header=robot.header(2.0))
    robot.bench.wait_until(lambda: len(robot.bench.node._transforms._arrived._waiters) == 1, 'the node waits')
    assert not robot.bench.has_answered(header)
    robot.tell(1.95, 2.05)
    robot.assert_right(robot.bench.answer(header), view, 2.0)


@pytest.mark.parametrize('given', ['/{}', '//{}'])
def test_a_leading_slash_of_the_target_frame_is_left_out_and_said(
    around: Any, pose_model: Path, view: View, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    base = f'base_{next(_numbers)}'
    said: list[str] = []
    monkeypatch.setattr(PipelineNode, '_log', lambda node, is_error, text: said.append(text))
    with contextlib.closing(PoseBench(around, model=str(pose_model), target_frame=given.format(base))) as bench:
        broadcaster = TransformBroadcaster(bench.probe.node)
        broadcaster.send_static([FramePose(f'/{base}', bench.frame, 0, (1, 0, 0), (0, 0, 0, 1))])
        source = bench.node._transforms
        bench.wait_until(lambda: base in source._tree._frames, 'the node knows the transform')
        array = bench.answer(bench.send(view))
        assert array.header.frame_id == bench.poses_of(array).header.frame_id == base
        text = f"parameter target_frame: got '{given.format(base)}', taken for {base!r}"
        assert [line.split(':')[:2] for line in said if 'target_frame' in line] == [text.split(':')]
        broadcaster.close()


def test_what_is_on_tf_hangs_below_the_target_frame(robot: Robot, view: View) -> None:
    array = robot.ask(view, 1.0)

    def sent() -> dict[str, Any]:
        links = [item for message in list(robot.bench.transforms) for item in message.transforms]
        return {item.child_frame_id: item for item in links if item.header == array.header}

    robot.bench.wait_until(lambda: len(sent()) == len(view.items))
    prefix = robot.bench.node.get_namespace()[1:]
    assert set(sent()) == {f'{prefix}/{item.label}_{item.identity}' for item in view.items}
