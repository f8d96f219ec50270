# SPDX-License-Identifier: Apache-2.0
"""The covariance of a pose from keypoints: nine of ten errors and more are within two of its standard deviations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.scenes.pnp_scenes import BOX, CAMERA, CARD, SETTINGS, STRAIGHT, random_pose, seen

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.pose.pnp import PnpSettings, estimate_pnp
from isaac_inference.ops.pose.pnp_covariance import luck
from isaac_inference.ops.pose.second_pose import difference
from isaac_inference.sim import OBJECT_SIZES

POSES = 400
TILTED = Pose(so3_exp((1.5, 0.8, 0.3)), np.array([0.1, -0.1, 0.5]))


class Errors:
    """Of many poses: each axis in its standard deviations, squared distances by the covariance, how many were kept."""

    def __init__(self) -> None:
        self.asked = 0
        self._scaled: list[np.ndarray] = []
        self._squares: list[float] = []

    def put(self, keypoints: np.ndarray, model: np.ndarray, truth: Pose, settings: PnpSettings = SETTINGS) -> None:
        self.asked += 1
        try:
            found = estimate_pnp(keypoints, model, CAMERA, settings)
        except FrameError:
            return
        assert found.covariance is not None
        error = difference(truth, found.pose)
        self._scaled.append(error / np.sqrt(found.covariance.diagonal()))
        self._squares.append(float(error @ np.linalg.solve(found.covariance, error)))

    @property
    def kept(self) -> float:
        return len(self._scaled) / self.asked

    def within(self, deviations: float = 2.0) -> np.ndarray:
        """(6,) share of each axis."""
        return np.asarray((np.abs(self._scaled) <= deviations).mean(axis=0))

    @property
    def mean_square(self) -> float:
        """6 for the covariance of what is normal."""
        return float(np.mean(self._squares))


def simulated(noise: float, seed: int, *, near: bool = False, outliers: int = 0, varied: bool = False) -> Errors:
    """Cuboids of the simulator's sizes in any pose, 0.4 to 1.5 m away."""
    rng, errors, sizes = np.random.default_rng(seed), Errors(), list(OBJECT_SIZES.values())
    for _ in range(POSES):
        model = cuboid_corners(sizes[rng.integers(len(sizes))])
        truth = random_pose(rng, rng.uniform(0.4, 0.6 if near else 1.5))
        keypoints = seen(truth, model, noise=noise, rng=rng)
        if varied:
            keypoints[:, 2] = rng.uniform(0.25, 1.0, len(model))
        if outliers:
            wrong = rng.choice(8, outliers, replace=False)
            keypoints[wrong, :2] += rng.choice([-1, 1], (outliers, 2)) * rng.uniform(20, 150, (outliers, 2))
        errors.put(keypoints, model, truth)
    return errors


@pytest.mark.parametrize('noise', [1.0, 2.0, 3.0])
def test_nine_of_ten_errors_are_within_two_standard_deviations(noise: float) -> None:
    """Also where the noise is as large as the limit of an inlier, 4 px on small objects."""
    errors = simulated(noise, 21)
    assert errors.kept > 0.84
    assert errors.within().mean() > 0.905, errors.within()
    assert errors.within().min() > 0.88, errors.within()
    assert errors.within().mean() < 0.99, errors.within()


@pytest.mark.parametrize('noise', [3.0, 5.0, 7.0])
def test_what_gets_by_the_limits_by_luck_is_not_taken_for_exact(noise: float) -> None:
    """Of noise so large that a pose is accepted only where its residuals happen to be small."""
    errors = simulated(noise, 31)
    assert errors.kept < 0.95
    assert 0.90 < errors.within().mean() < 0.985, errors.within()


@pytest.mark.parametrize('free', [2, 4, 10, 40, 134])
def test_luck_grows_from_nothing_and_stays_within_reason(free: int) -> None:
    factors = np.array([luck(passed, free) for passed in np.linspace(0.0, 1.0, 200)])
    assert factors[0] == 1.0 == luck(-1.0, free)
    assert factors[-1] == luck(2.0, free)
    assert factors.min() >= 1.0
    assert factors.max() < 3.0
    assert np.abs(np.diff(factors)).max() < 0.15


def test_residuals_far_from_the_limit_owe_nothing_to_luck() -> None:
    assert luck(0.1, 10) < 1.02


@pytest.mark.parametrize(('noise', 'outliers'), [(1.0, 1), (1.0, 2), (2.0, 1)])
def test_so_they_are_with_outliers(noise: float, outliers: int) -> None:
    errors = simulated(noise, 22, outliers=outliers)
    assert errors.kept > 0.93
    assert 0.91 < errors.within().mean() < 0.99, errors.within()


@pytest.mark.parametrize('noise', [1.0, 2.0])
def test_confidences_that_say_nothing_do_not_make_it_surer(noise: float) -> None:
    errors = simulated(noise, 23, varied=True)
    assert 0.905 < errors.within().mean() < 0.99, errors.within()


def test_confidences_that_are_right_are_worth_something() -> None:
    """A standard deviation inverse to the confidence, as `confidence_power` 1 takes it."""
    rng, settings = np.random.default_rng(24), replace(SETTINGS, pixel_noise=0.1)
    confidence = np.array([1.0, 1.0, 1.0, 1.0, 0.3, 0.3, 0.3, 0.3])
    weighted, equal = [], []
    for _ in range(200):
        keypoints = seen(STRAIGHT)
        keypoints[:, :2] += rng.normal(size=(8, 2)) / confidence[:, None]
        keypoints[:, 2] = confidence
        for found, power in ((weighted, 1.0), (equal, 0.0)):
            pose = estimate_pnp(keypoints, BOX, CAMERA, replace(settings, confidence_power=power))
            assert pose.covariance is not None
            found.append((difference(STRAIGHT, pose.pose)[:3], pose.covariance.diagonal()[:3]))
    (error, spread), (other_error, other_spread) = (
        (np.linalg.norm([item[0] for item in found]), np.mean([item[1] for item in found]))
        for found in (weighted, equal)
    )
    assert error < 0.8 * other_error
    assert spread < 0.85 * other_spread


@pytest.mark.parametrize(
    ('model', 'truth'), [(BOX, STRAIGHT), (BOX, TILTED), (CARD, STRAIGHT)], ids=['box', 'near box', 'card']
)
def test_it_has_the_directions_of_the_errors(model: np.ndarray, truth: Pose) -> None:
    """Six degrees of freedom; few points are cautious, for they may fit by chance."""
    rng, errors = np.random.default_rng(8), Errors()
    for _ in range(250):
        errors.put(seen(truth, model, noise=1.0, rng=rng), model, truth)
    assert 2.5 < errors.mean_square < 7.0
    assert (errors.within() > 0.93).all(), errors.within()


def test_four_points_are_as_uncertain_as_two_degrees_of_freedom_leave_them() -> None:
    rng, errors = np.random.default_rng(25), Errors()
    for _ in range(POSES):
        model = BOX[rng.choice(8, 4, replace=False)]
        truth = random_pose(rng, rng.uniform(0.4, 1.0))
        errors.put(seen(truth, model, noise=2.0, rng=rng), model, truth)
    assert errors.within().mean() > 0.905, errors.within()


def test_it_grows_with_the_noise_and_is_never_below_its_floor() -> None:
    rng = np.random.default_rng(9)
    exact = estimate_pnp(seen(STRAIGHT), BOX, CAMERA, SETTINGS).covariance
    finer = estimate_pnp(seen(STRAIGHT), BOX, CAMERA, replace(SETTINGS, pixel_noise=0.5)).covariance
    noisy = estimate_pnp(seen(STRAIGHT, noise=2.5, rng=rng), BOX, CAMERA, replace(SETTINGS, inlier_px=12, max_rms_px=9))
    assert exact is not None and finer is not None and noisy.covariance is not None
    np.testing.assert_allclose(exact, 4.0 * finer)
    np.testing.assert_allclose(exact, exact.T)
    assert noisy.covariance[2, 2] > 2.0 * exact[2, 2]


def test_a_point_just_beyond_the_limit_is_no_outlier_where_the_others_are_as_noisy() -> None:
    """Left out, it would make the rest look better than it is."""
    rng = np.random.default_rng(26)
    left_out = 0
    for _ in range(200):
        truth = random_pose(rng, 1.2)
        found = estimate_pnp(seen(truth, noise=1.8, rng=rng), BOX, CAMERA, replace(SETTINGS, inlier_extent=0.0))
        left_out += int(np.count_nonzero(~found.inliers))
    assert left_out <= 4
