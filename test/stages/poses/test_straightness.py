# SPDX-License-Identifier: Apache-2.0
"""Whether keypoints tell a rectified image from a raw one: they do where they are good, and are silent where not."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest
from support.ros.pose_views import View, seen_through, view_of

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.sim import LABELS, OBJECT_SIZES, default_camera
from isaac_inference.stages.poses import Observed
from isaac_inference.stages.poses.straightness import Straightness

WH = (640, 480)
POINTS = {name: cuboid_corners(OBJECT_SIZES[name]) for name in LABELS}
SCENES = 16


@functools.lru_cache
def cameras() -> tuple[CameraModel, CameraModel]:
    """Raw and rectified."""
    raw = CameraModel(*WH, default_camera(*WH).K, (-0.3, 0.1, 0.001, -0.001, 0.0), 'plumb_bob')
    K, _ = cv2.getOptimalNewCameraMatrix(raw.K, np.array(raw.distortion), WH, 0.0)
    return raw, CameraModel(*WH, np.array(K))


@functools.lru_cache
def views(rectified: bool) -> list[View]:
    return [seen_through(view_of(seed, WH, least=0.5), cameras()[rectified]) for seed in range(SCENES)]


def objects(view: View, px: float, seed: int, bias: dict[str, np.ndarray] | None = None) -> list[Observed]:
    """A network's output: keypoints that are off at random, and always by the same where `bias` says so."""
    rng, found = np.random.default_rng(seed), []
    for item in view.items:
        keypoints = item.keypoints.copy()
        keypoints[:, :2] += rng.normal(0.0, px, (8, 2)) + (bias[item.label] if bias else 0.0)
        found.append(Observed(item.label, 0.9, item.box, keypoints))
    return found


def fresh() -> Straightness:
    return Straightness(POINTS, *cameras(), min_confidence=0.2)


@pytest.mark.parametrize('rectified', [False, True])
@pytest.mark.parametrize('px', [0.0, 0.5, 1.0])
def test_good_keypoints_tell(rectified: bool, px: float) -> None:
    check = fresh()
    answers = [check.put(objects(view, px, seed)) for seed, view in enumerate(views(rectified))]
    assert answers[-1] is rectified
    assert (not rectified) not in answers


@pytest.mark.parametrize('rectified', [False, True])
def test_poor_keypoints_are_silent(rectified: bool) -> None:
    rng = np.random.default_rng(1)
    bias = {name: rng.normal(0.0, 8.0, (8, 2)) for name in LABELS}
    check = fresh()
    answers = [check.put(objects(view, 1.0, seed, bias)) for seed, view in enumerate(views(rectified))]
    assert answers == [None] * SCENES


def test_one_view_again_and_again_is_one_witness() -> None:
    """What a network gets wrong in a still scene, it gets wrong the same way in every frame."""
    check, view = fresh(), views(True)[0]
    assert len(view.items) < 8
    assert [check.put(objects(view, 0.1, seed)) for seed in range(50)] == [None] * 50


def test_what_has_no_keypoints_or_is_not_known_is_no_witness() -> None:
    check, view = fresh(), views(True)[0]
    for item in view.items:
        assert (
            check.put([Observed(item.label, 0.9, item.box), Observed('ghost', 0.9, item.box, item.keypoints)]) is None
        )
