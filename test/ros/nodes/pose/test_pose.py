# SPDX-License-Identifier: Apache-2.0
"""PoseNode over DDS: what it publishes for good frames, by each method."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2
from support.ros.pose_bench import SCORE, PoseBench, assert_near, covariance_of, pose_of
from support.ros.pose_views import View, view_of

from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.sim import LABELS

_COLOR = [(name, 'u1') for name in ('b', 'g', 'r', 'unused')]
_POINT = [('xyz', '<f4', 3), *_COLOR, ('instance', '<u4'), ('class_id', '<u4')]
MakeGraph = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope='module')
def around(make_graph: MakeGraph) -> Iterator[Any]:
    with make_graph() as graph:
        yield graph


@pytest.fixture(scope='module')
def by_keypoints(around: Any, pose_model: Path) -> Iterator[PoseBench]:
    with contextlib.closing(PoseBench(around, model=str(pose_model))) as bench:
        yield bench


@pytest.fixture(scope='module')
def by_depth(around: Any) -> Iterator[PoseBench]:
    """Without any model."""
    with contextlib.closing(PoseBench(around)) as bench:
        yield bench


@pytest.fixture(scope='module')
def by_registration(around: Any, pose_model: Path) -> Iterator[PoseBench]:
    with contextlib.closing(PoseBench(around, model=str(pose_model), method='registration')) as bench:
        yield bench


@pytest.fixture(scope='module')
def view() -> View:
    return view_of()


def test_every_object_keeps_its_place_class_score_id_and_size(by_keypoints: PoseBench, view: View) -> None:
    array = by_keypoints.ask(view)
    assert array.header.frame_id == by_keypoints.frame
    for found, item in zip(array.detections, view.items, strict=True):
        best = found.results[0].hypothesis
        assert (best.class_id, best.score, found.id) == (item.label, pytest.approx(SCORE), item.identity)
        assert found.header == array.header
        assert_near(found, item.pose, m=1e-4, deg=0.01)
        assert found.bbox.center == found.results[0].pose.pose
        assert (found.bbox.size.x, found.bbox.size.y, found.bbox.size.z) == pytest.approx(item.size)


def test_the_poses_are_those_of_the_objects(by_keypoints: PoseBench, view: View) -> None:
    array = by_keypoints.ask(view)
    assert by_keypoints.poses_of(array).poses == [item.bbox.center for item in array.detections]


def test_the_covariance_says_where_the_pose_is_loose(by_keypoints: PoseBench, view: View) -> None:
    for found in by_keypoints.ask(view).detections:
        covariance, ray = covariance_of(found), pose_of(found).translation
        np.testing.assert_allclose(covariance, covariance.T, atol=1e-12)
        assert np.linalg.eigvalsh(covariance).min() > 0
        ray = ray / np.linalg.norm(ray)
        assert ray @ covariance[:3, :3] @ ray > np.trace(covariance[:3, :3]) / 2, 'distance is what is least sure'


def test_an_object_with_an_id_is_on_tf_and_one_without_is_not(by_keypoints: PoseBench, view: View) -> None:
    array = by_keypoints.ask(view)
    by_keypoints.wait_until(lambda: len(by_keypoints.transforms_at(array.header.stamp)) == len(view.items))
    sent = by_keypoints.transforms_at(array.header.stamp)
    prefix = by_keypoints.node.get_namespace()[1:]
    for found, item in zip(array.detections, view.items, strict=True):
        link, pose = sent[f'{prefix}/{item.label}_{item.identity}'], found.bbox.center
        assert link.header == array.header
        shift, turn = link.transform.translation, link.transform.rotation
        assert (shift.x, shift.y, shift.z) == (pose.position.x, pose.position.y, pose.position.z)
        assert (turn.x, turn.w) == pytest.approx((pose.orientation.x, pose.orientation.w))
    anonymous = by_keypoints.ask(view, ids=False)
    with_id = by_keypoints.ask(view)
    by_keypoints.wait_until(lambda: bool(by_keypoints.transforms_at(with_id.header.stamp)))
    assert not by_keypoints.transforms_at(anonymous.header.stamp)


def test_an_empty_frame_is_an_empty_array(by_keypoints: PoseBench, view: View) -> None:
    by_keypoints.ask(view)
    array = by_keypoints.answer(by_keypoints.send(view, items=()))
    assert not array.detections
    assert not by_keypoints.poses_of(array).poses


def test_a_distorted_lens_is_undone(by_keypoints: PoseBench) -> None:
    bent = view_of(distorted=True)
    assert bent.camera.model == 'plumb_bob'
    for found, item in zip(by_keypoints.ask(bent).detections, bent.items, strict=True):
        assert_near(found, item.pose, m=1e-4, deg=0.01)


def test_an_object_is_where_it_is_at_another_resolution(by_keypoints: PoseBench, view: View) -> None:
    large = view_of(wh=(640, 480))
    for frame in (large, view):
        for found, item in zip(by_keypoints.ask(frame).detections, frame.items, strict=True):
            assert_near(found, item.pose, m=1e-4, deg=0.01)


def test_depth_alone_places_what_any_detector_finds(by_depth: PoseBench, view: View) -> None:
    array = by_depth.ask(view, depth='32FC1')
    for found, item in zip(array.detections, view.items, strict=True):
        assert found.results[0].hypothesis.class_id == item.label
        corners = item.pose.apply(cuboid_corners(item.size))
        position = pose_of(found).translation
        assert (position > corners.min(axis=0)).all()
        assert (position < corners.max(axis=0)).all()
        assert np.linalg.eigvalsh(covariance_of(found)).min() > 0


def test_registration_refines_what_keypoints_find(by_registration: PoseBench, view: View) -> None:
    rough = tuple(replace(item, keypoints=item.keypoints + np.float32((0.9, -0.6, 0))) for item in view.items)
    array = by_registration.ask(view, items=rough, depth='32FC1')
    for found, item in zip(array.detections, view.items, strict=True):
        assert_near(found, item.pose, m=0.003, deg=2.5)


@pytest.mark.parametrize('method', ['by_depth', 'by_registration'])
def test_millimetres_and_metres_give_the_same_poses(method: str, view: View, request: pytest.FixtureRequest) -> None:
    bench = request.getfixturevalue(method)
    metres, millimetres = (bench.ask(view, depth=encoding).detections for encoding in ('32FC1', '16UC1'))
    for one, other in zip(metres, millimetres, strict=True):
        assert np.linalg.norm(pose_of(one).translation - pose_of(other).translation) < 0.001


@pytest.mark.parametrize('own_info', [False, True])
def test_depth_may_have_another_resolution(by_registration: PoseBench, view: View, own_info: bool) -> None:
    if own_info:
        by_registration.put_camera(view.camera.resized(160, 120), topic='depth/camera_info')
    array = by_registration.ask(view, depth='32FC1', depth_wh=(160, 120))
    for found, item in zip(array.detections, view.items, strict=True):
        assert_near(found, item.pose, m=0.003, deg=1.0)


def test_depth_that_comes_within_the_wait_is_used(by_depth: PoseBench, view: View) -> None:
    by_depth.ask(view, depth='32FC1')
    header = by_depth.stamp()
    by_depth.send(view, header=header)
    by_depth.put_depth(header, view.depth)
    assert len(by_depth.answer(header).detections) == len(view.items)


def cloud_of(bench: PoseBench, view: View, depth: str) -> PointCloud2:
    """The cloud of one frame, while the probe listens to clouds."""
    clouds = bench.probe.listen(f'{bench.name}/objects_cloud', PointCloud2)
    header = bench.stamp()
    bench.put_image(header, view.color)
    bench.send(view, header=header, depth=depth)
    bench.answer(header)
    bench.wait_until(lambda: any(cloud.header == header for cloud in list(clouds)), 'the cloud of the frame')
    return next(cloud for cloud in clouds if cloud.header == header)


def test_the_cloud_has_the_objects_points_while_somebody_looks(by_depth: PoseBench, view: View) -> None:
    bench, shown = by_depth, view.only('soup_can', 'toy_block')
    assert not bench.node._cloud.wanted
    cloud = cloud_of(bench, shown, '32FC1')
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z', 'rgb', 'instance', 'class_id']
    layout = [
        ('xyz', '<f4', 3),
        ('b', 'u1'),
        ('g', 'u1'),
        ('r', 'u1'),
        ('_', 'u1'),
        ('instance', '<u4'),
        ('class_id', '<u4'),
    ]
    rows = np.frombuffer(bytes(cloud.data), np.dtype(layout))
    assert len(rows) == cloud.width
    assert set(rows['instance'].tolist()) == {int(item.identity) for item in shown.items}
    for item in shown.items:
        points = rows[rows['instance'] == int(item.identity)]
        assert len(points) > 100
        local = item.pose.inverse().apply(points['xyz'].astype(float))
        on_it = (np.abs(local) < np.array(item.size) / 2 + 0.003).all(axis=1)
        assert on_it.mean() > 0.95, 'points of something else'
        pixels = np.round(view.camera.project(points['xyz'].astype(float))).astype(int)
        expected = view.color[pixels[:, 1], pixels[:, 0]]
        assert (expected == np.column_stack((points['b'], points['g'], points['r']))).all(axis=1).mean() > 0.99
        assert len(set(points['class_id'].tolist())) == 1
    bench.probe.ignore(f'{bench.name}/objects_cloud')
    bench.wait_until(lambda: not bench.node._cloud.wanted)


def test_the_card_s_labels_number_the_classes_of_the_cloud(by_registration: PoseBench, view: View) -> None:
    cloud = cloud_of(by_registration, view.only('book'), '16UC1')
    numbers = np.frombuffer(bytes(cloud.data), '<u4').reshape(-1, 6)[:, 5]
    assert set(numbers.tolist()) == {LABELS.index('book')}
    by_registration.probe.ignore(f'{by_registration.name}/objects_cloud')
