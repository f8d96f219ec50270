# SPDX-License-Identifier: Apache-2.0
"""Outlines of masks, for those who want polygons."""

from __future__ import annotations

import cv2
import numpy as np

from isaac_inference.ops.masks.masks import Masks


def polygons(masks: Masks, index: int, tolerance_px: float = 0.0) -> list[np.ndarray]:
    """The outlines of one mask, one for each of its pieces, the largest first; holes are not told.

    Args:
        masks: of a frame.
        index: which mask.
        tolerance_px: vertices are left out where the outline moves by no more than this; 0 keeps it exact.

    Returns:
        (K, 2) float32 each, x and y in source pixels, 0 at the image's edge: the vertices are centres of the outermost
        pixels, so that an object of one pixel is one vertex. An empty mask has none.

    Example:
        >>> masks = Masks((8, 8), np.array([[2, 3]]), (np.ones((2, 3), np.bool_),))
        >>> [outline.tolist() for outline in polygons(masks, 0)]
        [[[2.5, 3.5], [2.5, 4.5], [4.5, 4.5], [4.5, 3.5]]]
    """
    crop = masks.crops[index]
    if not crop.size:
        return []
    found, _ = cv2.findContours(np.ascontiguousarray(crop).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outlines = [np.asarray(contour) for contour in found]
    if tolerance_px > 0.0:
        outlines = [np.asarray(cv2.approxPolyDP(contour, tolerance_px, True)) for contour in outlines]
    outlines.sort(key=lambda contour: -cv2.contourArea(contour))
    origin = masks.corners[index] + 0.5
    return [(contour[:, 0] + origin).astype(np.float32) for contour in outlines]
