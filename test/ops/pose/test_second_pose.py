# SPDX-License-Identifier: Apache-2.0
"""The second pose of a flat object: how probable it is, and a covariance that spans both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.scenes.pnp_scenes import BOX, CAMERA, CARD, SETTINGS, STRAIGHT, seen

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp, transform_covariance
from isaac_inference.ops.geometry.symmetry import Symmetry
from isaac_inference.ops.pose.pnp import PoseEstimate, estimate_pnp
from isaac_inference.ops.pose.second_pose import SecondPose, either, first_alone, moved

TAG = 0.05 * np.array([(-1.0, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)])
FACING = so3_exp((np.pi, 0, 0))
FLAT = replace(SETTINGS, pixel_noise=0.3)
FLIP = np.radians(15.0)


def tag_at(rng: np.random.Generator, most_deg: float, distance: float) -> Pose:
    azimuth, tilt = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(0, most_deg))
    turn = so3_exp(tilt * np.array([np.cos(azimuth), np.sin(azimuth), 0.0])) @ FACING
    return Pose(turn, np.array([*rng.uniform(-0.1, 0.1, 2), distance]))


def off(found: Pose, truth: Pose) -> float:
    return rotation_angle(found.rotation @ truth.rotation.T)


def test_it_is_as_probable_as_it_turns_out_to_be_the_right_one() -> None:
    rng = np.random.default_rng(31)
    claimed, right, tries = 0.0, 0, 0
    for _ in range(600):
        truth = tag_at(rng, 60.0, rng.uniform(0.6, 2.0))
        found = estimate_pnp(seen(truth, TAG, noise=0.3, rng=rng), TAG, CAMERA, FLAT)
        if found.other is None or off(found.other.pose, found.pose) < 2 * FLIP:
            continue
        tries += 1
        claimed += found.other.probability
        right += off(found.other.pose, truth) < off(found.pose, truth)
    assert tries > 100
    assert right > 5
    assert 0.5 * claimed < right < 1.3 * claimed  # cautious: the noise is taken to be no less than it is


def test_most_flips_are_within_the_covariance() -> None:
    """One of 40 poses at most is beyond three standard deviations; a second pose of 1 % probability may be right."""
    rng, flips, beyond = np.random.default_rng(32), 0, 0
    for _ in range(600):
        truth = tag_at(rng, 45.0, rng.uniform(0.5, 2.0))
        try:
            found = estimate_pnp(seen(truth, TAG, noise=0.4, rng=rng), TAG, CAMERA, FLAT)
        except FrameError:
            continue
        if off(found.pose, truth) > FLIP:
            flips += 1
            assert found.covariance is not None
            spread = float(np.linalg.eigvalsh(found.covariance[3:, 3:])[-1])
            beyond += off(found.pose, truth) > 3.0 * np.sqrt(spread)
    assert flips > 20
    assert beyond <= 600 / 40
    assert beyond < 0.4 * flips


def test_one_valley_is_told_as_two_poses() -> None:
    """Square on, noise leaves one minimum off to a side; the other end of the valley fits nearly as well."""
    rng, alone = np.random.default_rng(33), 0
    for _ in range(200):
        truth = tag_at(rng, 10.0, 1.7)
        found = estimate_pnp(seen(truth, TAG, noise=0.3, rng=rng), TAG, CAMERA, FLAT)
        alone += off(found.pose, truth) > FLIP and found.other is None
    assert alone <= 1


@pytest.mark.parametrize(('model', 'distance'), [(BOX, 1.0), (TAG, 0.25)], ids=['solid', 'near'])
def test_where_one_pose_alone_fits_there_is_no_other(model: np.ndarray, distance: float) -> None:
    truth = Pose(so3_exp((0.9, 0.3, 0)) @ FACING, np.array([0.01, 0.02, distance]))
    found = estimate_pnp(seen(truth, model), model, CAMERA, FLAT)
    assert found.other is None
    assert off(found.pose, truth) < 1e-5


def test_of_a_symmetric_object_it_is_the_look_alike_nearest_to_the_first() -> None:
    square = (Symmetry('z', 4),)
    truth = Pose(so3_exp((0.5, 0.2, 0)) @ FACING @ so3_exp((0, 0, 1.9)), np.array([0, 0, 2.0]))
    plain, alike = (estimate_pnp(seen(truth, CARD), CARD, CAMERA, SETTINGS, turns) for turns in ((), square))
    apart = [off(_other(found).pose, found.pose) for found in (plain, alike)]
    assert apart[1] <= apart[0] + 1e-9
    assert apart[1] < np.pi / 2
    np.testing.assert_allclose(_other(plain).pose.translation, _other(alike).pose.translation)


def _other(found: PoseEstimate) -> SecondPose:
    assert found.other is not None
    return found.other


def test_the_parts_come_back_from_what_spans_both_in_any_frame() -> None:
    rng = np.random.default_rng(34)
    alone, around = (0.01 * root @ root.T for root in rng.normal(size=(2, 6, 6)))
    second = SecondPose(Pose(so3_exp((0.3, 0.8, 0)) @ STRAIGHT.rotation, STRAIGHT.translation + 0.02), around, 0.3)
    spanning = either(STRAIGHT, alone, second)
    np.testing.assert_allclose(first_alone(STRAIGHT, spanning, second), alone, atol=1e-12)
    T = Pose(so3_exp((0.1, -0.9, 2.0)), np.array([1.0, 2, 3]))
    there = first_alone(T @ STRAIGHT, transform_covariance(spanning, T), moved(second, T))
    np.testing.assert_allclose(there, transform_covariance(alone, T), atol=1e-12)


def test_a_covariance_that_spans_nothing_is_that_of_the_first() -> None:
    second = SecondPose(Pose(so3_exp((0.5, 0, 0)), np.zeros(3)), np.eye(6) * 1e-4, 0.4)
    own = np.eye(6) * 1e-4
    np.testing.assert_array_equal(first_alone(Pose.identity(), own, second), own)
