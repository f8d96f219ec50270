# SPDX-License-Identifier: Apache-2.0
"""How near and how far a sensor's readings around each pixel are: what a filled value is held against."""

from __future__ import annotations

import math

import cv2
import numpy as np

_BLOCKS = 8  # in one reach: the finer, the slower
_NOTHING = np.float32(1e30)  # m; OpenCV takes borders for the largest number, not for infinity


def surroundings(depth: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest and the farthest reading in a square around each pixel, by blocks of an eighth of the reach.

    Args:
        depth: (H, W) float32 m, NaN for unknown.
        reach: px, at least 1; half the side of the square, which may be larger by a block.

    Returns:
        Two (H, W) float32 m; NaN where there is no reading in the square.

    Example:
        >>> depth = np.full((1, 6), np.nan, np.float32)
        >>> depth[0, :2] = 1, 2
        >>> [side.tolist() for side in surroundings(depth, 2)]
        [[[1.0, 1.0, 1.0, 2.0, nan, nan]], [[2.0, 2.0, 2.0, 2.0, nan, nan]]]
    """
    height, width = depth.shape
    block = max(1, reach // _BLOCKS)
    rows, columns = -(-height // block), -(-width // block)
    padded = np.full((rows * block, columns * block), np.nan, np.float32)
    padded[:height, :width] = depth
    blocks = padded.reshape(rows, block, columns, block)
    window = np.ones((2 * math.ceil(reach / block) + 1,) * 2, np.uint8)
    known = np.isfinite(blocks)
    least = cv2.erode(np.where(known, blocks, _NOTHING).min(axis=(1, 3)), window)
    most = cv2.dilate(np.where(known, blocks, -_NOTHING).max(axis=(1, 3)), window)
    return _whole(least, block, depth.shape), _whole(most, block, depth.shape)


def _whole(values: np.ndarray, block: int, shape: tuple[int, ...]) -> np.ndarray:
    values = np.where(np.abs(values) < _NOTHING, values, np.float32(np.nan))
    return np.repeat(np.repeat(values, block, axis=0), block, axis=1)[: shape[0], : shape[1]]
