# SPDX-License-Identifier: Apache-2.0
"""Overlap by class, and the assignment with the largest total."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isaac_inference.ops.boxes.nms import box_iou
from isaac_inference.ops.tracking.association import assign, overlap

SQUARE = np.array([[0.0, 0.0, 10.0, 10.0]])


def test_only_boxes_of_the_same_class_overlap():
    both = np.repeat(SQUARE, 2, axis=0)
    assert overlap(SQUARE, np.array([1]), both, np.array([1, 2])).tolist() == [[1.0, 0.0]]


def test_a_margin_lets_neighbours_overlap():
    beside = SQUARE + (12.0, 0.0, 12.0, 0.0)
    classes = np.array([0])
    assert overlap(SQUARE, classes, beside, classes) == 0.0
    # both 20 wide and high, 12 apart: 8 x 20 shared of 800 - 160
    assert overlap(SQUARE, classes, beside, classes, margin=0.5) == pytest.approx(160 / 640)


def test_a_better_total_wins_over_the_best_single_pair():
    rows, columns = assign(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.05)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_no_pair_below_the_least_is_made():
    rows, columns = assign(np.array([[0.9, 0.0], [0.8, 0.29]]), 0.3)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


@given(arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 4)), elements=st.floats(0, 1)))
def test_the_total_is_that_of_the_best_of_all_assignments(similarity):
    rows, columns = assign(similarity, 0.3)
    assert len(set(rows)) == len(rows) and len(set(columns)) == len(columns)
    assert (similarity[rows, columns] >= 0.3).all()
    allowed = np.where(similarity >= 0.3, similarity, 0.0)
    wide = allowed if allowed.shape[0] <= allowed.shape[1] else allowed.T
    best = max(
        sum(wide[row, column] for row, column in enumerate(order))
        for order in itertools.permutations(range(wide.shape[1]), wide.shape[0])
    )
    assert similarity[rows, columns].sum() == pytest.approx(best)


def test_a_weaker_claim_loses_but_still_counts_where_nobody_else_asks():
    similarity = np.array([[0.8], [0.9]])
    assert assign(similarity, 0.3, np.array([1.0, 0.8]))[0].tolist() == [0]
    assert assign(np.array([[0.3]]), 0.3, np.array([0.8]))[0].tolist() == [0]


@pytest.mark.parametrize('count', [3, 9, 14])  # few are compared pair by pair
def test_few_boxes_overlap_as_many_do(count):
    rng = np.random.default_rng(count)
    low = rng.uniform(0, 20, (2 * count, 2))
    boxes, classes = np.concatenate((low, low + rng.uniform(20, 60, low.shape)), axis=1), rng.integers(0, 2, 2 * count)
    found = overlap(boxes[:count], classes[:count], boxes[count:], classes[count:])
    expected = box_iou(boxes[:count], boxes[count:]) * (classes[:count, None] == classes[count:])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (expected > 0).any()
