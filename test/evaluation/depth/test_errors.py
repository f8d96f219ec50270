# SPDX-License-Identifier: Apache-2.0
"""Errors of depth against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isaac_inference.evaluation.depth.errors import depth_errors, disparity_errors, mean_and_worst


def test_depth_by_hand() -> None:
    truth = np.array([[1.0, 2.0, 4.0], [5.0, np.nan, 10.0]])
    found = depth_errors(np.array([[1.2, 2.0, 3.0], [np.nan, 9.0, 0.0]]), truth)
    assert found.count == 5
    assert found.completeness == pytest.approx(3 / 5)
    assert found.abs_rel == pytest.approx((0.2 + 0.0 + 0.25) / 3)
    assert found.median_rel == pytest.approx(0.2)
    assert found.mae == pytest.approx(1.2 / 3)
    assert found.rmse == pytest.approx(math.sqrt((0.04 + 0 + 1) / 3))
    assert found.delta1 == pytest.approx(2 / 3)  # 4 / 3 is 1.33


def test_disparity_by_hand() -> None:
    truth = np.array([10.0, 20.0, 30.0, 40.0, np.inf])
    found = disparity_errors(np.array([12.0, 20.5, 32.5, np.nan, 3.0]), truth)
    assert found.count == 4
    assert found.mae == pytest.approx(5.0 / 3)
    assert found.median == pytest.approx(2.0)
    assert found.bad == pytest.approx(100 / 3)  # exactly 2 px is not bad
    assert found.bad_or_missing == pytest.approx(50.0)
    assert found.completeness == pytest.approx(0.75)


def test_a_disparity_of_zero_or_less_is_one_but_a_depth_is_not() -> None:
    values = np.array([0.0, -1.0])
    assert disparity_errors(values, values).completeness == 1.0
    assert depth_errors(values, values).count == 0


def test_only_the_pixels_asked_for_count() -> None:
    truth, where = np.array([1.0, 1.0]), np.array([True, False])
    assert depth_errors(np.array([1.0, 3.0]), truth, where).abs_rel == 0.0
    assert disparity_errors(np.array([1.0, 9.0]), truth, where).bad == 0.0


def test_nothing_known_is_no_error_but_no_figure() -> None:
    nothing, truth = np.full(3, np.nan), np.ones(3)
    assert math.isnan(depth_errors(nothing, truth).abs_rel) and depth_errors(nothing, truth).completeness == 0.0
    assert math.isnan(depth_errors(truth, nothing).completeness)
    assert disparity_errors(nothing, truth).bad_or_missing == 100.0
    assert math.isnan(disparity_errors(truth, nothing).mae)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match='expected the same'):
        depth_errors(np.ones(3), np.ones(4))


def test_mean_and_worst() -> None:
    assert mean_and_worst([0.5, math.nan, 0.7], larger_is_worse=False) == (pytest.approx(0.6), 0.5)
    assert all(map(math.isnan, mean_and_worst([math.nan])))
