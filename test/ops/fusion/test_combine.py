# SPDX-License-Identifier: Apache-2.0
"""Combined poses are as good as they say, and say what calibration, motion and common errors take from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.fusion import FusionSettings, checked_covariance
from isaac_inference.ops.fusion.combine import calibration_covariance, combine, squared_distance
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.symmetry import Symmetry
from isaac_inference.ops.pose.second_pose import difference

SEED = 17


def spread(rng: np.random.Generator, position: float = 0.004, rotation: float = 0.03) -> np.ndarray:
    """A covariance, long in one direction as a camera's is along its view."""
    scales = np.repeat((position, rotation), 3) * rng.uniform(0.3, 3.0, 6)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    mixed = np.diag(scales) @ (np.eye(6) + 0.3 * (turn + turn.T)) @ np.diag(scales)
    return mixed @ mixed.T / np.linalg.norm(mixed) + np.diag(scales**2)


def measured(rng: np.random.Generator, truth: Pose, covariance: np.ndarray) -> Pose:
    error = np.linalg.cholesky(covariance) @ rng.normal(size=6)
    return Pose(so3_exp(error[3:]) @ truth.rotation, truth.translation + error[:3])


@pytest.mark.parametrize('cameras', [2, 3, 5])
def test_errors_are_as_large_as_the_covariance_says(cameras):
    rng, squares = np.random.default_rng(SEED), []
    for _ in range(400):
        truth = Pose.from_quaternion(rng.normal(size=4), rng.normal(size=3))
        covariances = [spread(rng) for _ in range(cameras)]
        pose, covariance = combine([measured(rng, truth, one) for one in covariances], covariances)
        error = difference(truth, pose)
        squares.append(float(error @ np.linalg.solve(covariance, error)))
        assert all(np.linalg.eigvalsh(one - covariance)[0] > -1e-12 for one in covariances), 'nobody was surer'
    for level in (0.5, 0.9, 0.99):
        expected = 4 * np.sqrt(level * (1 - level) / len(squares))
        assert np.mean(squares <= chi2.ppf(level, 6)) == pytest.approx(level, abs=expected)


def test_who_is_surer_counts_for_more_in_each_direction():
    poses = [Pose.identity(), Pose(np.eye(3), np.array([0.01, 0.01, 0.0]))]
    sure_of_x, sure_of_y = np.diag([1e-8, 1e-4, 1e-6, 1e-4, 1e-4, 1e-4]), np.diag([1e-4, 1e-8, 1e-6, 1e-4, 1e-4, 1e-4])
    pose, _ = combine(poses, [sure_of_x, sure_of_y])
    np.testing.assert_allclose(pose.translation[:2], [0.0, 0.01], atol=2e-6)


def test_one_measurement_stays_as_it_is():
    pose, covariance = Pose.from_quaternion((0.1, 0.2, 0.3, 0.9)), np.eye(6)
    assert combine([pose], [covariance]) == (pose, covariance)


def test_errors_that_are_the_same_ones_are_not_taken_for_two():
    """Two models on one camera: what its lens gets wrong, both get wrong."""
    rng, inside = np.random.default_rng(SEED), {True: [], False: []}
    covariances = [2e-5 * np.eye(6)] * 2
    for _ in range(300):
        common, own = rng.normal(size=6), rng.normal(size=(2, 6))
        errors = np.sqrt(2e-5) * (np.sqrt(0.9) * common + np.sqrt(0.1) * own)
        poses = [Pose(so3_exp(error[3:]), error[:3]) for error in errors]
        for correlated, found in inside.items():
            pose, covariance = combine(poses, covariances, correlated=correlated)
            error = difference(Pose.identity(), pose)
            found.append(float(error @ np.linalg.solve(covariance, error)) <= chi2.ppf(0.95, 6))
    assert np.mean(inside[False]) < 0.8, 'taken as independent, it claims too much'
    assert np.mean(inside[True]) >= 0.93


def test_a_wrong_calibration_is_in_the_covariance_that_it_makes_necessary():
    rng, sigma_m, sigma_rad = np.random.default_rng(SEED), 0.003, 0.004
    place, eye = np.array([0.3, -0.2, 0.1]), np.array([-0.4, 0.5, 0.7])
    errors = []
    for _ in range(20000):
        shift, turn = sigma_m * rng.normal(size=3), sigma_rad * rng.normal(size=3)
        R = so3_exp(turn)
        errors.append(np.concatenate((R @ (place - eye) + eye + shift - place, turn)))
    expected = calibration_covariance(place, eye, sigma_m, sigma_rad)
    np.testing.assert_allclose(np.cov(np.array(errors).T), expected, atol=0.05 * expected.max())


def test_look_alikes_are_not_apart():
    can, turned = [Symmetry('z', 0)], Pose(so3_exp((0.0, 0.0, 2.0)), np.zeros(3))
    assert squared_distance(Pose.identity(), np.eye(6), turned, np.eye(6), can) == pytest.approx(0.0, abs=1e-9)
    assert squared_distance(Pose.identity(), np.eye(6), turned, np.eye(6)) == pytest.approx(2.0)


@pytest.mark.parametrize(
    'wrong, told',
    [
        (np.full((6, 6), np.nan), '6x6 finite numbers'),
        (np.eye(6) + np.eye(6, k=1), 'not symmetric'),
        (np.diag([1.0, 1, 1, 1, 1, 0]), 'smallest of its six variances is 0'),
    ],
)
def test_what_is_no_covariance_is_refused(wrong, told):
    with pytest.raises(FrameError, match=told) as caught:
        checked_covariance(wrong)
    assert caught.value.reason == 'bad_covariance'


@pytest.mark.parametrize(
    'setting', [{'majority': 0.4}, {'gate': 0.0}, {'extrinsic_sigma_m': -1e-3}, {'takeover_hits': 0}, {'speed': np.nan}]
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ConfigError, match=f'fusion, {next(iter(setting))}: got'):
        FusionSettings(**setting)
