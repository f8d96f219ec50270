# SPDX-License-Identifier: Apache-2.0
"""PoseNode and what it cannot use: counted, named, never turned into a pose, and survived.

One case of each kind: what else is refused, for which reason and in which words, is shown where it is read and
estimated (test/ros/messages/test_camera_feed.py, test_depth_message.py, test/stages/poses/test_pose_refusals.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from support.ros.pose_bench import PoseBench, assert_near
from support.ros.pose_views import Card, Item, View, sim_object, view_of

from isaac_inference.ros.messages.left_out import read_left_out
from isaac_inference.ros.runtime.topics.pairing import WATCHDOG_S
from isaac_inference.sim import LABELS

MakeGraph = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope='module')
def around(make_graph: MakeGraph) -> Iterator[Any]:
    with make_graph() as graph:
        yield graph


@pytest.fixture
def by_keypoints(around: Any, pose_model: Path) -> Iterator[PoseBench]:
    with contextlib.closing(PoseBench(around, model=str(pose_model))) as bench:
        yield bench


@pytest.fixture
def by_depth(around: Any) -> Iterator[PoseBench]:
    with contextlib.closing(PoseBench(around)) as bench:
        yield bench


@pytest.fixture(scope='module')
def view() -> View:
    return view_of()


def assert_lives_on(bench: PoseBench, view: View, **how: Any) -> None:
    """A good frame gives the right poses."""
    array = bench.ask(view, **how)
    for found, item in zip(array.detections, view.items, strict=True):
        assert_near(found, item.pose, m=0.05)


# CameraInfo


def test_without_camera_info_there_is_no_pose(by_keypoints: PoseBench, view: View) -> None:
    header = by_keypoints.send(view, info=False)
    by_keypoints.wait_counted('dropped', 'no_camera_info')
    assert not by_keypoints.has_answered(header)
    assert_lives_on(by_keypoints, view)


def test_an_unusable_camera_info_is_not_replaced_by_the_last_good_one(by_keypoints: PoseBench, view: View) -> None:
    by_keypoints.ask(view)
    by_keypoints.put_camera(view.camera, k=[0.0] * 9, p=[0.0] * 12)
    by_keypoints.wait_counted('dropped', 'no_intrinsics')
    header = by_keypoints.send(view, info=False)
    by_keypoints.wait_counted('dropped', 'no_camera_info')
    assert not by_keypoints.has_answered(header)
    assert_lives_on(by_keypoints, view)


def test_a_camera_info_of_another_size_is_told_by_the_keypoints(by_keypoints: PoseBench, view: View) -> None:
    by_keypoints.put_camera(view.camera.resized(640, 480))
    header = by_keypoints.send(view, info=False)
    by_keypoints.wait_counted('dropped', 'camera_info_size')
    assert not by_keypoints.has_answered(header)
    assert_lives_on(by_keypoints, view)


def test_a_camera_info_of_another_size_is_told_by_boxes_beyond_it(by_depth: PoseBench, view: View) -> None:
    by_depth.put_camera(view.camera.resized(160, 120))
    header = by_depth.send(view, info=False, depth='32FC1')
    by_depth.wait_counted('dropped', 'camera_info_size')
    assert not by_depth.has_answered(header)
    assert_lives_on(by_depth, view, depth='32FC1')


# Depth


@pytest.mark.parametrize(
    'reason, encoding, scale, fields',
    [
        ('depth_empty', '16UC1', 0.0, {}),  # nothing in it
        ('bad_image', '32FC1', 1.0, {'data': b'\0' * 1000}),  # not readable
    ],
)
def test_unusable_depth_gives_no_pose(
    by_depth: PoseBench, view: View, reason: str, encoding: str, scale: float, fields: dict[str, Any]
) -> None:
    assert_lives_on(by_depth, view, depth='32FC1')
    header = by_depth.stamp()
    by_depth.put_depth(header, view.depth * np.float32(scale), encoding, **fields)
    by_depth.send(view, header=header)
    assert not by_depth.answer(header).detections
    by_depth.wait_counted('skipped', reason)
    by_depth.wait_counted('skipped', 'no_depth', len(view.items))
    assert_lives_on(by_depth, view, depth='32FC1')


def test_depth_of_another_view_is_refused(by_depth: PoseBench, view: View) -> None:
    wide = replace(view.camera, K=view.camera.K * np.array([[0.7], [0.7], [1.0]]))
    by_depth.put_camera(wide, topic='depth/camera_info')
    header = by_depth.send(view, depth='32FC1')
    assert not by_depth.answer(header).detections
    by_depth.wait_counted('skipped', 'depth_unregistered')
    by_depth.put_camera(view.camera, topic='depth/camera_info')
    assert_lives_on(by_depth, view, depth='32FC1')


def test_depth_that_comes_after_the_wait_is_not_used(by_depth: PoseBench, view: View) -> None:
    by_depth.ask(view, depth='32FC1')
    header = by_depth.send(view)
    by_depth.let_wait_end(header)
    assert not by_depth.answer(header).detections
    by_depth.wait_counted('skipped', 'unpaired_depth')
    by_depth.put_depth(header, view.depth)
    assert_lives_on(by_depth, view, depth='32FC1')
    assert sum(array.header.stamp == header.stamp for array in by_depth.objects) == 1


def test_nothing_is_invented_without_keypoints_and_depth(around: Any, tmp_path: Path, view: View) -> None:
    detector = Card(keypoints=False).write(tmp_path)
    with contextlib.closing(PoseBench(around, model=str(detector))) as bench:
        header = bench.send(view)
        bench.let_wait_end(header)
        assert not bench.answer(header).detections
        bench.wait_counted('skipped', 'no_depth', len(view.items))
        assert not bench.transforms_at(header.stamp)


def test_keypoints_that_never_come_give_no_pose(by_keypoints: PoseBench, view: View) -> None:
    header = by_keypoints.send(view, keypoints=False)
    by_keypoints.let_wait_end(header)
    assert not by_keypoints.answer(header).detections
    by_keypoints.wait_counted('skipped', 'no_keypoints', len(view.items))
    assert_lives_on(by_keypoints, view)


def test_the_watchdog_names_what_is_missing(by_depth: PoseBench, view: View) -> None:
    for _ in range(2):
        header = by_depth.send(view)
        by_depth.let_wait_end(header)
        by_depth.answer(header)
        by_depth.let_time_pass(WATCHDOG_S)
    by_depth.let_wait_end(by_depth.send(view))

    def status() -> DiagnosticStatus:
        return by_depth.probe.status(by_depth.name)

    by_depth.wait_until(lambda: 'no match for' in status().message, 'the watchdog speaks')
    assert f'{by_depth.graph.namespace}/{by_depth.name[:-5]}/depth/image' in status().message
    assert status().level == DiagnosticStatus.WARN
    assert_lives_on(by_depth, view, depth='32FC1')
    by_depth.wait_until(lambda: status().message == 'running', 'the watchdog is silent again')


# Detections


def moved(item: Item, x: float, y: float) -> Item:
    """The item with its box elsewhere."""
    return replace(item, box=item.box + np.float32((x, y, x, y)))


@pytest.mark.parametrize('bench_name, depth', [('by_keypoints', ''), ('by_depth', '32FC1')])
def test_a_box_outside_the_image_has_no_pose_and_the_others_have(
    bench_name: str, depth: str, view: View, request: pytest.FixtureRequest
) -> None:
    bench = request.getfixturevalue(bench_name)
    first, *others = view.items
    array = bench.ask(view, len(others), items=[moved(first, -1000.0, 0.0), *others], depth=depth)
    assert [found.id for found in array.detections] == [item.identity for item in others]
    bench.wait_counted('skipped', 'box_outside')


def test_who_listens_is_told_which_object_has_no_pose_and_why(by_keypoints: PoseBench, view: View) -> None:
    reports = by_keypoints.probe.listen(f'{by_keypoints.name}/left_out', DiagnosticArray)
    by_keypoints.wait_until(lambda: by_keypoints.node._without.wanted, 'the node knows that somebody listens')
    first, second, *others = view.items
    shuffled = replace(second, keypoints=second.keypoints[[3, 5, 0, 6, 1, 7, 2, 4]])
    items = [first, shuffled, *others, moved(first, -1000.0, 0.0)]
    array = by_keypoints.ask(view, len(items) - 2, items=items)
    by_keypoints.wait_until(lambda: len(reports) == 1, 'the report has come')
    assert reports[0].header == array.header
    found = [(item.row, item.identity, item.label, item.reason) for item in read_left_out(reports[0])]
    assert found == [
        (1, second.identity, second.label, 'too_few_inliers'),
        (len(items) - 1, first.identity, first.label, 'box_outside'),
    ]
    assert all(item.text for item in read_left_out(reports[0]))
    by_keypoints.ask(view)
    assert len(reports) == 1, 'nothing is left out: nothing is said'


def test_a_box_that_is_no_number_has_no_pose_and_the_others_have(by_depth: PoseBench, view: View) -> None:
    first, *others = view.items
    by_depth.ask(view, depth='32FC1')
    broken = replace(first, box=np.full(4, np.nan, np.float32))
    array = by_depth.ask(view, len(others), items=[broken, *others], depth='32FC1')
    assert [found.id for found in array.detections] == [item.identity for item in others]
    by_depth.wait_counted('skipped', 'bad_box')
    assert_lives_on(by_depth, view, depth='32FC1')


def test_unusable_keypoints_give_no_pose(by_keypoints: PoseBench, view: View) -> None:
    by_keypoints.ask(view)
    item = view.item('cereal_box')
    shuffled = replace(item, keypoints=item.keypoints[[3, 5, 0, 6, 1, 7, 2, 4]])
    array = by_keypoints.ask(view, 0, items=[shuffled])
    assert not array.detections
    by_keypoints.wait_counted('skipped', 'too_few_inliers')
    assert_lives_on(by_keypoints, view)


@pytest.mark.parametrize('rows', [0, 1, 7])
def test_keypoints_of_other_detections_drop_the_frame(by_keypoints: PoseBench, view: View, rows: int) -> None:
    header = by_keypoints.stamp()
    keypoints = np.resize(view.items[0].keypoints, (rows, 8, 3)).astype(np.float32)
    by_keypoints.put_keypoints(header, keypoints, (320, 240))
    by_keypoints.send(view, header=header, keypoints=False)
    by_keypoints.wait_counted('dropped', 'keypoint_count')
    assert not by_keypoints.has_answered(header)
    assert_lives_on(by_keypoints, view)


def test_a_class_that_the_card_does_not_measure_has_no_pose(around: Any, tmp_path: Path, view: View) -> None:
    known = {name: sim_object(name) for name in LABELS if name != 'book'}
    model = str(Card(objects=known).write(tmp_path))
    with contextlib.closing(PoseBench(around, model=model, method='keypoints')) as bench:
        array = bench.ask(view, count=len(view.items) - 1)
        assert 'book' not in [found.results[0].hypothesis.class_id for found in array.detections]
        bench.wait_counted('skipped', 'no_object_model')


# Time


@pytest.mark.parametrize('bench_name, depth', [('by_keypoints', ''), ('by_depth', '32FC1')])
def test_stamps_that_fall_back_are_taken_up(
    bench_name: str, depth: str, view: View, request: pytest.FixtureRequest
) -> None:
    bench = request.getfixturevalue(bench_name)
    bench.ask(view, depth=depth)
    for back_s in (0.5, 60.0):
        array = bench.answer(bench.send(view, header=bench.stamp(-int(back_s * 1e9)), depth=depth))
        assert len(array.detections) == len(view.items)
        bench.ask(view, depth=depth)


def test_what_waits_when_time_falls_back_is_counted(by_depth: PoseBench, view: View) -> None:
    by_depth.ask(view, depth='32FC1')
    waiting = by_depth.send(view)
    by_depth.wait_until(lambda: by_depth.node._pairing._pending, 'the frame waits for its depth')
    again = by_depth.send(view, header=by_depth.stamp(-60_000_000_000), depth='32FC1')
    assert len(by_depth.answer(again).detections) == len(view.items)
    by_depth.wait_counted('dropped', 'time_jump')
    assert not by_depth.has_answered(waiting)
