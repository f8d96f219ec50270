# SPDX-License-Identifier: Apache-2.0
"""What a node knows of its own well-being: counts, times, drops by reason, problems; said in log and diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from isaac_inference.ros.runtime.health.input_watch import InputState, InputWatch

SUPERSEDED = 'superseded'  # displaced by a newer frame while the stage was busy: expected under load, not a fault
THINNED = 'thinned'  # left out, as the node was told to
EXPECTED = frozenset({SUPERSEDED, THINNED})
"""Reasons for which a frame is dropped without anything being wrong."""
_WINDOW = 512  # frames over which percentiles are taken
LOG_PERIOD_S = 5.0
# Problems that have nothing to do with what the node is set up for.
_OF_THE_NODE = frozenset({'activate', 'configure', 'name', 'no_clock', 'unknown_parameters'})


@dataclass(frozen=True)
class Snapshot:
    """A node's figures since the last snapshot (`recent_*`, rates) and since activation (the rest).

    `received`, `processed` and `drops` are of frames, the messages of the primary input:
    received = processed + dropped + those that wait. `refusals` are of messages of other inputs, `skips` of items of
    frames that went on, `recent_kept` of items that got what the node is there for (None where it does not say),
    `notes` of such ones that something speaks against.
    """

    elapsed_s: float
    received: int
    processed: int
    drops: dict[str, int]
    recent_received: int
    recent_processed: int
    recent_drops: dict[str, int]
    percentiles_ms: dict[str, float]
    input_age_ms: float | None
    problems: tuple[tuple[bool, str], ...]
    skips: dict[str, int] = field(default_factory=dict)
    measured: dict[str, dict[str, float]] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    recent_refusals: dict[str, int] = field(default_factory=dict)
    recent_skips: dict[str, int] = field(default_factory=dict)
    recent_kept: int | None = None
    shown: dict[str, object] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def rate_in_hz(self) -> float:
        """Frames that arrived, per second."""
        return self.recent_received / self.elapsed_s

    @property
    def rate_out_hz(self) -> float:
        """Frames whose work was done, per second."""
        return self.recent_processed / self.elapsed_s

    @property
    def faults(self) -> dict[str, int]:
        """Recent drops that are not merely superseded frames, or those that were to be left out."""
        return {reason: count for reason, count in self.recent_drops.items() if reason not in EXPECTED}


@dataclass
class _Counts:
    received: int = 0
    processed: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    skips: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    kept: int | None = None


class Health:
    """Thread-safe collector of one node. Every kind of trouble is logged at most once per `LOG_PERIOD_S`.

    Args:
        log: called as log(is_error, text).
    """

    def __init__(self, log: Callable[[bool, str], None]) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._last_logged: dict[str, float] = {}
        self._suppressed: Counter[str] = Counter()
        self._problems: dict[str, tuple[bool, str]] = {}
        self._ending: set[str] = set()  # problems that are over, but for the next snapshot
        self._shown: dict[str, object] = {}
        self._standing: frozenset[str] = frozenset()  # problems and values that were there before activation
        self._input = InputWatch(lambda: time.monotonic())
        self.input_timeout_s = float('inf')
        self.reset()

    def reset(self) -> None:
        """Reset the figures, at activation; standing problems and shown values stay."""
        with self._lock:
            self._standing = frozenset((*self._problems, *self._shown))
            self._total, self._recent = _Counts(), _Counts()
            self._durations_ms: deque[float] = deque(maxlen=_WINDOW)
            self._ages_ms: deque[float] = deque(maxlen=_WINDOW)
            self._measured: dict[str, deque[float]] = {}
            self._input.restart()
            self._since = time.monotonic()

    def received(self, age_ms: float | None = None, count: int = 1) -> None:
        """A frame arrived: a message of the primary input; `age_ms` since its header stamp, where it has one."""
        with self._lock:
            self._total.received += count
            self._recent.received += count
            self._input.arrived(self.input_timeout_s)
            if age_ms is not None:
                self._ages_ms.append(age_ms)

    def processed(self, duration_ms: float) -> None:
        """All work on a frame is done; `duration_ms` is that of the work alone, without waiting for other inputs."""
        with self._lock:
            self._total.processed += 1
            self._recent.processed += 1
            self._durations_ms.append(duration_ms)

    def measured(self, name: str, values: Iterable[float]) -> None:
        """Further figures of frames, such as 'gpu_ms'; percentiles of the latest are shown in diagnostics."""
        with self._lock:
            self._measured.setdefault(name, deque(maxlen=_WINDOW)).extend(values)

    def dropped(self, reason: str, text: str = '') -> None:
        """A frame was dropped; `text` goes to the log, throttled per reason."""
        with self._lock:
            self._total.drops[reason] += 1
            self._recent.drops[reason] += 1
        if text:
            self.warn(reason, f'frame dropped ({reason}): {text}')

    def superseded(self, count: int = 1) -> None:
        """So many frames arrived and were displaced by newer ones before anybody looked at them."""
        self.received(count=count)
        with self._lock:
            self._total.drops[SUPERSEDED] += count
            self._recent.drops[SUPERSEDED] += count

    def refused(self, reason: str, text: str = '') -> None:
        """A message of another input than the primary could not be used; no frame is lost by that alone."""
        with self._lock:
            self._total.refusals[reason] += 1
            self._recent.refusals[reason] += 1
        if text:
            self.warn(reason, f'message dropped ({reason}): {text}')

    def skipped(self, reason: str, text: str = '', *, say_once: bool = False) -> None:
        """One item of a frame, such as an object without a pose, was left out, and why; the frame itself goes on.

        With `say_once`, for what is ordinary, `text` is only for the log's first line since activation.
        """
        with self._lock:
            self._total.skips[reason] += 1
            self._recent.skips[reason] += 1
            is_first = self._total.skips[reason] == 1
        if text and (is_first or not say_once):
            self.warn(reason, f'left out ({reason}): {text}')

    def noted(self, reason: str, text: str = '', *, say_once: bool = False) -> None:
        """Something speaks against one item of a frame that is given out all the same, such as an object's pose.

        `say_once`: as of `skipped`.
        """
        with self._lock:
            self._total.notes[reason] += 1
            is_first = self._total.notes[reason] == 1
        if text and (is_first or not say_once):
            self.warn(f'noted.{reason}', f'given out with a note ({reason}): {text}')

    def kept(self, count: int) -> None:
        """So many items of a frame, such as objects with a pose, were not left out."""
        with self._lock:
            self._recent.kept = count + (self._recent.kept or 0)

    def look_at_input(self) -> tuple[InputState, int, float]:
        """(state of the primary input, its messages since activation, seconds that it has been quiet).

        Where it flows again: the seconds that it was silent before.
        """
        with self._lock:
            state = self._input.look(self.input_timeout_s)
            return state, self._input.count, self._input.quiet_s if state.is_quiet else self._input.silent_s

    def warn(self, key: str, text: str, *, error: bool = False) -> None:
        """Log `text`, at most once per period and key."""
        now = time.monotonic()
        with self._lock:
            if now - self._last_logged.get(key, float('-inf')) < LOG_PERIOD_S:
                self._suppressed[key] += 1
                return
            self._last_logged[key] = now
            silent = self._suppressed.pop(key, 0)
        self._log(error, f'{text} [{silent} more of this kind since the last line]' if silent else text)

    def problem(self, key: str, text: str, *, error: bool = False, log_again: bool = True, log: bool = True) -> None:
        """A standing problem: logged, and shown in diagnostics until `clear(key)`.

        With `log_again=False` it is logged when it begins, and a later call only changes what diagnostics show; with
        `log=False` it is only shown.
        """
        with self._lock:
            is_new = key not in self._problems
            self._problems[key] = (error, text)
            self._ending.discard(key)
        if log and (is_new or log_again):
            self.warn(key, text, error=error)

    def standing(
        self, key: str, text: str | None, *, error: bool = False, log_again: bool = True, log: bool = True
    ) -> None:
        """What is true of something now: a problem, as of `problem`, or with no text that it is over."""
        if text:
            self.problem(key, text, error=error, log_again=log_again, log=log)
        else:
            self.clear(key)

    def clear(self, key: str, *, after_report: bool = False) -> None:
        """The problem is over; with `after_report` only once a snapshot has had it: what comes and goes in less than
        the time between two reports is seen all the same.
        """
        if key in self._problems:
            with self._lock:
                if after_report:
                    self._ending.add(key)
                else:
                    self._problems.pop(key, None)

    def forget(self, *, all_but_node: bool = False) -> None:
        """The node is no longer active: what was said and shown since `reset` is not true any more.

        With `all_but_node`, at cleanup, nor is what was said before; what is true of the node itself stays.
        """
        with self._lock:
            kept = _OF_THE_NODE if all_but_node else _OF_THE_NODE | self._standing
            self._problems = {key: value for key, value in self._problems.items() if key in kept}
            self._shown = {key: value for key, value in self._shown.items() if key in kept}

    def show(self, key: str, value: object | None) -> None:
        """Show a value in diagnostics, until another one takes its place; None takes it away."""
        with self._lock:
            if value is None:
                self._shown.pop(key, None)
            else:
                self._shown[key] = value

    def snapshot(self) -> Snapshot:
        """The figures now; starts the next `recent` interval."""
        with self._lock:
            now = time.monotonic()
            recent, self._recent = self._recent, _Counts()
            elapsed, self._since = max(now - self._since, 1e-6), now
            problems = tuple(self._problems.values())
            while self._ending:
                self._problems.pop(self._ending.pop(), None)
            return Snapshot(
                elapsed,
                self._total.received,
                self._total.processed,
                dict(self._total.drops),
                recent.received,
                recent.processed,
                dict(recent.drops),
                percentiles(self._durations_ms),
                float(np.median(self._ages_ms)) if self._ages_ms else None,
                problems,
                dict(self._total.skips),
                {name: percentiles(values) for name, values in self._measured.items()},
                dict(self._total.refusals),
                dict(recent.refusals),
                dict(recent.skips),
                recent.kept,
                dict(self._shown),
                dict(self._total.notes),
            )


def percentiles(samples: deque[float]) -> dict[str, float]:
    """{'p50': .., 'p95': .., 'p99': ..} of `samples`; empty without samples."""
    if not samples:
        return {}
    values = np.percentile(np.fromiter(samples, float), (50, 95, 99))
    return {name: float(value) for name, value in zip(('p50', 'p95', 'p99'), values, strict=True)}
