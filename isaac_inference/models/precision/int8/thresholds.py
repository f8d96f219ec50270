# SPDX-License-Identifier: Apache-2.0
"""From the magnitudes of a tensor on the calibration images to the magnitude that int8's 127 stands for."""

from __future__ import annotations

import numpy as np

from isaac_inference.errors import ConfigError

METHODS = ('minmax', 'entropy', 'percentile')
PERCENTILE = 99.999
_LEVELS = 128  # magnitudes that a symmetric int8 distinguishes
_STEP = 8  # bins; step between candidate thresholds


def check_method(method: str, percentile: float) -> None:
    """Raise ConfigError for an unknown method or a percentile outside (50, 100]."""
    if method not in METHODS:
        raise ConfigError(f'--method: got {method!r}, expected one of {", ".join(METHODS)}')
    if not 50.0 < percentile <= 100.0:
        raise ConfigError(
            f'--percentile: got {percentile}, expected more than 50 and at most 100, such as {PERCENTILE}'
        )


def threshold(histogram: np.ndarray, largest: float, method: str, percentile: float = PERCENTILE) -> float:
    """The magnitude that becomes 127; larger ones are clipped to it.

    Args:
        histogram: (B,) counts of magnitudes from 0 to `largest`.
        largest: the largest magnitude seen.
        method: 'minmax' takes the largest; 'percentile' the smallest that this percentage of all values doesn't exceed;
            'entropy' the one of minimum Kullback-Leibler divergence between the values and what int8 makes of them
            (S. Migacz, '8-bit Inference with TensorRT', GTC 2017).
        percentile: (50, 100].
    """
    if method == 'minmax' or not histogram.any():
        return largest
    bins = len(histogram)
    if method == 'percentile':
        share = np.cumsum(histogram) / histogram.sum()
        return min(int(np.searchsorted(share, percentile / 100.0)) + 1, bins) * largest / bins
    return _min_divergence(histogram.astype(np.float64)) * largest / bins


def _min_divergence(counts: np.ndarray) -> int:
    """How many bins to keep.

    Exact zeros, half of all values after a ReLU, are exact in int8, too: they would hide all other differences, so the
    first bin counts like the second.
    """
    counts = counts.copy()
    counts[0] = counts[1]
    best, kept = np.inf, len(counts)
    for end in range(_LEVELS, len(counts) + 1, _STEP):
        inside = counts[:end]
        is_used = inside > 0
        if not is_used.any():
            continue
        level = np.arange(end) * _LEVELS // end
        total = np.bincount(level, inside, _LEVELS)
        used = np.bincount(level, is_used, _LEVELS)
        coarse = np.where(is_used, (total / np.maximum(used, 1))[level], 0.0)
        clipped = inside.copy()
        clipped[-1] += counts[end:].sum()
        divergence = _divergence(clipped / clipped.sum(), coarse / coarse.sum())
        if divergence < best:
            best, kept = divergence, end
    return kept


def _divergence(wanted: np.ndarray, got: np.ndarray) -> float:
    """Kullback-Leibler divergence in nats; a value that `got` never has costs much, but not infinitely."""
    present = wanted > 0
    return float(np.sum(wanted[present] * np.log(wanted[present] / np.maximum(got[present], 1e-9))))
