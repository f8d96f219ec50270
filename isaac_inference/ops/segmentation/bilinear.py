# SPDX-License-Identifier: Apache-2.0
"""The best class of bilinearly upsampled scores, without upsampling them where that cannot change the class.

Between four cells with one best class, no other class can win: interpolation is a weighted mean, and in each of the
four that class has the highest score. So scores are interpolated only where neighbouring cells differ, some per cent
of a picture.
"""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.segmentation.source_grid import SourceGrid, spread

_AT_ONCE = 16384  # pixels, so that what is in hand stays in the cache


def best_upsampled(planes: np.ndarray, ids: np.ndarray, grid: SourceGrid, fill: int) -> np.ndarray:
    """The class with the highest interpolated score of each source pixel.

    Args:
        planes: (C, h, w) float32, the scores.
        ids: (h, w), their best classes.
        grid: of this size of output.
        fill: for pixels that the network did not see.

    Returns:
        (height, width) of the source image, of the type of `ids`.

    Example: between two cells the classes change where their scores cross, not in the middle.
        >>> from isaac_inference.ops.image.letterbox import Letterbox
        >>> from isaac_inference.ops.segmentation.source_grid import source_grid
        >>> planes = np.array([[[9.0, 0.0]], [[0.0, 1.0]]], np.float32)
        >>> grid = source_grid(Letterbox.between((8, 4), (8, 4)), (2, 1))
        >>> best_upsampled(planes, planes.argmax(0).astype(np.uint8), grid, 255)[0].tolist()
        [0, 0, 0, 0, 0, 0, 1, 1]
    """
    columns, rows = grid.columns, grid.rows
    seen = spread(ids, columns.first, rows.first)
    places = np.flatnonzero(spread(_mixed(ids).view(np.uint8), columns.first, rows.first))
    by_cell = np.ascontiguousarray(planes.reshape(len(planes), -1).T)  # (h * w, C): a cell's scores side by side
    width, flat = ids.shape[1], seen.reshape(-1)
    for begin in range(0, len(places), _AT_ONCE):
        part = places[begin : begin + _AT_ONCE]
        y, x = np.divmod(part, seen.shape[1])
        above, below = rows.first[y] * width, rows.second[y] * width
        left, right = columns.first[x], columns.second[x]
        across, down = columns.weight[x, None], rows.weight[y, None]
        top = _between(by_cell[above + left], by_cell[above + right], across)
        bottom = _between(by_cell[below + left], by_cell[below + right], across)
        flat[part] = _between(top, bottom, down).argmax(axis=1)
    return grid.placed(seen, fill)


def _between(one: np.ndarray, other: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """`one` where the weight is 0, `other` where it is 1; written into `one`'s or `other`'s place, which are copies."""
    other -= one
    other *= weight
    other += one
    return other


def _mixed(ids: np.ndarray) -> np.ndarray:
    """Where a cell, the next to the right, below, and below right are not all the same; (h, w) bool."""
    across = np.zeros(ids.shape, np.bool_)
    np.not_equal(ids[:, 1:], ids[:, :-1], out=across[:, :-1])
    mixed = across.copy()
    mixed[:-1] |= across[1:]
    mixed[:-1] |= ids[1:] != ids[:-1]
    return mixed
