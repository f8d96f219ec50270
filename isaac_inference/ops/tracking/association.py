# SPDX-License-Identifier: Apache-2.0
"""Which detection continues which track: the assignment with the largest total overlap."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from isaac_inference.ops.boxes.nms import box_iou


def overlap(
    tracks: np.ndarray, track_classes: np.ndarray, boxes: np.ndarray, box_classes: np.ndarray, *, margin: float = 0.0
) -> np.ndarray:
    """IoU of every track with every box of the same class, 0 for other classes.

    With a margin both boxes are enlarged about their centres first, so that what has moved by more than its own size
    still overlaps (Yang et al., 'Hard to Track Objects with Irregular Motions and Similar Appearances? Make It Easier
    by Buffering the Matching Space', WACV 2023).

    Args:
        tracks, boxes: (T, 4) and (N, 4), (x_min, y_min, x_max, y_max) in px.
        track_classes, box_classes: (T,) and (N,) int.
        margin: added on every side, as a part of the box's width and height.

    Returns:
        (T, N) in [0, 1].
    """
    if margin > 0:
        tracks, boxes = _enlarged(tracks, margin), _enlarged(boxes, margin)
    return np.where(track_classes[:, None] == box_classes, box_iou(tracks, boxes), 0.0)


def assign(similarity: np.ndarray, least: float, claim: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The one-to-one pairs with the largest total similarity, none below `least`.

    Args:
        similarity: (T, N) in [0, 1].
        least: above 0; a pair below it is never made, and does not count in the total either.
        claim: (T,) above 0; what a row's similarity counts for in the total, 1 where it isn't given.

    Returns:
        (rows, columns) of the pairs, (P,) int each.
    """
    allowed = np.where(similarity >= least, similarity, 0.0)
    if claim is not None:
        allowed *= claim[:, None]
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    good = allowed[rows, columns] > 0.0
    return rows[good], columns[good]


def _enlarged(boxes: np.ndarray, margin: float) -> np.ndarray:
    size = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate((boxes[:, :2] - margin * size, boxes[:, 2:] + margin * size), axis=1)
