# SPDX-License-Identifier: Apache-2.0
"""The box around what a mask shows: closer to the object than a detector's box."""

from __future__ import annotations

import cv2
import numpy as np

from isaac_inference.ops.masks.masks import touched

_SPECK = 0.05  # of the mask: a smaller piece is a speck of the network's, not a part of the object


def mask_box(mask: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """The box around the pieces of a mask in a detection's box, specks apart.

    Args:
        mask: (H, W) bool, in px of the image.
        box: (4,) x_min, y_min, x_max, y_max in px; what lies outside does not count.

    Returns:
        (4,) float64 px; None for a mask that is empty there.

    Example: 8 x 5 pixels, and one far from them.
        >>> mask = np.zeros((20, 30), np.bool_)
        >>> mask[5:10, 10:18] = mask[18, 28] = True
        >>> mask_box(mask, np.array([0, 0, 30, 20])).tolist(), mask_box(mask, np.array([0, 0, 9, 9]))
        ([10.0, 5.0, 18.0, 10.0], None)
    """
    first, stop = touched(box, (mask.shape[1], mask.shape[0]))
    (left, top), (right, bottom) = first[0].tolist(), stop[0].tolist()
    part = np.ascontiguousarray(mask[top:bottom, left:right]).view(np.uint8)
    if not part.any():
        return None
    count, _, pieces, _ = cv2.connectedComponentsWithStats(part, connectivity=8)
    pieces = pieces[1:count]
    area = pieces[:, cv2.CC_STAT_AREA]
    pieces = pieces[area >= min(_SPECK * area.sum(), area.max())]
    low = pieces[:, (cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP)]
    high = low + pieces[:, (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT)]
    return np.concatenate((low.min(axis=0), high.max(axis=0))) + (left, top, left, top) + np.zeros(4)
