# SPDX-License-Identifier: Apache-2.0
"""PoseNode and what can't be used: counted, named, never turned into a pose, and survived."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from support.ros.pose_bench import PoseBench, assert_near
from support.ros.pose_views import Card, Item, View, sim_object, view_of
from support.waiting import wait_until

from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.sim import LABELS

MakeGraph = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope='module')
def pose_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Card().write(tmp_path_factory.mktemp('pose'))


@pytest.fixture(scope='module')
def around(make_graph: MakeGraph) -> Iterator[Any]:
    with make_graph() as graph:
        yield graph


@pytest.fixture(scope='module')
def by_keypoints(around: Any, pose_model: Path) -> PoseBench:
    return PoseBench(around, model=str(pose_model))


@pytest.fixture(scope='module')
def by_depth(around: Any) -> PoseBench:
    return PoseBench(around)


@pytest.fixture(scope='module')
def view() -> View:
    return view_of()


def assert_counted(bench: PoseBench, kind: str, reason: str, send: Callable[[], Any]) -> Any:
    """`send` makes the node count one more of a reason; returns what `send` returns."""
    before = bench.count(kind, reason)
    header = send()
    wait_until(lambda: bench.count(kind, reason) > before)
    return header


def assert_lives_on(bench: PoseBench, view: View, **how: Any) -> None:
    """A good frame gives the right poses."""
    array = bench.ask(view, **how)
    for found, item in zip(array.detections, view.items, strict=True):
        assert_near(found, item.pose, m=0.05)


# CameraInfo


def test_without_camera_info_there_is_no_pose(around: Any, pose_model: Path, view: View) -> None:
    bench = PoseBench(around, model=str(pose_model))
    header = assert_counted(bench, 'dropped', 'no_camera_info', lambda: bench.send(view, info=False))
    assert not bench.has_answered(header)
    assert_lives_on(bench, view)


@pytest.mark.parametrize(
    'reason, fields',
    [
        ('no_intrinsics', {'k': [0.0] * 9}),
        ('bad_intrinsics', {'k': [-300.0, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0]}),
        ('bad_intrinsics', {'k': [math.nan, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0]}),
        ('bad_intrinsics', {'width': 0}),
        ('unknown_distortion', {'distortion_model': 'fisheye', 'd': [0.1]}),
    ],
)
def test_an_unusable_camera_info_is_not_replaced_by_the_last_good_one(
    by_keypoints: PoseBench, view: View, reason: str, fields: dict[str, Any]
) -> None:
    by_keypoints.ask(view)
    assert_counted(by_keypoints, 'dropped', reason, lambda: by_keypoints.put_camera(view.camera, **fields))
    header = assert_counted(by_keypoints, 'dropped', 'no_camera_info', lambda: by_keypoints.send(view, info=False))
    assert not by_keypoints.has_answered(header)
    assert_lives_on(by_keypoints, view)


def test_a_camera_info_of_another_size_is_told_by_the_keypoints(by_keypoints: PoseBench, view: View) -> None:
    def send() -> Any:
        by_keypoints.put_camera(view.camera.resized(640, 480))
        return by_keypoints.send(view, info=False)

    header = assert_counted(by_keypoints, 'dropped', 'camera_info_size', send)
    assert not by_keypoints.has_answered(header)
    assert_lives_on(by_keypoints, view)


def test_a_camera_info_of_another_size_is_told_by_boxes_beyond_it(by_depth: PoseBench, view: View) -> None:
    def send() -> Any:
        by_depth.put_camera(view.camera.resized(160, 120))
        return by_depth.send(view, info=False, depth='32FC1')

    header = assert_counted(by_depth, 'dropped', 'camera_info_size', send)
    assert not by_depth.has_answered(header)
    assert_lives_on(by_depth, view, depth='32FC1')


# Depth


@pytest.mark.parametrize(
    'reason, encoding, scale, fields',
    [
        ('depth_empty', '16UC1', 0.0, {}),
        ('depth_empty', '32FC1', 0.0, {}),
        ('depth_empty', '32FC1', math.nan, {}),
        ('depth_empty', '16UC1', 1000.0, {}),  # beyond what 16 bits hold
        ('depth_unit', '32FC1', 1000.0, {}),
        ('depth_encoding', '32FC1', 1.0, {'encoding': 'bgr8'}),
        ('depth_encoding', '32FC1', 1.0, {'encoding': ''}),
        ('bad_image', '16UC1', 1.0, {'encoding': '32FC1'}),
        ('bad_image', '32FC1', 1.0, {'data': b'\0' * 1000}),
        ('bad_image', '32FC1', 1.0, {'height': 0, 'data': b''}),
    ],
)
def test_unusable_depth_gives_no_pose(
    by_depth: PoseBench, view: View, reason: str, encoding: str, scale: float, fields: dict[str, Any]
) -> None:
    assert_lives_on(by_depth, view, depth='32FC1')

    def send() -> Any:
        header = by_depth.stamp()
        by_depth.put_depth(header, view.depth * np.float32(scale), encoding, **fields)
        return by_depth.send(view, header=header)

    without = by_depth.count('skipped', 'no_depth')
    header = assert_counted(by_depth, 'skipped', reason, send)
    assert not by_depth.answer(header).detections
    wait_until(lambda: by_depth.count('skipped', 'no_depth') == without + len(view.items))
    assert_lives_on(by_depth, view, depth='32FC1')


def test_depth_of_another_view_is_refused(around: Any, view: View) -> None:
    bench = PoseBench(around)
    wide = replace(view.camera, K=view.camera.K * np.array([[0.7], [0.7], [1.0]]))
    bench.put('depth/camera_info', camera_info(bench.header(bench.last_ns), wide))
    header = assert_counted(bench, 'skipped', 'depth_unregistered', lambda: bench.send(view, depth='32FC1'))
    assert not bench.answer(header).detections
    bench.put('depth/camera_info', camera_info(bench.header(bench.last_ns), view.camera))
    assert_lives_on(bench, view, depth='32FC1')


def test_depth_that_comes_after_the_wait_is_not_used(by_depth: PoseBench, view: View) -> None:
    by_depth.ask(view, depth='32FC1')
    header = assert_counted(by_depth, 'skipped', 'unpaired_depth', lambda: by_depth.send(view))
    assert not by_depth.answer(header).detections
    by_depth.put_depth(header, view.depth)
    assert_lives_on(by_depth, view, depth='32FC1')
    assert sum(array.header.stamp == header.stamp for array in by_depth.objects) == 1


def test_nothing_is_invented_without_keypoints_and_depth(around: Any, tmp_path: Path, view: View) -> None:
    detector = Card(keypoints=False).write(tmp_path)
    bench = PoseBench(around, model=str(detector), wait_s=0.05)
    header = assert_counted(bench, 'skipped', 'no_depth', lambda: bench.send(view))
    assert not bench.answer(header).detections
    assert not bench.transforms_at(header.stamp)


def test_keypoints_that_never_come_give_no_pose(by_keypoints: PoseBench, view: View) -> None:
    header = assert_counted(by_keypoints, 'skipped', 'no_keypoints', lambda: by_keypoints.send(view, keypoints=False))
    assert not by_keypoints.answer(header).detections
    assert_lives_on(by_keypoints, view)


def test_the_watchdog_names_what_is_missing(around: Any, view: View) -> None:
    bench = PoseBench(around, wait_s=0.05)

    def named() -> bool:
        bench.send(view)
        message = bench.probe.status(bench.name).message
        return 'no match for' in message and f'{bench.graph.namespace}/{bench.name[:-5]}/depth/image' in message

    wait_until(named, 6.0)
    assert bench.probe.status(bench.name).level == DiagnosticStatus.WARN
    assert_lives_on(bench, view, depth='32FC1')
    wait_until(lambda: bench.probe.status(bench.name).message == 'running')


# Detections


def moved(item: Item, x: float, y: float) -> Item:
    """The item with its box elsewhere."""
    return replace(item, box=item.box + np.float32((x, y, x, y)))


@pytest.mark.parametrize('bench_name, depth', [('by_keypoints', ''), ('by_depth', '32FC1')])
@pytest.mark.parametrize('shift', [(-1000.0, 0.0), (0.0, -1000.0)])
def test_a_box_outside_the_image_has_no_pose_and_the_others_have(
    bench_name: str, depth: str, shift: tuple[float, float], view: View, request: pytest.FixtureRequest
) -> None:
    bench = request.getfixturevalue(bench_name)
    first, *others = view.items
    bench.ask(view, depth=depth)
    header = assert_counted(
        bench,
        'skipped',
        'box_outside',
        lambda: bench.send(view, items=[moved(first, *shift), *others], depth=depth),
    )
    assert [found.id for found in bench.answer(header).detections] == [item.identity for item in others]


def test_a_box_that_is_no_number_has_no_pose_and_the_others_have(by_depth: PoseBench, view: View) -> None:
    first, *others = view.items
    by_depth.ask(view, depth='32FC1')
    broken = replace(first, box=np.full(4, np.nan, np.float32))
    header = assert_counted(
        by_depth, 'skipped', 'bad_box', lambda: by_depth.send(view, items=[broken, *others], depth='32FC1')
    )
    assert [found.id for found in by_depth.answer(header).detections] == [item.identity for item in others]
    assert_lives_on(by_depth, view, depth='32FC1')


def _line(keypoints: np.ndarray) -> np.ndarray:
    x = np.linspace(40, 200, 8)
    return np.column_stack((x, 0.5 * x, np.ones(8)))


def _around_the_camera(keypoints: np.ndarray) -> np.ndarray:
    """What the pinhole equations say of a cereal box that the camera is inside of."""
    corners = Pose(so3_exp((0, 1, 0)), np.array((0.02, 0.01, 0.08))).apply(cuboid_corners((0.16, 0.06, 0.24)))
    pixels = corners @ view_of().camera.K.T
    return np.column_stack((pixels[:, :2] / pixels[:, 2:] + 0.5, np.ones(8)))


@pytest.mark.parametrize(
    'reason, spoil',
    [
        ('degenerate_keypoints', lambda keypoints: np.full((8, 3), 100.0)),
        ('degenerate_keypoints', _line),
        ('bad_keypoints', lambda keypoints: np.where(np.eye(8, 3, dtype=bool), np.nan, keypoints)),
        ('bad_keypoints', lambda keypoints: np.where(np.eye(8, 3, dtype=bool), np.inf, keypoints)),
        ('bad_keypoints', lambda keypoints: keypoints[:5]),
        ('too_few_keypoints', lambda keypoints: keypoints * (1, 1, 0.05)),
        ('too_few_inliers', lambda keypoints: keypoints[[3, 5, 0, 6, 1, 7, 2, 4]]),
        ('behind_camera', _around_the_camera),
    ],
)
def test_unusable_keypoints_give_no_pose(
    by_keypoints: PoseBench, view: View, reason: str, spoil: Callable[[np.ndarray], np.ndarray]
) -> None:
    by_keypoints.ask(view)
    items = [replace(view.item('cereal_box'), keypoints=spoil(view.item('cereal_box').keypoints))]

    def send() -> Any:
        header = by_keypoints.stamp()
        by_keypoints.put_keypoints(header, np.float32(items[0].keypoints)[None], (320, 240))
        by_keypoints.send(view, header=header, items=items, keypoints=False)
        return header

    header = assert_counted(by_keypoints, 'skipped', reason, send)
    assert not by_keypoints.answer(header).detections
    assert_lives_on(by_keypoints, view)


@pytest.mark.parametrize('rows', [0, 1, 7])
def test_keypoints_of_other_detections_drop_the_frame(by_keypoints: PoseBench, view: View, rows: int) -> None:
    def send() -> Any:
        header = by_keypoints.stamp()
        keypoints = np.resize(view.items[0].keypoints, (rows, 8, 3)).astype(np.float32)
        by_keypoints.put_keypoints(header, keypoints, (320, 240))
        return by_keypoints.send(view, header=header, keypoints=False)

    header = assert_counted(by_keypoints, 'dropped', 'keypoint_count', send)
    assert not by_keypoints.has_answered(header)
    assert_lives_on(by_keypoints, view)


def test_a_class_that_the_card_does_not_measure_has_no_pose(around: Any, tmp_path: Path, view: View) -> None:
    known = {name: sim_object(name) for name in LABELS if name != 'book'}
    bench = PoseBench(around, model=str(Card(objects=known).write(tmp_path)), method='keypoints')
    array = bench.ask(view, count=len(view.items) - 1)
    assert 'book' not in [found.results[0].hypothesis.class_id for found in array.detections]
    wait_until(lambda: bench.count('skipped', 'no_object_model') > 0)


# Time


def test_stamps_that_fall_back_are_taken_up(by_keypoints: PoseBench, by_depth: PoseBench, view: View) -> None:
    for bench, depth in ((by_keypoints, ''), (by_depth, '32FC1')):
        bench.ask(view, depth=depth)
        for back_s in (0.5, 60.0):
            array = bench.answer(bench.send(view, header=bench.stamp(-int(back_s * 1e9)), depth=depth))
            assert len(array.detections) == len(view.items)
            bench.ask(view, depth=depth)


def test_what_waits_when_time_falls_back_is_counted(around: Any, view: View) -> None:
    bench = PoseBench(around, wait_s=1.0)
    bench.ask(view, depth='32FC1')
    waiting = bench.send(view)
    wait_until(lambda: bench.node._pairing._pending)  # or the next frame would displace it in the mailbox
    again = bench.send(view, header=bench.stamp(-60_000_000_000), depth='32FC1')
    assert len(bench.answer(again).detections) == len(view.items)
    wait_until(lambda: bench.count('dropped', 'time_jump') == 1)
    assert not bench.has_answered(waiting)
