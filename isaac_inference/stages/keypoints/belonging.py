# SPDX-License-Identifier: Apache-2.0
"""Whether the keypoints that a network found in a crop are those of the person whose box it was."""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.keypoints.similarity import same_as

_AROUND = 0.1  # of a box's sides, by which hands and feet may reach beyond it
_OWN = 0.5  # share of the sure keypoints that lie in their own box


def left_out(points: np.ndarray, boxes: np.ndarray, min_confidence: float, alike: float) -> dict[int, tuple[str, int]]:
    """The rows whose keypoints are not to be given out, and why.

    A crop shows who stands beside, in front of or behind its person, too, and a network for one person takes whom it
    takes. The reasons:

    - 'nobody_seen': no keypoint has any confidence;
    - 'outside_box': less than half of the sure ones lie in the box, or near it: they are somebody else's;
    - 'same_person': they are those of another row over again, whose box they fill better.

    Args:
        points: (N, K, 3) x, y in source px, confidence 0..1.
        boxes: (N, 4) x_min, y_min, x_max, y_max in source px, of the detections.
        min_confidence: keypoints below are unsure.
        alike: similarity (OKS) from which on two rows are the same person's.

    Returns:
        Row -> the reason, and for 'same_person' the other row, else -1.

    Example: the second finds the first one's person.
        >>> person = np.array([[12.0, 12.0, 0.9], [18.0, 30.0, 0.9], [15.0, 48.0, 0.9]])
        >>> left_out(np.stack([person, person]), np.array([[10.0, 10, 20, 50], [14.0, 10, 40, 50]]), 0.3, 0.9)
        {1: ('same_person', 0)}
    """
    found: dict[int, tuple[str, int]] = {}
    rows, fits = [], []
    for row, box in enumerate(boxes):
        if not points[row, :, 2].any():
            found[row] = 'nobody_seen', -1
            continue
        sure = points[row, points[row, :, 2] >= min_confidence, :2]
        margin = _AROUND * (box[2:] - box[:2])
        own = ((sure >= box[:2] - margin) & (sure <= box[2:] + margin)).all(axis=1)
        if len(sure) and own.mean() < _OWN:
            found[row] = 'outside_box', -1
        else:
            rows.append(row)
            fits.append(_fit(sure, box))
    if len(rows) > 1:
        areas = (boxes[rows, 2:] - boxes[rows, :2]).prod(axis=1)
        for row, other in same_as(points[rows], areas, np.array(fits), min_confidence, alike).items():
            found[rows[row]] = 'same_person', rows[other]
    return found


def _fit(places: np.ndarray, box: np.ndarray) -> float:
    """IoU of a box with what points, (M, 2), span."""
    if not len(places):
        return 0.0
    low, high = places.min(axis=0), places.max(axis=0)
    shared = np.maximum(np.minimum(high, box[2:]) - np.maximum(low, box[:2]), 0.0).prod()
    return float(shared / max((high - low).prod() + (box[2:] - box[:2]).prod() - shared, 1e-9))
