# SPDX-License-Identifier: Apache-2.0
"""Depth up to a scale and a shift, made comparable with the truth."""

from __future__ import annotations

import numpy as np

FARTHEST = 10.0
"""m; what is aligned is no farther, as evaluations of indoor scenes cap depth."""
_NEAREST = 1e-3  # m


def aligned(numbers: np.ndarray, truth: np.ndarray, inverse: bool, farthest: float = FARTHEST) -> np.ndarray:
    """Numbers as m, with the one scale and shift by which they agree best with the truth of their picture.

    Least squares over all pixels that have both, of inverse depth for numbers that grow with it (Ranftl et al.,
    "Towards Robust Monocular Depth Estimation", TPAMI 2022), of depth else. The scale is not negative: of numbers that
    go the wrong way only their mean is left.

    Args:
        numbers: (H, W) of the network; NaN for unknown.
        truth: (H, W) m; NaN, infinite, 0 or less for unknown.
        inverse: whether the numbers grow with the inverse of depth.
        farthest: m.

    Returns:
        (H, W) float32 m, within 1 mm and `farthest`; NaN for unknown.

    Example:
        >>> truth = np.array([[1.0, 2.0, 4.0]])
        >>> aligned(3.0 / truth + 5.0, truth, inverse=True).tolist()
        [[1.0, 2.0, 4.0]]
    """
    if numbers.shape != truth.shape:
        raise ValueError(f'numbers of shape {numbers.shape}, truth of {truth.shape}: expected the same')
    with np.errstate(invalid='ignore'):
        both = np.isfinite(numbers) & np.isfinite(truth) & (truth > 0.0)
    if not both.any():
        return np.full(numbers.shape, np.nan, np.float32)
    x, target = numbers[both].astype(np.float64), truth[both].astype(np.float64)
    if inverse:
        target = 1.0 / target
    spread = x - x.mean()
    variance = float(spread @ spread)
    scale = max(0.0, float(spread @ (target - target.mean())) / variance) if variance > 0.0 else 0.0
    found = scale * numbers.astype(np.float64) + (target.mean() - scale * x.mean())
    if inverse:
        with np.errstate(invalid='ignore'):
            found = 1.0 / np.maximum(found, 1.0 / farthest)
    return np.clip(found, _NEAREST, farthest).astype(np.float32)
