# SPDX-License-Identifier: Apache-2.0
"""Two estimates of one pose: when they disagree, and a covariance that covers both."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.pose.disagreement import Disagreement, disagreement

SPREAD = np.diag(np.repeat((0.003**2, np.radians(1.0) ** 2), 3))
HERE = Pose(so3_exp((0.2, 0.4, -0.3)), np.array((0.1, 0.0, 0.9)))


def moved(shift: tuple[float, float, float], turn_deg: float = 0.0) -> Disagreement:
    there = Pose(so3_exp((0.0, np.radians(turn_deg), 0.0)) @ HERE.rotation, HERE.translation + shift)
    return disagreement(HERE, SPREAD, there, SPREAD)


def test_what_both_are_unsure_of_is_no_disagreement() -> None:
    found = moved((0.002, -0.003, 0.004), 1.5)
    assert not found.is_significant
    assert found.spanned(SPREAD) is SPREAD


@pytest.mark.parametrize('shift, turn_deg', [((0.0, 0.0, 0.03), 0.0), ((0.02, 0.0, 0.0), 0.0), ((0.0, 0.0, 0.0), 8.0)])
def test_the_covariance_covers_the_other_pose(shift: tuple[float, float, float], turn_deg: float) -> None:
    found = moved(shift, turn_deg)
    assert found.is_significant
    covered = found.spanned(SPREAD)
    assert (np.abs(found.shift) < 2.0 * np.sqrt(covered.diagonal())).all()
    assert found.shift @ np.linalg.solve(covered, found.shift) < 2.0
    assert (np.linalg.eigvalsh(covered - SPREAD) > -1e-12).all(), 'nothing becomes surer'


def test_it_grows_without_a_jump() -> None:
    along = [moved((0.0, 0.0, shift)).spanned(SPREAD)[2, 2] for shift in np.linspace(0.0, 0.03, 301)]
    assert np.diff(np.sqrt(along)).max() < 0.001
    assert np.diff(along).min() >= 0.0
