# SPDX-License-Identifier: Apache-2.0
"""The readings around each pixel, against looking at each square."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.depth.dense.surroundings import surroundings


@pytest.mark.parametrize('shape, reach', [((40, 57), 4), ((40, 57), 16), ((33, 20), 40), ((1, 9), 1)])
def test_it_is_between_the_square_and_one_that_is_larger_by_a_block(shape: tuple[int, int], reach: int) -> None:
    rng = np.random.default_rng(reach)
    depth = rng.uniform(1, 5, shape).astype(np.float32)
    depth[rng.random(shape) < 0.97] = np.nan
    nearest, farthest = surroundings(depth, reach)
    block = max(1, reach // 8)
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
    nearest, farthest = surroundings(np.full((20, 30), np.nan, np.float32), 8)
    assert np.isnan(nearest).all() and np.isnan(farthest).all()
