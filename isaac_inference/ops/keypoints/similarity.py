# SPDX-License-Identifier: Apache-2.0
"""How alike two skeletons in one image are, and which of several are one and the same person."""

from __future__ import annotations

import numpy as np

_SPREAD = 0.1  # of the object's size, at which a keypoint counts exp(-1/2): COCO's constant for large joints (2 * 0.05)

ALIKE = 0.9
"""Similarity from which on two skeletons are of one person: a mean distance of about 3 % of the box's diagonal."""


def keypoint_similarity(one: np.ndarray, other: np.ndarray, area: float, min_confidence: float) -> float:
    """Object keypoint similarity (OKS, COCO): the mean over keypoints of exp(-d**2 / (2 * area * spread**2)).

    With one spread for all keypoints, as skeletons other than COCO's have no published ones; over those that both are
    sure of.

    Args:
        one, other: (K, 3) x, y in px, confidence 0..1.
        area: of the object in px, above 0.
        min_confidence: keypoints below are unsure.

    Returns:
        0..1; 0 where there are not two that both are sure of, since one may well be shared.

    Example:
        >>> one = np.array([[0.0, 0.0, 1.0], [100.0, 0.0, 1.0]])
        >>> keypoint_similarity(one, one, 100.0**2, 0.3)
        1.0
        >>> round(keypoint_similarity(one, one + [10.0, 0.0, 0.0], 100.0**2, 0.3), 4)
        0.6065
    """
    sure = (one[:, 2] >= min_confidence) & (other[:, 2] >= min_confidence)
    if np.count_nonzero(sure) < 2:
        return 0.0
    squared = ((one[sure, :2] - other[sure, :2]).astype(np.float64) ** 2).sum(axis=1)
    return float(np.exp(-squared / (2 * area * _SPREAD**2)).mean())


def same_as(
    keypoints: np.ndarray, areas: np.ndarray, ranks: np.ndarray, min_confidence: float, alike: float
) -> dict[int, int]:
    """The skeletons that are a better one's over again: where two boxes show a network the same person.

    Args:
        keypoints: (N, K, 3) x, y in px, confidence 0..1.
        areas: (N,) px, of each one's box.
        ranks: (N,) how good each is, more is better.
        min_confidence: keypoints below are unsure.
        alike: similarity from which on two are the same.

    Returns:
        Row -> the row that it repeats: the best of these, of equals the first.

    Example: the second is the first, a pixel beside it; the third is somebody else.
        >>> one = np.array([[0.0, 0.0, 0.9], [100.0, 0.0, 0.9], [50.0, 80.0, 0.9]])
        >>> people = np.stack([one, one + [1.0, 0.0, 0.0], one + [80.0, 0.0, 0.0]])
        >>> same_as(people, np.full(3, 100.0**2), np.array([0.8, 0.7, 0.6]), 0.3, 0.9)
        {1: 0}
    """
    kept: list[int] = []
    repeated: dict[int, int] = {}
    for row in np.argsort(-ranks, kind='stable').tolist():
        for better in kept:
            area = float(max(areas[row], areas[better]))
            if keypoint_similarity(keypoints[row], keypoints[better], area, min_confidence) >= alike:
                repeated[row] = better
                break
        else:
            kept.append(row)
    return repeated
