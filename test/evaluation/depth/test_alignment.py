# SPDX-License-Identifier: Apache-2.0
"""Scale and shift by which numbers suit a picture's truth best."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.evaluation.depth.alignment import FARTHEST, aligned

TRUTH = np.random.default_rng(1).uniform(0.5, 5.0, (20, 30)).astype(np.float32)


@pytest.mark.parametrize('inverse', [True, False])
def test_any_scale_and_shift_is_found(inverse):
    numbers = 7.0 * (1.0 / TRUTH if inverse else TRUTH) - 3.0
    np.testing.assert_allclose(aligned(numbers, TRUTH, inverse), TRUTH, rtol=1e-5)


def test_it_is_the_least_squares_of_what_the_network_gives():
    rng = np.random.default_rng(2)
    numbers = 1.0 / TRUTH + rng.normal(0, 0.1, TRUTH.shape)
    scale, shift = np.polyfit(numbers.ravel(), 1.0 / TRUTH.ravel(), 1)
    expected = 1.0 / np.maximum(scale * numbers + shift, 1.0 / FARTHEST)
    np.testing.assert_allclose(aligned(numbers, TRUTH, inverse=True), expected, rtol=1e-5)


def test_pixels_without_truth_or_number_take_no_part():
    numbers, truth = 1.0 / TRUTH, TRUTH.copy()
    numbers[3, 3], truth[4, 4], truth[5, 5] = np.nan, np.nan, 0.0
    found = aligned(numbers, truth, inverse=True)
    assert np.isnan(found[3, 3]) and found[4, 4] == pytest.approx(TRUTH[4, 4])
    assert np.isnan(aligned(numbers, np.full_like(truth, np.nan), inverse=True)).all()


def test_numbers_that_go_the_wrong_way_are_not_turned_round():
    found = aligned(TRUTH, TRUTH, inverse=True)
    assert np.ptp(found) < 1e-5, 'larger is farther there: only the mean is left'


def test_numbers_that_are_all_alike_give_the_mean():
    found = aligned(np.ones_like(TRUTH), TRUTH, inverse=False)
    np.testing.assert_allclose(found, TRUTH.mean(), rtol=1e-5)


def test_nothing_is_beyond_the_farthest():
    numbers = np.array([[1.0, 0.5, -3.0]])
    found = aligned(numbers, np.array([[1.0, 2.0, np.nan]]), inverse=True)
    assert found.tolist() == [[1.0, 2.0, FARTHEST]]


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match='expected the same'):
        aligned(np.ones((2, 3)), np.ones((3, 2)), inverse=True)
