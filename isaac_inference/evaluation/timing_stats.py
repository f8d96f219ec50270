# SPDX-License-Identifier: Apache-2.0
"""Statistics of many timings, and of two calls timed alternately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_RANKS = {'p50': 50.0, 'p90': 90.0, 'p95': 95.0, 'p99': 99.0, 'p99_9': 99.9}


@dataclass(frozen=True)
class TimingStats:
    """Timings in milliseconds.

    Attributes:
        count: number of timings. A percentile p is meaningful from about 100 / (100 - p) * 10 of them on.
        mean, std, min, max: std is that of these timings (divided by n), not an estimate for more of them.
        p50, p90, p95, p99, p99_9: percentiles, linear between neighbours.
    """

    count: int
    mean: float
    std: float
    min: float
    max: float
    p50: float
    p90: float
    p95: float
    p99: float
    p99_9: float

    @classmethod
    def of(cls, milliseconds: Sequence[float] | np.ndarray) -> TimingStats | None:
        """None without timings."""
        values = np.asarray(milliseconds, float)
        if not values.size:
            return None
        ranks = np.percentile(values, list(_RANKS.values()))
        return cls(
            values.size,
            float(values.mean()),
            float(values.std()),
            float(values.min()),
            float(values.max()),
            *map(float, ranks),
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Ratio:
    """How many times as fast the candidate is as the reference; above 1 it is faster.

    Attributes:
        value: p50 of the reference over p50 of the candidate, all blocks together.
        low, high: the smallest and the largest of the blocks' own ratios.
        p25, p75: the middle half of the blocks' ratios.
        blocks: how many.
    """

    value: float
    low: float
    high: float
    p25: float
    p75: float
    blocks: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def ratio_of_blocks(reference: Sequence[np.ndarray], candidate: Sequence[np.ndarray]) -> Ratio | None:
    """The ratio of two calls timed alternately, block by block; None without blocks.

    Args:
        reference, candidate: timings of each block, block i of both taken right after each other.
    """
    if not reference or not candidate:
        return None
    blocks = [float(np.median(a) / np.median(b)) for a, b in zip(reference, candidate, strict=True)]
    low, p25, p75, high = (float(value) for value in np.percentile(blocks, (0, 25, 75, 100)))
    whole = float(np.median(np.concatenate(reference)) / np.median(np.concatenate(candidate)))
    return Ratio(whole, low, high, p25, p75, len(blocks))
