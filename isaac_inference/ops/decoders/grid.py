# SPDX-License-Identifier: Apache-2.0
"""The grid points of anchor-free detectors, and boxes by the distances of their sides."""

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


def expected_bins(logits: np.ndarray) -> np.ndarray:
    """The expected bin of each distribution: Generalized Focal Loss, Li et al., arXiv 2006.04388.

    Args:
        logits: (K, 4, bins) of a softmax over the bins 0..bins - 1.

    Returns:
        (K, 4).

    Example: the bins 0 and 1 are equally likely.
        >>> expected_bins(np.zeros((1, 4, 2), np.float32)).tolist()
        [[0.5, 0.5, 0.5, 0.5]]
    """
    with np.errstate(invalid='ignore'):  # infinity minus infinity is NaN, which is reported
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    expected: np.ndarray = (weights @ np.arange(logits.shape[2], dtype=np.float32)) / weights.sum(axis=2)
    return expected


def boxes_around(points: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Boxes (K, 4) as corners, by points (K, 2) and the distances (K, 4) left, top, right and bottom of them.

    Example:
        >>> boxes_around(np.array([[10.0, 20.0]]), np.array([[1.0, 2.0, 3.0, 4.0]])).tolist()
        [[9.0, 18.0, 13.0, 24.0]]
    """
    return np.concatenate((points - distances[:, :2], points + distances[:, 2:]), axis=1)


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
