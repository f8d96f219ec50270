# SPDX-License-Identifier: Apache-2.0
"""Scale and shift from known depths: with noise, with outliers, and where they cannot be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.dense.ground import ground_depths
from isaac_inference.ops.depth.dense.scale_shift import FitSettings, ScaleShift, SmoothScaleShift, fit_scale_shift
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp


def scene(seed: int, inverse: bool) -> tuple[np.ndarray, np.ndarray, float, float]:
    """(numbers, known depth, scale, shift) of a random scene, the numbers with a network's noise."""
    rng = np.random.default_rng(seed)
    known = rng.uniform(0.6, 6.0, 3000)
    scale, shift = rng.uniform(0.05, 2.0), rng.uniform(-0.05, 0.1)
    target = 1.0 / known if inverse else known
    numbers = (target * (1.0 + rng.normal(0.0, 0.02, known.size)) - shift) / scale
    return numbers, known, scale, shift


@pytest.mark.parametrize('inverse', [True, False])
@pytest.mark.parametrize('seed', range(9000, 9010))
def test_a_third_of_wrong_depths_does_not_matter(seed: int, inverse: bool) -> None:
    numbers, known, *_ = scene(seed, inverse)
    truth, rng = known.copy(), np.random.default_rng(seed)
    wrong = rng.random(known.size) < 0.33
    known[wrong] = rng.uniform(0.3, 8.0, wrong.sum())
    known[rng.random(known.size) < 0.2] = np.nan
    found = fit_scale_shift(numbers, known, inverse)
    off = np.abs(found.depth(numbers.astype(np.float32)) - truth) / truth
    assert np.median(off) < 0.025
    assert 0.6 < found.inliers < 0.8


@pytest.mark.parametrize('inverse', [True, False])
def test_without_noise_it_is_exact(inverse: bool) -> None:
    known = np.linspace(0.5, 5.0, 300).reshape(10, 30)
    numbers = ((1.0 / known if inverse else known) - 0.07) / 0.3
    found = fit_scale_shift(numbers, known, inverse)
    assert (found.scale, found.shift) == (pytest.approx(0.3, rel=1e-6), pytest.approx(0.07, rel=1e-5))
    assert found.inliers == 1.0 and found.count == 300


@pytest.mark.parametrize(
    'change, reason',
    [
        (lambda numbers, known: (numbers, np.where(np.arange(known.size) < 30, known, np.nan)), 'align_few_points'),
        (lambda numbers, known: (numbers, np.full_like(known, np.nan)), 'align_few_points'),
        (lambda numbers, known: (numbers, known[::-1].copy()), 'align_disagrees'),
        (lambda numbers, known: (-numbers, known), 'align_disagrees'),
        (lambda numbers, known: (np.full_like(numbers, 3.0), known), 'align_disagrees'),
        (lambda numbers, known: (numbers, 2.0 + 0.01 * known), 'align_one_distance'),
    ],
)
def test_what_cannot_be_trusted_is_named(change, reason: str) -> None:
    numbers, known, *_ = scene(9100, True)
    with pytest.raises(FrameError) as error:
        fit_scale_shift(*change(numbers, known), inverse=True)
    assert error.value.reason == reason


def test_depth_that_would_be_behind_the_camera_is_unknown() -> None:
    rule = ScaleShift(1.0, -0.5, inverse=True)
    np.testing.assert_array_equal(
        rule.depth(np.array([1.0, 0.5, 0.2, np.nan], np.float32)), [2.0, np.nan, np.nan, np.nan]
    )
    assert np.isnan(ScaleShift(1.0, -3.0, inverse=False).depth(np.array([2.0], np.float32))).all()


@pytest.mark.parametrize('width', [639, 640, 641])
@pytest.mark.parametrize('pattern', [(1, 4, 1, 4), (0, 1, 1, 2), (3, 16, 0, 1), (0, 1, 0, 40), (2, 5, 3, 7)])
def test_readings_in_a_pattern_are_all_looked_for(width: int, pattern: tuple[int, int, int, int]) -> None:
    """As a lidar's rings have them, or a camera that measures every other column."""
    row, rows, column, columns = pattern
    rng = np.random.default_rng(width)
    truth = rng.uniform(0.6, 6.0, (480, width)).astype(np.float32)
    known = np.full_like(truth, np.nan)
    known[row::rows, column::columns] = truth[row::rows, column::columns]
    found = fit_scale_shift((1.0 / truth - 0.1) / 0.02, known, inverse=True)
    assert (found.scale, found.shift) == (pytest.approx(0.02, rel=1e-4), pytest.approx(0.1, rel=1e-4))
    count = np.count_nonzero(np.isfinite(known))
    assert min(count, 2900) <= found.count <= min(count, 6200) and found.inliers == 1.0


def test_the_least_squares_are_those_of_an_independent_solver() -> None:
    rng = np.random.default_rng(5)
    known = rng.uniform(0.6, 6.0, 2500)
    numbers = (1.0 / known * (1.0 + rng.normal(0.0, 0.02, known.size)) - 0.05) / 0.7
    found = fit_scale_shift(numbers, known, inverse=True, settings=FitSettings(tolerance=0.5))
    rows = np.column_stack((numbers * known, known))
    expected = np.linalg.lstsq(rows, np.ones(known.size), rcond=None)[0]
    np.testing.assert_allclose((found.scale, found.shift), expected, rtol=1e-9)


def test_the_running_mean_damps_noise_and_follows_a_jump_at_once() -> None:
    smooth = SmoothScaleShift(0.25)
    rng = np.random.default_rng(1)
    fits = [ScaleShift(1.0 + rng.normal(0, 0.03), 0.0, True) for _ in range(200)]
    means = [smooth.put(fit, 1.0).scale for fit in fits]
    assert np.std(means[50:]) < 0.5 * np.std([fit.scale for fit in fits])
    assert smooth.put(ScaleShift(2.0, 0.0, True), 1.0).scale == 2.0
    smooth.clear()
    assert smooth.put(ScaleShift(1.1, 0.0, True), 1.0).scale == 1.1


def test_settings_decide_what_is_believed() -> None:
    numbers, known, *_ = scene(9200, True)
    known[::2] = 9.0
    fit_scale_shift(numbers, known, True, FitSettings(min_inliers=0.4))
    with pytest.raises(FrameError):
        fit_scale_shift(numbers, known, True, FitSettings(min_inliers=0.7))


def test_the_ground_is_as_deep_as_its_points() -> None:
    camera = CameraModel(320, 240, np.array([[250.0, 0, 159.5], [0, 250, 119.5], [0, 0, 1]]))
    optical = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # of a camera that looks along x, with z up
    place = Pose(so3_exp(np.array([0.0, 0.5, 0.0])) @ optical, np.array([0.2, 0.0, 1.1]))
    ground = np.column_stack((np.random.default_rng(0).uniform((1.0, -1.0), (3.0, 1.0), (50, 2)), np.zeros(50)))
    seen = place.inverse().apply(ground)
    depth = ground_depths(camera, place, camera.project(seen), 10.0)
    np.testing.assert_allclose(depth, seen[:, 2], rtol=1e-9)
    assert np.isnan(ground_depths(camera, place, np.array([[160.0, -400.0]]), 10.0)).all()  # the sky
    assert np.isnan(ground_depths(camera, place, camera.project(seen), 0.5)).all()
    with pytest.raises(FrameError, match='-1.100 m above the ground'):
        ground_depths(camera, Pose(place.rotation, -place.translation), np.zeros((1, 2)), 10.0)
