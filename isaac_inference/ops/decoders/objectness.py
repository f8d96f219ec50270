# SPDX-License-Identifier: Apache-2.0
"""Scores of detectors that say apart whether there is an object and what it is."""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.decoders.base import find_candidates


def score_candidates(
    predictions: np.ndarray, index: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Objectness times best class score, for rows whose objectness alone reaches the threshold.

    Class scores are at most 1, so no row that objectness rules out could come back.

    Args:
        predictions: (N, 5 + class_count), objectness in column 4.
        index: (K,) rows.
        thresholds: () or (class_count,).

    Returns:
        The rows that are left, their scores and their class ids, (M,) each.
    """
    rows = predictions[index]
    class_ids = rows[:, 5:].argmax(axis=1)
    scores = rows[:, 4] * rows[np.arange(len(rows)), 5 + class_ids]
    left = find_candidates(scores, thresholds, 'predictions')
    return index[left], scores[left], class_ids[left]
