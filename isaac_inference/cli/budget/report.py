# SPDX-License-Identifier: Apache-2.0
"""Whether a budget is kept, as a table; what is not measured here is taken as used up."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from isaac_inference.serving.budgets.budget import Budget, stage_of
from isaac_inference.serving.budgets.check import BudgetReport, Share
from isaac_inference.serving.budgets.frame_times import FrameTimes

_NONE = '-'


@dataclass(frozen=True)
class Assumed:
    """Stages that are not measured here, and what the budget gives each, ms: so much they are taken to use."""

    stages: Mapping[str, float]

    def added_to(self, frame: FrameTimes) -> FrameTimes:
        """The frame as it would be with these stages."""
        return dataclasses.replace(
            frame,
            total_ms=frame.total_ms + sum(self.stages.values()),
            stages={**frame.stages, **self.stages},
        )


def assumed_stages(budget: Budget, measured: Iterable[str]) -> Assumed:
    """The stages of a budget that none of the nodes that run here stands for; transport is measured."""
    here = {'transport', *map(stage_of, measured)}
    return Assumed({name: value for name, value in budget.stages.items() if name not in here})


@dataclass(frozen=True)
class Verdict:
    """What was measured of a budget.

    Attributes:
        budget: that was to be kept.
        report: of all frames.
        assumed: stages that were not measured.
    """

    budget: Budget
    report: BudgetReport
    assumed: Assumed

    @property
    def total(self) -> Share:
        """What a frame takes in all."""
        return self.report.shares[0]

    @property
    def is_kept(self) -> bool:
        """Whether 99 of 100 frames are in time, and none is without a result."""
        return self.total.p99 <= self.budget.max_allowed_processing_time_ms and not self.report.counts['missing']

    def to_dict(self) -> dict[str, Any]:
        """For JSON: times in ms; a time that no result came in is null."""
        return {
            'budget': self.budget.name,
            'kept': self.is_kept,
            'max_allowed_processing_time_ms': self.budget.max_allowed_processing_time_ms,
            'frames': dict(self.report.counts),
            'stages': {
                share.name: {
                    'budget_ms': share.budget_ms,
                    'measured': share.name not in self.assumed.stages,
                    **{name: _finite(getattr(share, name)) for name in ('p50', 'p95', 'p99')},
                }
                for share in self.report.shares
            },
        }


def print_verdict(screen: Console, verdict: Verdict, title: str) -> None:
    """The table, then the verdict in a sentence."""
    budget, counts = verdict.budget, verdict.report.counts
    table = Table(
        title=f'{title}: budget {budget.name}, {counts["frames"]} frames [ms]',
        caption='left: of the budget, by p95; a stage that is not measured is taken to use all of its own',
    )
    for place, name in enumerate(('stage', 'budget', 'p50', 'p95', 'p99', 'left', '')):
        table.add_column(name, justify='left' if place in (0, 6) else 'right')
    for share in (*verdict.report.shares[1:], verdict.total):
        table.add_row(*_row(share, share.name in verdict.assumed.stages))
    screen.print(table)
    limit = budget.max_allowed_processing_time_ms
    if verdict.is_kept:
        screen.print(f'kept: 99 of 100 frames within {verdict.total.p99:.1f} of {limit:g} ms')
        over = [share.name for share in verdict.report.shares[1:] if share.left is not None and share.left < 0]
        if over:
            screen.print(f'{", ".join(over)}: over its own part, which others make up for')
    else:
        late, missing = counts['late'] - counts['missing'], counts['missing']
        screen.print(
            f'not kept: {late} of {counts["frames"]} frames later than {limit:g} ms'
            f'{f", {missing} without a result" if missing else ""}: {verdict.report.text}',
            style='red',
        )


def _row(share: Share, is_assumed: bool) -> list[str]:
    times = [f'{value:.2f}' if math.isfinite(value) else 'no result' for value in (share.p50, share.p95, share.p99)]
    note = ''
    if is_assumed:
        times, note = [_NONE] * 3, 'not measured'
    elif share.left is not None and share.left < 0:
        note = f'over by {share.p95 - (share.budget_ms or 0.0):.1f}' if math.isfinite(share.p95) else 'over'
    left = _NONE if share.left is None or is_assumed else f'{100 * max(share.left, -9.99):.0f} %'
    return [share.name, _NONE if share.budget_ms is None else f'{share.budget_ms:g}', *times, left, note]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
