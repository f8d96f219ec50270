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
    place = np.arange(width, dtype=np.float32) - disparity
    with np.errstate(invalid='ignore'):
        shown = (place >= -0.5) & (place <= width - 0.5)
        hidden = ~shown & np.isfinite(disparity)
        # the pixel of the right image, or one behind its end: NaN cannot become an integer
        np.copyto(place, np.float32(0.0), where=~shown)
        target = np.rint(place, out=place).astype(np.intp)
        np.clip(target, 0, width - 1, out=target)
        target += np.arange(height)[:, None] * width
        np.copyto(target, disparity.size, where=~shown)
        nearest = np.full(disparity.size + 1, -np.inf, np.float32)
        np.maximum.at(nearest, target.ravel(), disparity.ravel())
        nearest[-1] = -np.inf
        hidden |= nearest.take(target) > disparity + np.float32(tolerance)
    return hidden
