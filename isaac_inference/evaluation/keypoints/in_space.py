# SPDX-License-Identifier: Apache-2.0
"""Joints in space against their truth: how far each is off, and how many are there at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class JointErrors:
    """Of one joint, or of several, over people and frames; NaN where there are none.

    Attributes:
        p50_m, p90_m, worst_m: distance of the joints that were published from the true ones.
        known: part of the visible joints that were published; the others were left out.
        count: joints that were published, visible or not.
    """

    p50_m: float
    p90_m: float
    worst_m: float
    known: float
    count: int


def joint_distances(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, K) m from the true joints; NaN where one was left out.

    Args:
        found: (N, K, 3) m, NaN for a joint that is left out.
        truth: (N, K, 3) m, in the same frame.

    Example:
        >>> joint_distances(np.array([[[0.0, 3.0, 4.0], [np.nan] * 3]]), np.zeros((1, 2, 3))).tolist()
        [[5.0, nan]]
    """
    if found.shape != truth.shape or found.ndim != 3 or found.shape[2] != 3:
        raise ValueError(f'joints: got {found.shape} for a truth of {truth.shape}, expected (N, K, 3) of both')
    return np.asarray(np.linalg.norm(found - truth, axis=2))


def joint_errors(distances_m: np.ndarray, visible: np.ndarray) -> JointErrors:
    """Sums up distances of any shape.

    Args:
        distances_m: as `joint_distances`.
        visible: bool of the same shape, whether the camera sees the joint.

    Example:
        >>> found = joint_errors(np.array([0.01, 0.03, np.nan, np.nan]), np.array([True, True, True, False]))
        >>> found.p50_m, found.worst_m, round(found.known, 3), found.count
        (0.02, 0.03, 0.667, 2)
    """
    if distances_m.shape != visible.shape:
        raise ValueError(f'joints: distances of {distances_m.shape}, visibility of {visible.shape}: expected the same')
    there = np.isfinite(distances_m)
    seen = int(visible.sum())
    known = int((there & visible).sum()) / seen if seen else math.nan
    if not there.any():
        return JointErrors(math.nan, math.nan, math.nan, known, 0)
    p50, p90, worst = np.percentile(distances_m[there], (50, 90, 100))
    return JointErrors(float(p50), float(p90), float(worst), known, int(there.sum()))
