# SPDX-License-Identifier: Apache-2.0
"""One evaluation for each of several seeds: the mean of every main figure, its worst and best, and its spread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from isaac_inference.evaluation.accuracy.result import without_nan
from isaac_inference.evaluation.measure import Measure


class SeedResult(Protocol):
    """What an evaluation of one seed found."""

    @property
    def measures(self) -> Sequence[Measure]:
        """The main figures."""

    def summary(self) -> dict[str, Any]:
        """For JSON; it has the main figures by their keys, None for one that was not measured."""


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

    by_seed: Mapping[int, SeedResult]

    @property
    def measures(self) -> Sequence[Measure]:
        """The main figures, alike for all seeds."""
        return next(iter(self.by_seed.values())).measures if self.by_seed else ()

    def figures(self) -> dict[str, Spread]:
        """Every main figure that at least one seed has; seeds without it are left out of it."""
        made = {}
        summaries = {seed: result.summary() for seed, result in self.by_seed.items()}
        for measure in self.measures:
            name = measure.key
            values = {seed: float(row[name]) for seed, row in summaries.items() if row[name] is not None}
            if values:
                made[name] = Spread.of(values, measure.more_is_better)
        return made

    def summary(self) -> dict[str, Any]:
        """For JSON: `figures` (mean, worst, best, std and worst_seed of each) and `seeds`, each seed's own summary."""
        figures = {name: vars(spread) for name, spread in self.figures().items()}
        seeds = {str(seed): result.summary() for seed, result in self.by_seed.items()}
        return without_nan({'figures': figures, 'seeds': seeds})  # type: ignore[no-any-return]
