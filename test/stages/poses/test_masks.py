# SPDX-License-Identifier: Apache-2.0
"""Poses of objects whose mask is known: which pixels count, and the box around them instead of the detector's."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.ros.pose_views import Card, View, distance, view_of

from isaac_inference.errors import FrameError
from isaac_inference.models import ModelCard, ObjectSpec, read_card
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.depth.foreground import masked_foreground
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.sim.depth_scenes import DepthScene, depth_scene
from isaac_inference.stages.poses import DepthView, Observed, PoseEstimator, PoseMethod, PoseSettings
from isaac_inference.stages.poses.by_depth import DepthMethod

CAMERA = CameraModel(64, 48, np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]))


@pytest.fixture(scope='module')
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return read_card(Card().write(tmp_path_factory.mktemp('card')))


@functools.cache
def scenes() -> tuple[DepthScene, ...]:
    """Things on a table, some of them partly hidden, in depth with all its faults."""
    return tuple(depth_scene(name, seed) for name in ('meat_can', 'cracker_box', 'mug') for seed in range(60, 66))


def view(scene: DepthScene) -> DepthView:
    return DepthView(DepthImage(scene.depth, 1.0), scene.camera)


def errors(boxes: list[np.ndarray], masked: bool) -> np.ndarray:
    """m, of each scene's position."""
    kinds = {scene.kind.name: scene.kind for scene in scenes()}
    method = DepthMethod({name: ObjectSpec(name, kind.size, kind.shape) for name, kind in kinds.items()})
    found = []
    for scene, box in zip(scenes(), boxes, strict=True):
        seen = Observed(scene.kind.name, 0.9, box, None, scene.mask if masked else None)
        try:
            pose = method.estimate(seen, scene.camera, view(scene)).pose
            found.append(float(np.linalg.norm(pose.translation - scene.pose.translation)))
        except FrameError:
            found.append(np.inf)
    return np.array(found)


def test_a_loose_box_costs_nothing_where_there_is_a_mask() -> None:
    tight = [scene.box for scene in scenes()]
    grown = [box + 0.15 * np.tile(box[2:] - box[:2], 2) * (-1, -1, 1, 1) for box in tight]
    wh = np.array([(scene.camera.width, scene.camera.height) * 2 for scene in scenes()])
    loose = list(np.clip(grown, 0, wh))
    exact, of_mask, of_box = errors(tight, True), errors(loose, True), errors(loose, False)
    assert np.median(of_mask) < 1.5 * np.median(exact) + 0.001
    assert np.median(of_mask) < 0.75 * np.median(of_box)


def test_an_empty_mask_is_as_good_as_none() -> None:
    scene = scenes()[0]
    method = DepthMethod({})
    seen = Observed(scene.kind.name, 0.9, scene.box)
    without = method.estimate(seen, scene.camera, view(scene))
    empty = method.estimate(replace(seen, mask=np.zeros_like(scene.mask)), scene.camera, view(scene))
    np.testing.assert_array_equal(empty.pose.translation, without.pose.translation)


def test_a_mask_over_few_points_of_depth_is_refused() -> None:
    depth = np.full((48, 64), 1.0, np.float32)
    depth[10:30, 20:40] = np.nan
    mask = np.zeros((48, 64), np.bool_)
    mask[10:31, 20:40] = True
    with pytest.raises(FrameError) as error:
        DepthMethod({}).estimate(
            Observed('cup', 0.9, np.array([20, 10, 40, 31.0]), None, mask),
            CAMERA,
            DepthView(DepthImage(depth, 1.0), CAMERA),
        )
    assert error.value.reason == 'depth_missing'


def test_what_a_mask_s_edge_shows_of_the_background_is_not_the_object() -> None:
    depth = np.full((48, 64), 2.0, np.float32)
    depth[12:36, 16:48] = 1.0
    mask = np.zeros((48, 64), np.bool_)
    mask[10:38, 14:50] = True  # two pixels too large on each side
    seen = Observed('cup', 0.9, np.array([14, 10, 50, 38.0]), None, mask)
    found = DepthMethod({}).estimate(seen, CAMERA, DepthView(DepthImage(depth, 1.0), CAMERA))
    assert abs(found.pose.translation[2] - 1.0) < 0.01
    assert sorted(found.size.round(2).tolist())[1:] == pytest.approx([24 / 50, 32 / 50], abs=0.03)


def test_the_foreground_of_a_mask_needs_points() -> None:
    points, inside = np.ones((40, 3)), np.zeros(40, np.bool_)
    with pytest.raises(FrameError) as error:
        masked_foreground(points, inside, 0.2)
    assert error.value.reason == 'depth_missing'


def shown_by(scene: View, item: Any) -> np.ndarray:
    """(H, W) bool, the pixels whose depth lies in the object."""
    x, y = np.meshgrid(np.arange(scene.camera.width) + 0.5, np.arange(scene.camera.height) + 0.5)
    rays = np.stack(
        ((x - scene.camera.K[0, 2]) / scene.camera.K[0, 0], (y - scene.camera.K[1, 2]) / scene.camera.K[1, 1])
    )
    points = np.moveaxis(np.concatenate((rays, np.ones((1, *x.shape)))) * scene.depth, 0, -1)
    local = item.pose.inverse().apply(points.reshape(-1, 3)).reshape(points.shape)
    return np.asarray((np.abs(local) < np.array(item.size) / 2 + 0.004).all(axis=2))


def test_registration_searches_the_points_under_the_mask(card: ModelCard) -> None:
    """Before the object's middle is another thing; without the mask that is what is looked at."""
    scene = view_of()
    item = scene.item('soup_can')
    mask = shown_by(scene, item)
    left, top, right, bottom = item.box.astype(int)
    high = bottom - top
    other = slice(top + high // 3, bottom - high // 3), slice(left, right - (right - left) // 4)
    depth = scene.depth.copy()
    depth[other], mask[other] = 0.5 * depth[mask].mean(), False
    settings = PoseSettings(registration=RegistrationSettings(allow_geometric_symmetry=True, min_support=0.2))
    estimator = PoseEstimator(card, PoseMethod.REGISTRATION, settings)
    seen, shown = Observed(item.label, 0.9, item.box), DepthView(DepthImage(depth, 1.0), scene.camera)
    with pytest.raises(FrameError):
        estimator.estimate(seen, scene.camera, shown)
    found = estimator.estimate(replace(seen, mask=mask), scene.camera, shown)
    assert found.method == 'registration: global'
    assert distance(found.pose, item.pose) < 0.02


def test_registration_takes_a_loose_box_where_there_is_a_mask(card: ModelCard) -> None:
    scene = view_of()
    item = scene.item('soup_can')
    mask = shown_by(scene, item)
    wide = item.box + np.array([-0.4 * (item.box[2] - item.box[0]), 0, 0, 0], np.float32)
    settings = PoseSettings(registration=RegistrationSettings(allow_geometric_symmetry=True))
    estimator = PoseEstimator(card, PoseMethod.REGISTRATION, settings)
    shown = DepthView(DepthImage(scene.depth, 1.0), scene.camera)
    with pytest.raises(FrameError, match='past the object'):
        estimator.estimate(Observed(item.label, 0.9, wide), scene.camera, shown)
    found = estimator.estimate(Observed(item.label, 0.9, wide, mask=mask), scene.camera, shown)
    assert distance(found.pose, item.pose) < 0.01
