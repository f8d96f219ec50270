# SPDX-License-Identifier: Apache-2.0
"""Whether frames keep a budget: OK, WARN where some are late, ERROR where lateness lasts; and which stage takes it."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from isaac_inference.serving.budgets.budget import STAGES, Budget
from isaac_inference.serving.budgets.camera_clock import duration
from isaac_inference.serving.budgets.frame_times import FrameTimes

_PERCENTILES = (50, 95, 99)
_MOST_BLAMED = 3  # stages in a sentence


class Level(IntEnum):
    """How bad it is; the worst counts."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Share:
    """What one stage, or the whole, takes of what it may take.

    Attributes:
        name: of the stage, or 'total'.
        budget_ms: what it may take; None where it has no limit of its own.
        p50, p95, p99: what it takes, ms, of the frames in the window; infinite where so many gave no result.
    """

    name: str
    budget_ms: float | None
    p50: float
    p95: float
    p99: float

    @property
    def left(self) -> float | None:
        """The share of its budget that its p95 leaves, 1 for all of it, negative where it is over; None without one."""
        return None if self.budget_ms is None else 1.0 - self.p95 / self.budget_ms


@dataclass(frozen=True)
class BudgetReport:
    """What is to be said now.

    Attributes:
        level: the worst since the last report.
        text: in words.
        shares: the total, then the stages in the order of the data.
        counts: frames since the last report: 'frames', 'late' of them, 'missing' of these.
    """

    level: Level
    text: str
    shares: tuple[Share, ...]
    counts: Mapping[str, int]


class BudgetCheck:
    """Compares frames with a budget, one by one. Not thread-safe.

    A frame is late where it takes longer than `max_allowed_processing_time_ms`, or gives no result. The first frame in
    time ends lateness. A report has the worst level since the last one, so that no late frame goes unsaid.

    Args:
        budget: to keep.
        window: frames over which percentiles are taken.
    """

    def __init__(self, budget: Budget, window: int = 300) -> None:
        self.budget = budget
        self._frames: deque[FrameTimes | None] = deque(maxlen=window)  # None: no result
        self._late_since_ns: int | None = None  # the first late frame after the last one in time
        self._lasting_ns = 0
        self.totals: Counter[str] = Counter()  # since the start: 'frames', 'late', 'missing'
        self._begin()

    def _begin(self) -> None:
        self._counts: Counter[str] = Counter()
        self._worst = self.level
        self._late: list[FrameTimes] = []
        self._longest_ns = self._lasting_ns

    @property
    def level(self) -> Level:
        """That of the frames until now."""
        if self._late_since_ns is None:
            return Level.OK
        is_lasting = self._lasting_ns > self.budget.max_acceptable_consecutive_delay_ms * 1e6
        return Level.ERROR if is_lasting else Level.WARN

    def take(self, frame: FrameTimes, now_ns: int) -> Level:
        """A frame with its result; `now_ns` is of any clock that does not jump. Returns the level from here on."""
        is_late = frame.total_ms > self.budget.max_allowed_processing_time_ms
        self._frames.append(frame)
        if is_late:
            self._late.append(frame)
        return self._count(is_late, now_ns)

    def missed(self, now_ns: int) -> Level:
        """A frame that gave no result. Returns the level from here on."""
        self._frames.append(None)
        self._counts['missing'] += 1
        self.totals['missing'] += 1
        return self._count(True, now_ns)

    def forget(self) -> None:
        """Time has started over: the frames before are no measure."""
        self._frames.clear()
        self._late_since_ns, self._lasting_ns = None, 0
        self._begin()

    def report(self) -> BudgetReport:
        """What is to be said; begins the next report."""
        level, counts = self._worst, self._counts
        shares = self._shares()
        text = self._words(level, shares)
        self._begin()
        return BudgetReport(level, text, shares, {name: counts[name] for name in ('frames', 'late', 'missing')})

    def _count(self, is_late: bool, now_ns: int) -> Level:
        for counter in (self._counts, self.totals):
            counter['frames'] += 1
            counter['late'] += is_late
        if not is_late:
            self._late_since_ns, self._lasting_ns = None, 0
        else:
            self._late_since_ns = now_ns if self._late_since_ns is None else self._late_since_ns
            self._lasting_ns = now_ns - self._late_since_ns
        self._longest_ns = max(self._longest_ns, self._lasting_ns)
        level = self.level
        self._worst = max(self._worst, level)
        return level

    def _shares(self) -> tuple[Share, ...]:
        whole = [frame for frame in self._frames if frame is not None]
        missing = len(self._frames) - len(whole)
        with_camera = [frame for frame in whole if frame.has_camera]
        totals = [frame.total_ms for frame in whole] + [math.inf] * missing
        found = [_share('total', self.budget.total_ms, totals)] if totals else []
        for name in self._stage_names(whole):
            frames = with_camera if name == 'camera' else whole
            if frames:
                values = [frame.stages.get(name, 0.0) for frame in frames]
                found.append(_share(name, self.budget.stages.get(name), values))
        return tuple(found)

    def _stage_names(self, frames: Iterable[FrameTimes]) -> Sequence[str]:
        named = {name for frame in frames for name in frame.stages}
        return [*(name for name in STAGES if name in named), *sorted(named.difference(STAGES))]

    def _words(self, level: Level, shares: Sequence[Share]) -> str:
        budget = self.budget
        if not self._counts['frames']:
            return f'no frame since the last report; budget {budget.name}, {budget.total_ms:g} ms'
        stages = shares[1:]
        if level is Level.OK:
            over = [share for share in stages if share.left is not None and share.left < 0]
            kept = f'within {budget.name}: p95 {shares[0].p95:.1f} of {budget.total_ms:g} ms'
            return f'{kept}; {_over(over) if over else _tightest(stages)}'
        late, missing, frames = self._counts['late'], self._counts['missing'], self._counts['frames']
        parts = []
        if level is Level.ERROR:
            longest = duration(self._longest_ns / 1e9)
            parts.append(
                f'late for {longest} without a frame in time '
                f'(max_acceptable_consecutive_delay_ms {budget.max_acceptable_consecutive_delay_ms:g})'
            )
        if late > missing:
            worst = max(self._late, key=lambda frame: frame.total_ms)
            parts.append(
                f'{late - missing} of {frames} frames late, worst {worst.total_ms:.1f} ms '
                f'(max_allowed_processing_time_ms {budget.max_allowed_processing_time_ms:g}); {self._blame()}'
            )
        if missing:
            parts.append(
                f'{missing} of {frames} frames without a result in time: displaced by newer ones, dropped, or stuck; '
                'the diagnostics of the stages say which (max_rate_hz of preprocess thins what is too much)'
            )
        return '; '.join(parts) or f'late before the last report; budget {budget.name}, {budget.total_ms:g} ms'

    def _blame(self) -> str:
        """Which stages are over, by how much, in the late frames, the worst first."""
        most: dict[str, float] = {}
        over: Counter[str] = Counter()
        for frame in self._late:
            for name, value in frame.stages.items():
                excess = value - self.budget.limit_of(name)
                over[name] += excess > 0.0
                most[name] = max(most.get(name, -math.inf), excess)
        names = sorted((name for name in most if over[name]), key=lambda name: -most[name])
        if not names:
            return 'each stage within what it may take, all together not'
        return ', '.join(self._excess(name, most[name], over[name]) for name in names[:_MOST_BLAMED])

    def _excess(self, name: str, most_ms: float, count: int) -> str:
        limit = self.budget.limit_of(name)
        own = (
            f'its {limit:g} ms' if name in self.budget.stages else f'the {limit:g} ms that the stages with limits leave'
        )
        return f'{name} is over {own} by up to {most_ms:.1f} ms in {count} of them'


def _share(name: str, budget_ms: float | None, values: Sequence[float]) -> Share:
    # the value that so many are not above: one that gave no result cannot be interpolated
    found = np.percentile(values, _PERCENTILES, method='higher')
    return Share(name, budget_ms, *(float(value) for value in found))


def _over(over: Sequence[Share]) -> str:
    return ', '.join(
        f'{one.name} is over its {one.budget_ms:g} ms (p95 {one.p95:.1f}), others make up for it' for one in over
    )


def _tightest(stages: Sequence[Share]) -> str:
    limited = [share for share in stages if share.left is not None]
    if not limited:
        return 'no stage has a limit of its own'
    tightest = min(limited, key=lambda share: share.left or 0.0)
    return f'{tightest.name} has the least left: {100 * (tightest.left or 0.0):.0f} % of {tightest.budget_ms:g} ms'
