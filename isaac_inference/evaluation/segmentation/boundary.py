# SPDX-License-Identifier: Apache-2.0
"""How well the outlines of two masks agree: the boundary F measure of DAVIS."""

from __future__ import annotations

import math

import cv2
import numpy as np

TOLERANCE = 0.008
"""Part of the image's diagonal by which an outline may be off, as in DAVIS."""


def tolerance_px(image_wh: tuple[int, int], share: float = TOLERANCE) -> int:
    """The tolerance in whole px, rounded up as in DAVIS.

    Example:
        >>> tolerance_px((640, 480)), tolerance_px((854, 480))
        (7, 8)
    """
    return math.ceil(share * math.hypot(*image_wh))


def boundary_f(found: np.ndarray, truth: np.ndarray, tolerance: float) -> float:
    """F measure of the outlines (Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
    Segmentation", CVPR 2016): the harmonic mean of precision, the part of the found outline that is no farther than
    `tolerance` from the true one, and recall, the part of the true one that is no farther than that from the found one.

    An outline is the pixels of a mask that have a pixel outside it beside them; where a mask goes on beyond the border
    of the image it has none.

    Args:
        found, truth: (H, W) bool.
        tolerance: px.

    Returns:
        0..1; 1 where neither has an outline, 0 where only one has.

    Example: one row too many is nothing within a pixel, and a part of the outline without tolerance.
        >>> truth, found = np.zeros((9, 9), np.bool_), np.zeros((9, 9), np.bool_)
        >>> truth[3:6, 3:6], found[3:7, 3:6] = True, True
        >>> boundary_f(found, truth, 1.0), round(boundary_f(found, truth, 0.0), 3)
        (1.0, 0.778)
    """
    if found.shape != truth.shape:
        raise ValueError(f'masks of {found.shape} and {truth.shape} pixels cannot be compared')
    ours, theirs = _outline(found), _outline(truth)
    counts = int(np.count_nonzero(ours)), int(np.count_nonzero(theirs))
    if not all(counts):
        return 0.0 if any(counts) else 1.0
    precision = np.count_nonzero(_distance(theirs)[ours] <= tolerance) / counts[0]
    recall = np.count_nonzero(_distance(ours)[theirs] <= tolerance) / counts[1]
    return 2.0 * precision * recall / (precision + recall) if precision + recall else 0.0


def _outline(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool."""
    inside = cv2.erode(mask.view(np.uint8), _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=(255,))
    return mask & (inside == 0)


def _distance(outline: np.ndarray) -> np.ndarray:
    """(H, W) float32 px to the nearest pixel of an outline that is not empty."""
    return np.asarray(cv2.distanceTransform((~outline).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
