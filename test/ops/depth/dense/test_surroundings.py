# SPDX-License-Identifier: Apache-2.0
"""The readings around each pixel, against looking at each square."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.depth.dense.surroundings import surroundings


def whole(values: np.ndarray, block: int) -> np.ndarray:
    """Blocks as pixels."""
    return np.kron(values, np.ones((block, block), np.float32))


@pytest.mark.parametrize('shape, reach', [((40, 57), 4), ((40, 57), 16), ((33, 20), 40), ((1, 9), 1)])
def test_it_is_between_the_square_and_one_that_is_larger_by_a_block(shape: tuple[int, int], reach: int) -> None:
    rng = np.random.default_rng(reach)
    depth = rng.uniform(1, 5, shape).astype(np.float32)
    depth[rng.random(shape) < 0.97] = np.nan
    found = surroundings(depth, reach)
    nearest, farthest, block = whole(found.nearest, found.block), whole(found.farthest, found.block), found.block
    rows, columns = np.argwhere(np.isfinite(depth)).T
    for row, column in np.ndindex(shape):
        away = np.maximum(np.abs(rows - row), np.abs(columns - column))
        values = depth[rows, columns]
        inner, outer = values[away <= reach], values[away <= reach + 2 * block]
        if not len(outer):
            assert np.isnan(nearest[row, column]) and np.isnan(farthest[row, column])
            continue
        if np.isnan(nearest[row, column]):
            assert not len(inner)
            continue
        assert outer.min() <= nearest[row, column] <= (inner.min() if len(inner) else np.inf)
        assert outer.max() >= farthest[row, column] >= (inner.max() if len(inner) else 0.0)


def test_without_readings_nothing_is_known() -> None:
    found = surroundings(np.full((20, 30), np.nan, np.float32), 8)
    assert np.isnan(found.nearest).all() and np.isnan(found.farthest).all()
    places = np.array([3]), np.array([4])
    assert not found.agree(np.array([1.0], np.float32), *places, 10.0).any()


@pytest.mark.parametrize('depth, agrees', [(1.7, True), (1.6, False), (4.7, True), (4.9, False), (np.nan, False)])
def test_a_depth_may_be_beyond_by_its_excess(depth: float, agrees: bool) -> None:
    readings = np.full((8, 8), np.nan, np.float32)
    readings[0, 0], readings[7, 7] = 2.0, 4.0
    found = surroundings(readings, 8)
    assert found.agree(np.array([depth], np.float32), np.array([4]), np.array([4]), 0.2).tolist() == [agrees]
