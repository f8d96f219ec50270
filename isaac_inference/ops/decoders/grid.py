# SPDX-License-Identifier: Apache-2.0
"""The grid points of anchor-free detectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from isaac_inference.errors import ConfigError


def grid_points(input_wh: tuple[int, int], strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of each grid cell, level by level, each row by row.

    Args:
        input_wh: the model input's (width, height) in pixels.
        strides: pixels per cell of each level.

    Returns:
        cells (N, 2) float32 as (column, row) and strides (N, 1) float32 in pixels; shared, read-only. A side
        that the stride does not divide has one more cell, as padded convolutions produce.

    Raises:
        ConfigError: strides that are not positive whole numbers.

    Example:
        >>> cells, strides = grid_points((8, 16), (8,))
        >>> cells.tolist(), strides.tolist()
        ([[0.0, 0.0], [0.0, 1.0]], [[8.0], [8.0]])
    """
    key = tuple(strides)
    if not key or any(stride != int(stride) or stride < 1 for stride in key):
        raise ConfigError(f'strides: got {strides!r}, expected whole numbers of at least 1, such as (8, 16, 32)')
    return _grid_points(tuple(input_wh), key)


@lru_cache(maxsize=16)
def _grid_points(input_wh: tuple[int, int], strides: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    cells, steps = [], []
    for stride in strides:
        columns, rows = -(-input_wh[0] // stride), -(-input_wh[1] // stride)
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
        cells.append(grid.astype(np.float32))
        steps.append(np.full((columns * rows, 1), stride, np.float32))
    points, strides_px = np.concatenate(cells), np.concatenate(steps)
    points.setflags(write=False)
    strides_px.setflags(write=False)
    return points, strides_px
