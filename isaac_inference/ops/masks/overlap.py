# SPDX-License-Identifier: Apache-2.0
"""How much masks have in common."""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.masks.masks import Masks


def mask_iou(a: Masks, b: Masks) -> np.ndarray:
    """Intersection over union of every mask in `a` with every mask in `b`.

    Args:
        a, b: N and M masks, in pixels of the same image.

    Returns:
        (N, M) float32 in [0, 1]; 0 where both are empty.

    Raises:
        ValueError: the images differ in size.

    Example: they share 2 of 4 + 4 - 2 = 6 pixels.
        >>> square = np.ones((2, 2), np.bool_)
        >>> one, other = (Masks((9, 9), np.array([[x, 0]]), (square,)) for x in (0, 1))
        >>> mask_iou(one, other).round(3).tolist()
        [[0.3330000042915344]]
    """
    if a.source_wh != b.source_wh:
        raise ValueError(f'masks of images of {a.source_wh} and {b.source_wh} px cannot be compared')
    shared = np.zeros((len(a), len(b)))
    first_a, first_b = a.corners.astype(np.int64), b.corners.astype(np.int64)
    stop_a, stop_b = first_a + _sizes(a), first_b + _sizes(b)
    low = np.maximum(first_a[:, None], first_b)
    high = np.minimum(stop_a[:, None], stop_b)
    for i, j in zip(*(high > low).all(axis=2).nonzero(), strict=True):
        parts = (_part(masks, k, low[i, j], high[i, j]) for masks, k in ((a, int(i)), (b, int(j))))
        shared[i, j] = np.count_nonzero(np.logical_and(*parts))
    union = a.areas[:, None] + b.areas - shared
    return (shared / np.maximum(union, 1)).astype(np.float32)


def _sizes(masks: Masks) -> np.ndarray:
    """(N, 2) width and height of the crops."""
    return np.array([crop.shape[::-1] for crop in masks.crops], np.int64).reshape(-1, 2)


def _part(masks: Masks, index: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    (left, top), (right, bottom) = low - masks.corners[index], high - masks.corners[index]
    part: np.ndarray = masks.crops[index][top:bottom, left:right]
    return part
