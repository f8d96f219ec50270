# SPDX-License-Identifier: Apache-2.0
"""Errors of raw outputs, added up image by image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isaac_inference.evaluation.agreement.tensor_error import TensorErrorSum


def error(*pairs):
    total = TensorErrorSum('out')
    for reference, candidate in pairs:
        total.add(None if reference is None else np.asarray(reference, np.float32), np.asarray(candidate))
    return total.result()


def test_the_figures_are_those_of_all_images_together():
    found = error(
        ([[3.0, 4.0]], np.array([[3.0, 4.5]], np.float32)), ([[0.0, 0.0]], np.array([[1.0, 0.0]], np.float32))
    )
    assert (found.max_abs, found.mean_abs, found.largest, found.elements) == (1.0, 0.375, 4.0, 4)
    assert found.relative == pytest.approx(math.sqrt(1.25) / 5)
    assert found.cosine == pytest.approx((9 + 18) / (5 * math.sqrt(9 + 20.25 + 1)))
    assert found.finite and not found.note


def test_equal_outputs_have_no_error():
    found = error(([1.0, -2.0], np.array([1.0, -2.0], np.float16)))
    assert (found.max_abs, found.relative, found.cosine) == (0.0, 0.0, pytest.approx(1.0))


def test_nan_and_infinity_are_counted_and_left_out_of_the_errors():
    found = error(([1.0, 2.0, 3.0], np.array([np.nan, np.inf, 3.5], np.float32)))
    assert (found.nans, found.infinities, found.max_abs) == (1, 1, 0.5)
    assert not found.finite


def test_nothing_finite_leaves_nothing_to_compare():
    found = error(([1.0], np.array([np.nan], np.float32)))
    assert found.max_abs is None and found.cosine is None and 'finite' in found.note


@pytest.mark.parametrize(('reference', 'reason'), [(None, 'no such output'), ([1.0, 2.0], 'shapes differ')])
def test_what_cannot_be_compared_says_why(reference, reason):
    found = error((reference, np.array([1.0], np.float32)))
    assert found.max_abs is None and reason in found.note and found.finite


def test_whole_numbers_and_an_all_zero_reference():
    found = error(([0.0, 0.0], np.array([0, 2], np.int64)))
    assert (found.max_abs, found.relative, found.cosine) == (2.0, None, None)
