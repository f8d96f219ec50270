# SPDX-License-Identifier: Apache-2.0
"""SkeletonsNode over DDS: joints where they are, markers while somebody looks, people by their number."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import numpy as np
import pytest
from support.people.skeleton_bench import SkeletonBench, exact_rows, people
from support.ros.probe import LATCHED
from vision_msgs.msg import LabelInfo
from visualization_msgs.msg import Marker

from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ros.messages.people.skeleton_markers import BONES, JOINTS
from isaac_inference.sim import default_camera
from isaac_inference.sim.people import observed_keypoints


def off_mm(positions: np.ndarray, truth: Any) -> np.ndarray:
    """(K,) mm, NaN for joints that are left out."""
    return np.asarray(np.linalg.norm(positions - truth.joints, axis=1) * 1e3)


def test_joints_are_where_they_are(bench: SkeletonBench) -> None:
    frame = people(count=2)
    rows = bench.ask(frame)
    assert rows.positions.shape == (2, 17, 3)
    for positions, truth in zip(rows.positions, frame.truths, strict=True):
        off = off_mm(positions, truth)
        assert np.isfinite(off).sum() >= 0.8 * truth.visible.sum(), 'most of what is seen has a place'
        assert not np.isfinite(off[~truth.visible]).any(), 'what the network is unsure of has none'
        assert np.nanmedian(off) < 30
        assert np.nanmax(off) < 150


def test_joints_of_a_distorted_camera_are_where_they_are(bench: SkeletonBench) -> None:
    frame = people(seed=1007, distorted=True)
    rows = bench.ask(frame, camera=default_camera(distorted=True))
    assert np.nanmedian(off_mm(rows.positions[0], frame.truths[0])) < 30


def test_joints_of_noisy_keypoints_and_a_sensors_depth_are_within_40_mm(bench: SkeletonBench) -> None:
    off, beyond = [], []
    for seed, time_s in itertools.product(range(1010, 1014), (0.0, 2.1)):
        frame = people(seed, 2, time_s, clean=False)
        seen = observed_keypoints(frame.truths, np.random.default_rng([seed, int(10 * time_s)]))
        rows = bench.ask(frame, rows=seen)
        for positions, covariances, truth in zip(rows.positions, rows.covariances, frame.truths, strict=True):
            there = np.isfinite(positions[:, 2]) & truth.visible
            off += off_mm(positions, truth)[there].tolist()
            sigma = np.sqrt(np.einsum('kii->ki', covariances))
            beyond += (np.abs(positions - truth.joints) > 2 * sigma)[there].ravel().tolist()
    assert len(off) > 100
    assert np.median(off) < 40
    assert np.mean(beyond) < 0.08, 'the covariance means what it says'


def test_the_columns_are_named_and_people_are_numbered(bench: SkeletonBench) -> None:
    names = bench.listen('keypoints_3d/label_info', LabelInfo, LATCHED)
    frame = people(count=2)
    rows = bench.ask(frame, ids=['7', ''])
    assert list(rows.people) == [7, 0]
    bench.probe.wait_until(lambda: names, 'the names come')
    assert [one.class_name for one in names[0].class_map] == list(COCO_17.names)


def test_the_cloud_is_organised_and_nothing_is_filled_in(bench: SkeletonBench) -> None:
    header = bench.send(people())
    rows = bench.answer(header)
    cloud = next(cloud for cloud in bench.joints if cloud.header.stamp == header.stamp)
    assert (cloud.height, cloud.width, cloud.header.frame_id) == (1, 17, bench.frame_id)
    missing = ~np.isfinite(rows.positions[0, :, 2])
    assert missing.any()
    assert not cloud.is_dense
    assert (rows.confidences[0, missing] == 0).all()
    assert np.isnan(rows.covariances[0, missing]).all()


def test_nobody_is_an_empty_cloud(bench: SkeletonBench) -> None:
    rows = bench.ask(people(), rows=np.zeros((0, 17, 3), np.float32), boxes=np.zeros((0, 4)))
    assert rows.positions.shape == (0, 17, 3)


def test_a_row_of_whom_the_network_says_that_nobody_is_there_has_no_joints(bench: SkeletonBench) -> None:
    frame = people(count=2)
    seen = exact_rows(frame)
    seen[0, :, 2] = 0.0
    rows = bench.ask(frame, rows=seen)
    assert np.isnan(rows.positions[0]).all()
    assert np.isfinite(rows.positions[1]).any()


def test_markers_come_while_somebody_looks_and_those_of_who_left_are_deleted(bench: SkeletonBench) -> None:
    frame = people(count=2)
    assert not bench.node._markers.wanted
    bench.ask(frame, ids=['3', '4'])
    markers = bench.look_at_markers()
    header = bench.send(frame, ids=['3', '4'])
    bench.probe.wait_until(lambda: markers, 'markers come')
    assert {(one.ns, one.id, one.action) for one in markers[0].markers} == {
        (space, number, Marker.ADD) for space in (BONES, JOINTS) for number in (3, 4)
    }
    assert all(one.header == header for one in markers[0].markers)
    bones = next(one for one in markers[0].markers if one.ns == BONES)
    assert len(bones.points) == len(bones.colors) > 0
    assert len({(color.r, color.g, color.b) for color in bones.colors}) == 3, 'left, right, and what is between'
    bench.send(frame, rows=exact_rows(frame)[:1], boxes=np.array([frame.truths[0].box]), ids=['3'])
    bench.probe.wait_until(lambda: len(markers) == 2, 'markers of the next frame')
    actions = {(one.id, one.action) for one in markers[1].markers}
    assert actions == {(3, Marker.ADD), (4, Marker.DELETE)}


def test_without_depth_there_are_no_joints_in_space_and_nothing_waits(around: Any, people_model: Any) -> None:
    with contextlib.closing(SkeletonBench(around, str(people_model))) as bench:
        for topic in ('depth/image', 'depth/camera_info'):
            bench.forget_publisher(topic)
        bench.probe.wait_until(lambda: not bench.node._uses_depth(), 'nobody publishes depth')
        frame = people()
        header = bench.stamp()
        bench.put_keypoints(header, exact_rows(frame), (640, 480))
        bench.put_people(header, np.array([frame.truths[0].box]))
        bench.probe.wait_until(lambda: bench.probe.value(bench.name, 'processed') == '1', 'the frame is done')
        assert not bench.joints


@pytest.mark.parametrize('wh', [(320, 240), (160, 120)])
def test_depth_of_another_resolution_will_do(bench: SkeletonBench, wh: tuple[int, int]) -> None:
    frame = people()
    header = bench.stamp()
    bench.put_camera(default_camera(), header)
    bench.put_depth(header, frame.depth, wh)
    bench.put_keypoints(header, exact_rows(frame), (640, 480))
    bench.put_people(header, np.array([frame.truths[0].box]))
    assert np.nanmedian(off_mm(bench.answer(header).positions[0], frame.truths[0])) < 40
