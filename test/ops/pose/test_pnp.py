# SPDX-License-Identifier: Apache-2.0
"""Poses from keypoints: exact, noisy, with outliers, through lenses, flat and symmetric; and their covariance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.scenes.pnp_scenes import (
    BOX,
    CAMERA,
    CARD,
    SETTINGS,
    STRAIGHT,
    THIN,
    position_error,
    random_pose,
    refused,
    seen,
    turned_error,
)

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical, equivalents
from isaac_inference.ops.pose.pnp import estimate_pnp

LENSES = {
    'plumb_bob': (-0.3, 0.12, 0.001, -0.002, 0.01),
    'rational_polynomial': (0.5, -0.3, 0.0005, 0.0002, 0.05, 0.8, -0.2, 0.02),
    'equidistant': (-0.02, 0.01, -0.003, 0.001),
}


@pytest.mark.parametrize(
    ('model', 'method'),
    [(BOX, 'sqpnp'), (BOX[[0, 1, 2, 4]], 'sqpnp'), (CARD, 'ippe'), (CARD[:4], 'ippe'), (THIN, 'ippe')],
    ids=['box', 'four corners', 'card', 'four of a card', 'thin'],
)
def test_exact_keypoints_give_the_exact_pose(model: np.ndarray, method: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        truth = random_pose(rng, rng.uniform(0.4, 3.0))
        flat = method == 'ippe'
        if flat and abs(truth.rotation[:, 2] @ truth.translation) < 0.2 * np.linalg.norm(truth.translation):
            continue  # seen from the side
        found = estimate_pnp(seen(truth, model), model, CAMERA, SETTINGS)
        np.testing.assert_allclose(found.pose.matrix(), truth.matrix(), atol=1e-6)
        assert found.method == method
        assert found.rms < 1e-4
        assert found.score == 1.0
        assert found.inliers.all()


@pytest.mark.parametrize('size_wh', [(640, 480), (320, 240), (1280, 720)], ids='{0[0]}x{0[1]}'.format)
@pytest.mark.parametrize(('size', 'distance'), [(0.2, 0.6), (1.0, 3.0), (3.0, 9.0), (0.07, 0.2), (0.35, 1.0)])
def test_noisy_cuboids_within_two_percent(size: float, distance: float, size_wh: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    camera, model = CAMERA.resized(*size_wh), cuboid_corners((size, 0.8 * size, 0.6 * size))
    errors = []
    for _ in range(15):
        truth = random_pose(rng, distance)
        found = estimate_pnp(seen(truth, model, camera, 1.0, rng), model, camera, SETTINGS)
        errors.append(position_error(found, truth))
        assert turned_error(found, truth) < np.radians(5.0)
    assert max(errors) < 0.02


def test_the_edge_convention_of_keypoints() -> None:
    """A point on the optical axis is seen at the centre of pixel (320, 240), which is 320.5 from the edge."""
    keypoints = seen(Pose(np.eye(3), np.array([0, 0, 1.0])))
    assert keypoints[:, :2].mean(axis=0) == pytest.approx([320.5, 240.5])
    found = estimate_pnp(keypoints, BOX, CAMERA, SETTINGS)
    np.testing.assert_allclose(found.pose.translation, [0, 0, 1], atol=1e-9)


@pytest.mark.parametrize('lens', LENSES)
def test_lens_distortion_is_undone(lens: str) -> None:
    rng = np.random.default_rng(2)
    bent = replace(CAMERA, distortion=LENSES[lens], model=lens)
    for _ in range(20):
        truth = Pose(random_pose(rng, 1.0).rotation, np.array([0.25, 0.2, 0.9]))
        found = estimate_pnp(seen(truth, camera=bent), BOX, bent, SETTINGS)
        np.testing.assert_allclose(found.pose.matrix(), truth.matrix(), atol=1e-6)
    without = estimate_pnp(seen(truth, camera=bent), BOX, CAMERA, replace(SETTINGS, inlier_px=40, max_rms_px=40))
    assert position_error(without, truth) > 1e-3  # so there was something to undo


@pytest.mark.parametrize('outliers', [1, 2])
def test_gross_outliers_are_left_out(outliers: int) -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        truth = random_pose(rng, rng.uniform(0.4, 1.2))
        keypoints = seen(truth, noise=0.7, rng=rng)
        wrong = rng.choice(8, outliers, replace=False)
        keypoints[wrong, :2] += rng.choice([-1, 1], (outliers, 2)) * rng.uniform(20, 150, (outliers, 2))
        found = estimate_pnp(keypoints, BOX, CAMERA, SETTINGS)
        assert not found.inliers[wrong].any()
        assert found.method == 'sqpnp+ransac'
        assert found.score <= (8 - outliers) / 8
        assert position_error(found, truth) < 0.04
        assert turned_error(found, truth) < np.radians(12.0)


def test_a_fifth_of_many_points_may_be_wrong() -> None:
    rng = np.random.default_rng(4)
    model = rng.uniform(-0.1, 0.1, (40, 3))
    keypoints = seen(STRAIGHT, model, noise=0.5, rng=rng)
    wrong = rng.choice(40, 8, replace=False)
    keypoints[wrong, :2] = rng.uniform((0, 0), (640, 480), (8, 2))
    found = estimate_pnp(keypoints, model, CAMERA, SETTINGS)
    assert not found.inliers[wrong].any()
    assert found.inliers.sum() >= 31
    assert position_error(found, STRAIGHT) < 0.005


def test_the_same_keypoints_give_the_same_pose() -> None:
    rng = np.random.default_rng(5)
    keypoints = seen(STRAIGHT, noise=1.0, rng=rng)
    keypoints[[1, 6], :2] += 60
    first, second = (estimate_pnp(keypoints, BOX, CAMERA, SETTINGS) for _ in range(2))
    np.testing.assert_array_equal(first.pose.matrix(), second.pose.matrix())
    assert first.covariance is not None
    np.testing.assert_array_equal(first.covariance, second.covariance)


def test_a_sure_keypoint_counts_more() -> None:
    keypoints = seen(STRAIGHT)
    keypoints[0, 0] += 3.0
    sure, unsure = keypoints.copy(), keypoints.copy()
    unsure[0, 2] = 0.31
    settings = replace(SETTINGS, inlier_px=6.0)
    errors = [position_error(estimate_pnp(rows, BOX, CAMERA, settings), STRAIGHT) for rows in (sure, unsure)]
    assert errors[1] < 0.6 * errors[0]


def test_unsure_keypoints_are_left_out() -> None:
    keypoints = seen(STRAIGHT)
    keypoints[:4, 2] = 0.1
    keypoints[0, :2] = np.nan  # not found at all
    keypoints[1, :2] = 10_000.0
    found = estimate_pnp(keypoints, BOX, CAMERA, SETTINGS)
    assert found.inliers.tolist() == [False] * 4 + [True] * 4
    np.testing.assert_allclose(found.pose.matrix(), STRAIGHT.matrix(), atol=1e-6)


def test_network_output_in_float32() -> None:
    found = estimate_pnp(seen(STRAIGHT).astype(np.float32), BOX.astype(np.float32), CAMERA, SETTINGS)
    assert position_error(found, STRAIGHT) < 1e-4


def test_limits_grow_with_the_object() -> None:
    """A near object's keypoints are off by more pixels, and by no larger part of it."""
    rng = np.random.default_rng(6)
    near = Pose(STRAIGHT.rotation, np.array([0.02, 0.0, 0.3]))
    keypoints = seen(near, noise=5.0, rng=rng)
    found = estimate_pnp(keypoints, BOX, CAMERA, SETTINGS)
    assert found.rms > SETTINGS.max_rms_px
    assert position_error(found, near) < 0.03
    fixed = replace(SETTINGS, inlier_extent=0.0, max_rms_extent=0.0)
    with pytest.raises(FrameError):
        estimate_pnp(keypoints, BOX, CAMERA, fixed)


@pytest.mark.parametrize('symmetries', [(('z', 2),), (('x', 2), ('y', 2), ('z', 2)), (('z', 0),)])
def test_symmetric_objects_get_their_canonical_pose(symmetries: tuple[tuple[str, int], ...]) -> None:
    rng, symmetry = np.random.default_rng(7), tuple(Symmetry(*pair) for pair in symmetries)
    for _ in range(10):
        truth = random_pose(rng, 1.0)
        for alike in equivalents(truth, symmetry, steps=3):
            found = estimate_pnp(seen(alike), BOX, CAMERA, SETTINGS, symmetry)
            np.testing.assert_allclose(found.pose.matrix(), canonical(truth, symmetry).matrix(), atol=1e-6)


def test_a_flat_object_that_may_be_mirrored() -> None:
    """Far away and nearly square on, both poses fit: the covariance says so, or the pose is refused on demand."""
    far = Pose(so3_exp((0.5, 0.2, 0.0)), np.array([0.0, 0.0, 4.0]))
    found = estimate_pnp(seen(far, CARD), CARD, CAMERA, SETTINGS)
    assert found.ambiguity > 0.9
    assert found.covariance is not None
    assert np.sqrt(found.covariance[3:, 3:].trace()) > 0.5
    strict = replace(SETTINGS, max_ambiguity=0.8)
    assert 'mirrored pose fits' in refused('ambiguous_pose', seen(far, CARD), CARD, strict)

    near = Pose(so3_exp((0.7, 0.2, 0.0)), np.array([0.0, 0.0, 0.5]))
    found = estimate_pnp(seen(near, CARD), CARD, CAMERA, strict)
    assert found.ambiguity < 0.5
    assert found.covariance is not None
    assert np.sqrt(found.covariance[3:, 3:].trace()) < 0.1


def test_the_second_pose_of_a_flat_object_is_found_when_it_fits_better() -> None:
    rng = np.random.default_rng(10)
    for _ in range(40):
        truth = Pose(so3_exp(rng.uniform(-0.7, 0.7, 3)), np.array([0.05, 0.0, 0.6]))
        found = estimate_pnp(seen(truth, CARD, noise=0.3, rng=rng), CARD, CAMERA, SETTINGS)
        assert turned_error(found, truth) < np.radians(8.0) or found.ambiguity > 0.5


def test_a_flat_object_with_an_outlier() -> None:
    keypoints = seen(STRAIGHT, CARD)
    keypoints[4, :2] += 50
    found = estimate_pnp(keypoints, CARD, CAMERA, SETTINGS)
    assert found.method == 'ippe+ransac'
    assert found.inliers.tolist() == [True] * 4 + [False]
    assert turned_error(found, STRAIGHT) < 1e-6


def test_outliers_without_any_confidence() -> None:
    """Where `min_confidence` lets them in, they are weighed like the others, and left out."""
    keypoints = seen(STRAIGHT)
    keypoints[[1, 6]] += ((40.0, 0.0, -1.0), (0.0, -30.0, -1.0))
    found = estimate_pnp(keypoints, BOX, CAMERA, replace(SETTINGS, min_confidence=0.0))
    assert found.inliers.tolist() == [True, False, True, True, True, True, False, True]
    assert position_error(found, STRAIGHT) < 1e-6
    none_sure = seen(STRAIGHT) * (1.0, 1.0, 0.0)
    assert position_error(estimate_pnp(none_sure, BOX, CAMERA, replace(SETTINGS, min_confidence=0.0)), STRAIGHT) < 1e-6
