# SPDX-License-Identifier: Apache-2.0
"""One evaluation for each of several seeds: the mean of every main figure, its worst and best, and its spread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isaac_inference.evaluation.accuracy.result import EvaluationResult, without_nan

MAIN_FIGURES: Mapping[str, bool] = {
    'map50': True,
    'map50_95': True,
    'add_0_1d': True,
    'median_translation_rel': False,
    'median_rotation_deg': False,
    'misses': False,
    'false_poses': False,
    'id_switches': False,
}
"""The figures of `EvaluationResult.summary` that are summed up, and whether more is better."""


@dataclass(frozen=True)
class Spread:
    """One figure over several seeds.

    Attributes:
        mean, worst, best: of the seeds.
        std: sample standard deviation of a seed's figure, 0 for one seed.
        worst_seed: the seed that `worst` is of; the first of those that are equal.
    """

    mean: float
    worst: float
    best: float
    std: float
    worst_seed: int

    @classmethod
    def of(cls, values: Mapping[int, float], more_is_better: bool) -> Spread:
        """Of each seed's value; there must be one.

        Example: of three seeds the third misses most.
            >>> spread = Spread.of({1: 2.0, 2: 4.0, 3: 6.0}, more_is_better=False)
            >>> spread.mean, spread.worst, spread.best, spread.std, spread.worst_seed
            (4.0, 6.0, 2.0, 2.0, 3)
        """
        low, high = (choose(values, key=lambda seed: values[seed]) for choose in (min, max))
        worst, best = (low, high) if more_is_better else (high, low)
        std = statistics.stdev(values.values()) if len(values) > 1 else 0.0
        return cls(statistics.fmean(values.values()), values[worst], values[best], std, worst)


@dataclass(frozen=True, eq=False)
class SeedsResult:
    """The results of several seeds, by seed."""

    by_seed: Mapping[int, EvaluationResult]

    def figures(self) -> dict[str, Spread]:
        """Every main figure that at least one seed has; seeds without it are left out of it."""
        made = {}
        summaries = {seed: result.summary() for seed, result in self.by_seed.items()}
        for name, more_is_better in MAIN_FIGURES.items():
            values = {seed: float(row[name]) for seed, row in summaries.items() if row[name] is not None}
            if values:
                made[name] = Spread.of(values, more_is_better)
        return made

    def summary(self) -> dict[str, Any]:
        """For JSON: `figures` (mean, worst, best, std and worst_seed of each) and `seeds`, each seed's own summary."""
        figures = {name: vars(spread) for name, spread in self.figures().items()}
        seeds = {str(seed): result.summary() for seed, result in self.by_seed.items()}
        return without_nan({'figures': figures, 'seeds': seeds})  # type: ignore[no-any-return]
