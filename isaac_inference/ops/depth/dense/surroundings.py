# SPDX-License-Identifier: Apache-2.0
"""How near and how far a sensor's readings around each pixel are: what a filled value is held against."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

_BLOCKS = 8  # in one reach: the finer, the slower
_NOTHING = np.float32(1e30)  # m; OpenCV takes borders for the largest number, not for infinity


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The nearest and the farthest reading around each pixel, one for each block of pixels.

    Attributes:
        nearest, farthest: (rows, columns) float32 m of the blocks; NaN where there is no reading around.
        block: px, the side of one.
    """

    nearest: np.ndarray
    farthest: np.ndarray
    block: int

    def agree(self, depth: np.ndarray, rows: np.ndarray, columns: np.ndarray, excess: float) -> np.ndarray:
        """Whether depths are between the nearest and the farthest reading around them.

        Args:
            depth: (N,) float32 m.
            rows, columns: (N,) their pixels.
            excess: relative, by which they may be beyond.

        Returns:
            (N,) bool; False where there is no reading around.
        """
        margin = np.float32(1.0 + excess)
        places = rows // self.block, columns // self.block
        with np.errstate(invalid='ignore'):
            agrees = (depth * margin >= self.nearest[places]) & (depth <= self.farthest[places] * margin)
        return np.asarray(agrees)


def surroundings(depth: np.ndarray, reach: int) -> Surroundings:
    """The nearest and the farthest reading in a square around each pixel, by blocks of an eighth of the reach.

    Args:
        depth: (H, W) float32 m, NaN for unknown.
        reach: px, at least 1; half the side of the square, which may be larger by a block.

    Example:
        >>> depth = np.full((1, 6), np.nan, np.float32)
        >>> depth[0, :2] = 1, 2
        >>> found = surroundings(depth, 2)
        >>> found.nearest.tolist(), found.farthest.tolist()
        ([[1.0, 1.0, 1.0, 2.0, nan, nan]], [[2.0, 2.0, 2.0, 2.0, nan, nan]])
    """
    height, width = depth.shape
    block = max(1, reach // _BLOCKS)
    rows, columns = -(-height // block), -(-width // block)
    padded = np.full((rows * block, columns * block), np.nan, np.float32)
    padded[:height, :width] = depth
    strips = padded.reshape(rows, block, columns * block)
    window = np.ones((2 * math.ceil(reach / block) + 1,) * 2, np.uint8)
    # fmin and fmax pass NaN over; whole rows first, which is most of it and quick
    least = np.fmin.reduce(np.fmin.reduce(strips, axis=1).reshape(rows, columns, block), axis=2)
    most = np.fmax.reduce(np.fmax.reduce(strips, axis=1).reshape(rows, columns, block), axis=2)
    least = cv2.erode(np.where(np.isfinite(least), least, _NOTHING), window)
    most = cv2.dilate(np.where(np.isfinite(most), most, -_NOTHING), window)
    least, most = (np.where(np.abs(part) < _NOTHING, part, np.float32(np.nan)) for part in (least, most))
    return Surroundings(least, most, block)
