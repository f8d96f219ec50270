# SPDX-License-Identifier: Apache-2.0
"""SkeletonsNode and what it cannot use: counted, named, never turned into a joint, and survived."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_models import ultralytics_metadata, write_model
from support.people.skeleton_bench import SkeletonBench, exact_rows, people

from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.sim import default_camera
from isaac_inference.sim.people import PeopleFrame


def box_of(frame: PeopleFrame) -> np.ndarray:
    return np.array([truth.box for truth in frame.truths])


def assert_lives_on(bench: SkeletonBench) -> None:
    """A good frame gives joints."""
    frame = people()
    off = np.linalg.norm(bench.ask(frame).positions[0] - frame.truths[0].joints, axis=1)
    assert np.nanmedian(off) < 0.03


# Keypoints


def test_keypoints_unlike_the_skeleton(bench: SkeletonBench) -> None:
    header = bench.send(people(), rows=exact_rows(people())[:, :13])
    bench.wait_counted('dropped', 'keypoint_count')
    assert not bench.has_answered(header)
    assert_lives_on(bench)


def test_more_rows_of_keypoints_than_detections(bench: SkeletonBench) -> None:
    header = bench.send(people(), rows=np.repeat(exact_rows(people()), 2, axis=0))
    bench.wait_counted('dropped', 'keypoint_count')
    assert not bench.has_answered(header)
    assert_lives_on(bench)


def test_no_keypoints_of_that_stamp(bench: SkeletonBench) -> None:
    frame = people()
    bench.put_camera(default_camera())
    header = bench.stamp()
    bench.put_people(header, box_of(frame))
    bench.probe.wait_until(lambda: bench.node._with_keypoints.is_waiting, 'the detections wait')
    bench.let_time_pass(1.0)
    bench.wait_counted('dropped', 'keypoints_missing')
    assert not bench.has_answered(header)
    assert_lives_on(bench)


def test_newer_keypoints_overtake_detections_whose_own_never_come(bench: SkeletonBench) -> None:
    """A network on crops of people takes the newest frame: those in between are not its fault, nor anybody's."""
    frame = people()
    bench.put_camera(default_camera())
    header = bench.stamp()
    bench.put_people(header, box_of(frame))
    bench.probe.wait_until(lambda: bench.node._with_keypoints.is_waiting, 'the detections wait')
    assert_lives_on(bench)
    bench.wait_counted('dropped', 'superseded')
    assert not bench.has_answered(header)
    assert bench.node.health.snapshot().faults == {}


@pytest.mark.parametrize('leap_s', [-60.0, -2.0])
def test_keypoints_of_before_a_jump_in_time_overtake_nothing(bench: SkeletonBench, leap_s: float) -> None:
    """A recording starts over, and this time nobody finds keypoints."""
    assert_lives_on(bench)
    bench.last_ns += round(leap_s * 1e9)
    bench.put_people(bench.stamp(), box_of(people()))
    bench.probe.wait_until(lambda: bench.node._with_keypoints.is_waiting, 'the detections wait')
    bench.let_time_pass(1.0)
    bench.wait_counted('dropped', 'keypoints_missing')
    assert 'superseded' not in bench.node.health.snapshot().drops
    assert_lives_on(bench)


def test_keypoints_that_are_not_finite(bench: SkeletonBench) -> None:
    frame = people(count=2)
    rows = exact_rows(frame)
    rows[1, 5, 0] = np.nan
    found = bench.ask(frame, rows=rows).positions
    assert np.isfinite(found[0]).any()
    assert np.isnan(found[1]).all()
    bench.wait_counted('skipped', 'keypoints_not_finite')


def test_keypoints_that_are_not_given_may_be_nan(bench: SkeletonBench) -> None:
    """As a row of somebody whom nobody looked at is: NaN, with confidence 0; and single points of others."""
    frame = people(count=2)
    rows = exact_rows(frame)
    rows[0] = (np.nan, np.nan, 0.0)
    rows[1, 16] = (np.nan, np.nan, 0.0)
    found = bench.ask(frame, rows=rows).positions
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).any()
    bench.probe.wait_report(bench.name)
    assert bench.count('skipped', 'keypoints_not_finite') == 0


def test_a_person_who_is_cut_at_the_border(bench: SkeletonBench) -> None:
    """What lies outside the image has no joints, though a network may guess where it is; the rest stays right."""
    frame = people()
    truth = frame.truths[0]
    cut = float(np.nanmax(truth.pixels[:, 1])) - 60.0  # the lower legs are outside
    height = int(cut)
    camera = replace(default_camera(), height=height)
    rows = exact_rows(frame)
    rows[0, :, 2] = np.where(truth.visible, 0.9, 0.1)
    header = bench.stamp()
    bench.put_camera(camera, header)
    bench.put_depth(header, np.ascontiguousarray(frame.depth[:height]))
    bench.put_keypoints(header, rows, (640, height))
    bench.put_people(header, np.array([[*truth.box[:3], height]]))
    found = bench.answer(header).positions[0]
    outside = truth.pixels[:, 1] >= height
    assert (outside & truth.visible).any()
    assert np.isnan(found[outside]).all()
    assert np.nanmedian(np.linalg.norm(found - truth.joints, axis=1)) < 0.03
    bench.wait_counted('skipped', 'joint_outside')


def test_two_detections_of_one_person(bench: SkeletonBench) -> None:
    """Or of two in one box, of whom the network sees one: whose joints these are is said once, by the higher score."""
    frame = people()
    rows = np.repeat(exact_rows(frame), 2, axis=0)
    rows[1, :, :2] += 1.5
    boxes = np.repeat(box_of(frame), 2, axis=0)
    found = bench.ask(frame, rows=rows, boxes=boxes, scores=[0.6, 0.8]).positions
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).any()
    bench.wait_counted('skipped', 'person_twice')


def test_who_has_the_joints_of_somebody_else_has_none(bench: SkeletonBench) -> None:
    """Two boxes, and a network that puts the hidden one on the body of who stands before: their keypoints differ."""
    frame = people()
    rows = np.repeat(exact_rows(frame), 2, axis=0)
    rows[..., 2] = np.maximum(rows[..., 2], 0.6)
    middle = rows[1, 5:13, :2].mean(axis=0)
    rows[1, :, :2] = middle + 0.6 * (rows[1, :, :2] - middle)
    boxes = np.repeat(box_of(frame), 2, axis=0)
    found = bench.ask(frame, rows=rows, boxes=boxes).positions
    assert np.isfinite(found[0]).any()
    assert np.isnan(found[1]).all()
    bench.probe.wait_until(
        lambda: any(bench.count('skipped', reason) for reason in ('person_hidden', 'person_height', 'person_joints')),
        'it is counted',
    )
    assert bench.count('skipped', 'person_hidden') == 1


def test_joints_in_two_depths_are_nobodys(bench: SkeletonBench) -> None:
    """One box around two people, the left half of one and the right half of whom is behind."""
    frame = people(seed=61, time_s=0.6)
    rows = exact_rows(frame)
    rows[..., 2] = 0.9
    right = np.array([name.startswith('right') for name in COCO_17.names])
    middle = rows[0, :, :2].mean(axis=0)
    rows[0, right, :2] = middle + (rows[0, right, :2] - middle) / 1.5
    depth = np.full((480, 640), 8.0, np.float32)
    near = float(frame.truths[0].joints[:, 2].mean())
    for (x, y, _), is_right in zip(rows[0], right.tolist(), strict=True):
        depth[int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7] = near * (1.5 if is_right else 1.0)
    found = bench.ask(frame, rows=rows, depth=depth).positions
    assert np.isnan(found).all()
    bench.wait_counted('skipped', 'person_layers')


def test_two_people_side_by_side_are_two(bench: SkeletonBench) -> None:
    found = bench.ask(people(count=2)).positions
    assert np.isfinite(found[:, :, 2]).any(axis=1).all()


# Depth


def test_depth_without_a_reading(bench: SkeletonBench) -> None:
    frame = people()
    found = bench.ask(frame, depth=np.full_like(frame.depth, np.nan)).positions
    assert np.isnan(found).all()
    bench.wait_counted('skipped', 'depth_empty')
    assert_lives_on(bench)


def test_depth_without_a_reading_at_the_person(bench: SkeletonBench) -> None:
    frame = people()
    found = bench.ask(frame, depth=np.where(frame.instances > 0, np.nan, frame.depth)).positions
    there = found[0][np.isfinite(found[0, :, 2])]
    assert len(there) == 0, 'what is behind a person is not the person'
    bench.wait_counted('skipped', 'person_joints')
    assert_lives_on(bench)


def test_depth_of_another_stamp(bench: SkeletonBench) -> None:
    frame = people()
    bench.put_camera(default_camera())
    bench.put_depth(bench.stamp(), frame.depth)
    bench.last_ns += 1_000_000_000
    header = bench.stamp()
    bench.put_keypoints(header, exact_rows(frame), (640, 480))
    bench.put_people(header, box_of(frame))
    bench.probe.wait_until(lambda: bench.node._with_depth.is_waiting, 'it waits for depth')
    bench.let_time_pass(1.0)
    assert np.isnan(bench.answer(header).positions).all()
    bench.wait_counted('skipped', 'unpaired_depth')
    assert_lives_on(bench)


def test_depth_of_another_view(bench: SkeletonBench) -> None:
    """Sides in another proportion show another view."""
    frame = people()
    found = bench.ask(frame, depth=np.ascontiguousarray(frame.depth[:, :480])).positions
    assert np.isnan(found).all()
    bench.wait_counted('skipped', 'depth_unregistered')
    assert_lives_on(bench)


def test_depth_in_another_unit(bench: SkeletonBench) -> None:
    """Somebody of 17 m is no person."""
    frame = people()
    found = bench.ask(frame, depth=frame.depth * np.float32(10.0)).positions
    assert np.isnan(found).all()
    bench.probe.wait_until(
        lambda: bench.count('skipped', 'person_height') + bench.count('skipped', 'person_distance') > 0,
        'it is said that this is no person',
    )
    assert_lives_on(bench)


def test_without_camera_info(bench: SkeletonBench) -> None:
    frame = people()
    header = bench.stamp()
    bench.put_depth(header, frame.depth)
    bench.put_keypoints(header, exact_rows(frame), None)
    bench.put_people(header, box_of(frame))
    bench.wait_counted('dropped', 'no_camera_info')
    assert not bench.has_answered(header)
    assert_lives_on(bench)


def test_camera_info_of_another_size(bench: SkeletonBench) -> None:
    frame = people()
    header = bench.send(frame, camera=default_camera(320, 240))
    bench.wait_counted('dropped', 'camera_info_size')
    assert not bench.has_answered(header)
    assert_lives_on(bench)


# Configuration


def refusal(around: Any, model: str = '', **parameters: Any) -> str:
    with contextlib.closing(SkeletonBench(around, model, active=False, **parameters)) as bench:
        bench.probe.wait_until(
            lambda: bench.probe.status(bench.name).message and bench.node.state == 'unconfigured', 'it is refused'
        )
        return str(bench.probe.status(bench.name).message)


@pytest.fixture
def nameless(tmp_path: Path) -> Path:
    """A model whose 9 keypoints nothing names."""
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64), task='pose', kpt_shape=[9, 3])
    return write_model(
        tmp_path / 'nine.onnx', 'yolov8_pose', classes=1, keypoint_shape=(9, 3), input_wh=(64, 64), metadata=metadata
    )


@pytest.mark.parametrize(
    ('how', 'says'),
    [
        (lambda nine: {}, ['model_card:=', 'keypoints: {skeleton: coco17}']),
        (lambda nine: {'model': str(nine)}, ['nothing says what its 9 keypoints are', 'keypoints: {skeleton: {names:']),
    ],
    ids=['nothing given', 'keypoints without a skeleton'],
)
def test_without_a_skeleton_it_does_not_start(
    around: Any, nameless: Path, how: Callable[[Path], dict[str, Any]], says: list[str]
) -> None:
    text = refusal(around, **how(nameless))
    assert all(words in text for words in says), text


def test_a_card_alone_is_enough(around: Any, tmp_path: Path) -> None:
    card = tmp_path / 'people.yaml'
    card.write_text('keypoints: {skeleton: coco17}\n')
    with contextlib.closing(SkeletonBench(around, model_card=str(card))) as bench:
        assert_lives_on(bench)


def test_a_card_without_a_skeleton_says_the_line(around: Any, tmp_path: Path) -> None:
    card = tmp_path / 'other.yaml'
    card.write_text('labels: [person]\n')
    assert 'keypoints: {skeleton: coco17}' in refusal(around, model_card=str(card))


@pytest.mark.parametrize('text', ['wrist', 'wrist: thick', 'wrist: 2', 'tail: 0.1'])
def test_joint_depths_that_cannot_be(around: Any, people_model: Path, text: str) -> None:
    assert 'parameter joint_depths' in refusal(around, str(people_model), joint_depths=[text])


def test_joint_depths_of_zero_give_the_surface(around: Any, people_model: Path) -> None:
    frame = people()
    with contextlib.closing(SkeletonBench(around, str(people_model), joint_depths=['all: 0.0'])) as bench:
        surface = bench.ask(frame).positions[0]
    with contextlib.closing(SkeletonBench(around, str(people_model))) as bench:
        joints = bench.ask(frame).positions[0]
    hip = 11 if np.isfinite(surface[11, 2] + joints[11, 2]) else 12
    assert np.linalg.norm(joints[hip] - surface[hip]) == pytest.approx(0.09, abs=0.001)
