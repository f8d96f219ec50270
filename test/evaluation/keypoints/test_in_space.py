# SPDX-License-Identifier: Apache-2.0
"""Joints in space: distances, what is left out, and what nobody sees."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isaac_inference.evaluation.keypoints.in_space import joint_distances, joint_errors

TRUTH = np.random.default_rng(2).uniform(-1, 3, (4, 17, 3))


def test_percentiles_of_what_is_published():
    by = np.linspace(0.0, 0.1, 4 * 17).reshape(4, 17)
    found = TRUTH + by[..., None] * np.array([0.0, 0.6, -0.8])
    errors = joint_errors(joint_distances(found, TRUTH), np.ones((4, 17), np.bool_))
    assert (errors.p50_m, errors.p90_m, errors.worst_m) == pytest.approx((0.05, 0.09, 0.1))
    assert (errors.known, errors.count) == (1.0, 68)


def test_joints_that_are_left_out_have_no_error_and_hidden_ones_need_not_be_there():
    found, visible = TRUTH.copy(), np.ones((4, 17), np.bool_)
    found[0, :5] = np.nan
    visible[0, :2] = False
    found[1, 7, 2] += 0.5
    visible[1, 7] = False
    distances = joint_distances(found, TRUTH)
    errors = joint_errors(distances, visible)
    assert errors.known == pytest.approx(62 / 65)
    assert (errors.worst_m, errors.count) == (pytest.approx(0.5), 63), 'a hidden joint that is published is judged too'
    one = joint_errors(distances[:, 3], visible[:, 3])
    assert (one.known, one.count, one.worst_m) == (0.75, 3, 0.0)


def test_of_nobody_and_of_nothing():
    none = joint_errors(np.empty((0, 17)), np.empty((0, 17), np.bool_))
    assert math.isnan(none.p50_m) and math.isnan(none.known) and none.count == 0
    nothing = joint_errors(np.full((1, 17), np.nan), np.ones((1, 17), np.bool_))
    assert math.isnan(nothing.worst_m) and nothing.known == 0.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r'expected \(N, K, 3\)'):
        joint_distances(TRUTH, TRUTH[..., :2])
    with pytest.raises(ValueError, match='expected the same'):
        joint_errors(np.zeros((1, 17)), np.ones((2, 17), np.bool_))
