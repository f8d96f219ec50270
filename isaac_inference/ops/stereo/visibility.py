# SPDX-License-Identifier: Apache-2.0
"""Which matches of a dense disparity map can be seen by the right camera, by the map alone."""

from __future__ import annotations

import numpy as np

_TOLERANCE = 2.0  # px: a surface that recedes steeply has several pixels in one of the right image


def hidden_in_right(disparity: np.ndarray, tolerance: float = _TOLERANCE) -> np.ndarray:
    """Pixels of the left image that the right one cannot show: something nearer is there, or its border is passed.

    A network gives such pixels a disparity, too, but has only guessed it.

    Args:
        disparity: (H, W) float32 px, x_left - x_right; NaN for unknown.
        tolerance: px, by which what is nearer must be nearer.

    Returns:
        (H, W) bool; False where the disparity is unknown.

    Example: a near thing of two pixels hides two of the far ones at its left.
        >>> hidden_in_right(np.array([[0, 0, 0, 0, 3, 3, 0]], np.float32)).tolist()
        [[False, True, True, False, False, False, False]]
    """
    height, width = disparity.shape
    known = np.isfinite(disparity)
    place = np.arange(width, dtype=np.float32) - np.where(known, disparity, np.float32(0.0))
    outside = known & ((place < -0.5) | (place > width - 0.5))
    columns = np.clip(np.rint(place), 0, width - 1).astype(np.intp)
    flat = columns + np.arange(height)[:, None] * width
    shown = known & ~outside
    nearest = np.full(disparity.size, -np.inf, np.float32)
    np.maximum.at(nearest, flat[shown], disparity[shown])
    with np.errstate(invalid='ignore'):
        behind = nearest[flat] > disparity + np.float32(tolerance)
    return np.asarray(outside | (shown & behind))
