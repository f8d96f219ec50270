# SPDX-License-Identifier: Apache-2.0
"""Which detection continues which track: the assignment with the largest total overlap."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from isaac_inference.ops.boxes.nms import box_iou

_FEW = 100  # pairs of a track and a box


def overlap(
    tracks: np.ndarray, track_classes: np.ndarray, boxes: np.ndarray, box_classes: np.ndarray, *, margin: float = 0.0
) -> np.ndarray:
    """IoU of every track with every box of the same class, 0 for different classes.

    With a margin both boxes are enlarged about their centres first, so that an object that has moved by more than its
    own size still overlaps (Yang et al., 'Hard to Track Objects with Irregular Motions and Similar Appearances? Make It
    Easier by Buffering the Matching Space', WACV 2023).

    Args:
        tracks, boxes: (T, 4) and (N, 4), (x_min, y_min, x_max, y_max) in px.
        track_classes, box_classes: (T,) and (N,) int.
        margin: added on every side, as a fraction of the box's width and height.

    Returns:
        (T, N) in [0, 1].

    Example: the track covers half of the first box; the second box has another class.
        >>> tracks, boxes = np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 20], [0, 0, 10, 10]])
        >>> overlap(tracks, np.array([1]), boxes, np.array([1, 2])).tolist()
        [[0.5, 0.0]]
    """
    if margin > 0:
        tracks, boxes = _enlarged(tracks, margin), _enlarged(boxes, margin)
    if len(tracks) * len(boxes) <= _FEW:
        return _overlap_of_few(tracks, track_classes, boxes, box_classes)
    return np.where(track_classes[:, None] == box_classes, box_iou(tracks, boxes), 0.0)


def assign(
    similarity: np.ndarray, min_similarity: float, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The one-to-one pairs with the largest total similarity, none below `min_similarity`.

    Args:
        similarity: (T, N) in [0, 1].
        min_similarity: above 0; a pair below it is never made and does not count in the total.
        weights: (T,) above 0, of each row's similarities in the total; None for 1.

    Returns:
        (rows, columns) of the pairs, (P,) int each.

    Example: 0.8 + 0.8 is more than 0.9 + 0.1.
        >>> rows, columns = assign(np.array([[0.9, 0.8], [0.8, 0.1]]), min_similarity=0.05)
        >>> rows.tolist(), columns.tolist()
        ([0, 1], [1, 0])
    """
    allowed = np.where(similarity >= min_similarity, similarity, 0.0)
    if weights is not None:
        allowed *= weights[:, None]
    rows, columns = allowed.nonzero()
    if len(set(rows.tolist())) == len(rows) == len(set(columns.tolist())):  # no two compete, as in most frames
        return rows, columns
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    good = allowed[rows, columns] > 0.0
    return rows[good], columns[good]


def _overlap_of_few(
    tracks: np.ndarray, track_classes: np.ndarray, boxes: np.ndarray, box_classes: np.ndarray
) -> np.ndarray:
    """Pair by pair: without the arithmetic on arrays, which on so few takes several times as long."""
    found = np.zeros((len(tracks), len(boxes)))
    seen = list(enumerate(zip(boxes.tolist(), box_classes.tolist(), strict=True)))
    for row, (track, of_track) in enumerate(zip(tracks.tolist(), track_classes.tolist(), strict=True)):
        for column, (box, of_box) in seen:
            if of_track == of_box:
                found[row, column] = _iou(*track, *box)
    return found


def _iou(
    left: float, top: float, right: float, bottom: float, x_min: float, y_min: float, x_max: float, y_max: float
) -> float:
    """Of two boxes that are finite and have an area."""
    width = (right if right < x_max else x_max) - (left if left > x_min else x_min)
    height = (bottom if bottom < y_max else y_max) - (top if top > y_min else y_min)
    if not (width > 0.0 and height > 0.0):
        return 0.0
    shared = width * height
    return shared / ((right - left) * (bottom - top) + (x_max - x_min) * (y_max - y_min) - shared)


def _enlarged(boxes: np.ndarray, margin: float) -> np.ndarray:
    size = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate((boxes[:, :2] - margin * size, boxes[:, 2:] + margin * size), axis=1)
