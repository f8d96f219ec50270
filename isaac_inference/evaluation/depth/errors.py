# SPDX-License-Identifier: Apache-2.0
"""Errors of depth and disparity images, and how much of the truth they cover."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BAD_PX = 2.0
_DELTA = 1.25


@dataclass(frozen=True)
class DepthErrors:
    """Of pixels that have both an estimate and a truth; NaN where there are none.

    Attributes:
        abs_rel: mean of |estimate - truth| / truth.
        median_rel: median of the same.
        rmse: m.
        mae: m.
        delta1: part with max(estimate / truth, truth / estimate) < 1.25 (Eigen et al., NIPS 2014).
        completeness: part of the pixels with a truth that have an estimate.
        count: pixels with a truth.
    """

    abs_rel: float
    median_rel: float
    rmse: float
    mae: float
    delta1: float
    completeness: float
    count: int


@dataclass(frozen=True)
class DisparityErrors:
    """Of pixels that have both an estimate and a truth; NaN where there are none.

    Attributes:
        mae: px, mean of |estimate - truth|.
        median: px, of the same.
        bad: percent that are off by more than 2 px.
        bad_or_missing: percent of the pixels with a truth that are off by more than 2 px or have no estimate.
        completeness: part of the pixels with a truth that have an estimate.
        count: pixels with a truth.
    """

    mae: float
    median: float
    bad: float
    bad_or_missing: float
    completeness: float
    count: int


def depth_errors(estimate: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> DepthErrors:
    """Depth against the true one.

    Args:
        estimate, truth: m, of one shape; NaN, infinite, 0 or less for unknown.
        where: bool of that shape, the pixels that count; default: all that have a truth.

    Example: one of three pixels is missing, one is off by a tenth.
        >>> found = depth_errors(np.array([1.1, 2.0, np.nan]), np.array([1.0, 2.0, 4.0]))
        >>> round(found.abs_rel, 3), round(found.completeness, 3), found.delta1
        (0.05, 0.667, 1.0)
    """
    count, both = _known(estimate, truth, where, positive=True)
    a, b = estimate[both].astype(np.float64), truth[both].astype(np.float64)
    if not len(a):
        return DepthErrors(math.nan, math.nan, math.nan, math.nan, math.nan, 0.0 if count else math.nan, count)
    off = np.abs(a - b)
    return DepthErrors(
        float((off / b).mean()),
        float(np.median(off / b)),
        float(np.sqrt((off**2).mean())),
        float(off.mean()),
        float((np.maximum(a / b, b / a) < _DELTA).mean()),
        len(a) / count,
        count,
    )


def disparity_errors(estimate: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> DisparityErrors:
    """Disparities against the true ones.

    Args:
        estimate, truth: px, of one shape; NaN or infinite for unknown.
        where: bool of that shape, the pixels that count; default: all that have a truth.

    Example: one of four pixels is missing, one is off by 3 px.
        >>> found = disparity_errors(np.array([10, 23, 30, np.nan]), np.array([10.0, 20, 30, 40]))
        >>> found.mae, round(found.bad, 1), found.bad_or_missing, found.completeness
        (1.0, 33.3, 50.0, 0.75)
    """
    count, both = _known(estimate, truth, where, positive=False)
    off = np.abs(estimate[both].astype(np.float64) - truth[both])
    if not len(off):
        missing = 0.0 if count else math.nan
        return DisparityErrors(math.nan, math.nan, math.nan, 100.0 if count else math.nan, missing, count)
    bad = int((off > BAD_PX).sum())
    return DisparityErrors(
        float(off.mean()),
        float(np.median(off)),
        100.0 * bad / len(off),
        100.0 * (bad + count - len(off)) / count,
        len(off) / count,
        count,
    )


def mean_and_worst(values: Sequence[float], larger_is_worse: bool = True) -> tuple[float, float]:
    """(mean, worst) of a figure over frames, those without one left out; NaN, NaN of none.

    Example:
        >>> mean_and_worst([1.0, float('nan'), 3.0])
        (2.0, 3.0)
    """
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return math.nan, math.nan
    return sum(known) / len(known), max(known) if larger_is_worse else min(known)


def _known(estimate: np.ndarray, truth: np.ndarray, where: np.ndarray | None, positive: bool) -> tuple[int, np.ndarray]:
    """(how many pixels have a truth, which of them have an estimate too)."""
    if estimate.shape != truth.shape:
        raise ValueError(f'estimate of shape {estimate.shape}, truth of {truth.shape}: expected the same')
    with np.errstate(invalid='ignore'):
        known = np.isfinite(truth) & ((truth > 0.0) | (not positive))
        if where is not None:
            known &= where
        both = known & np.isfinite(estimate) & ((estimate > 0.0) | (not positive))
    return int(known.sum()), both
