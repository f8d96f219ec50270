# SPDX-License-Identifier: Apache-2.0
"""Deadlines and liveliness of one topic: what is missed is counted, shown, and a problem until it is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from isaac_inference.ros.runtime.health.health import Health


class DeadlineWatch:
    """Counts deadlines as a DDS reader does: from the first message on, one for each deadline that passes without.

    For messages that are handed over inside a process, of which no middleware tells. Thread-safe.

    Args:
        deadline_s: longest gap between two messages; 0 for none.
        now: clock in seconds.
    """

    def __init__(self, deadline_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._deadline_s, self._now = deadline_s, now
        self._lock = threading.Lock()
        self._last: float | None = None
        self._counted = 0  # since the last message

    def arrived(self) -> int:
        """A message has arrived. How many deadlines have passed since the last look."""
        if not self._deadline_s:
            return 0
        with self._lock:
            passed = self._passed()
            self._last, self._counted = self._now(), 0
            return passed

    def look(self) -> int:
        """How many deadlines have passed since the last look."""
        with self._lock:
            return self._passed()

    def restart(self) -> None:
        """Wait for a first message again: none is expected meanwhile."""
        with self._lock:
            self._last, self._counted = None, 0

    def _passed(self) -> int:
        if not self._deadline_s or self._last is None:
            return 0
        count = int((self._now() - self._last) / self._deadline_s)
        passed, self._counted = max(0, count - self._counted), max(count, self._counted)
        return passed


class Timeliness:
    """What is said of a topic's deadlines and liveliness.

    Args:
        topic: its full name.
        health: where it is said.
        deadline_s, lease_s: what was asked for, 0 for nothing.
    """

    def __init__(self, topic: str, health: Health, deadline_s: float, lease_s: float) -> None:
        self._topic, self._health = topic, health
        self._deadline_s, self._lease_s = deadline_s, lease_s
        self._watch = DeadlineWatch(deadline_s)
        self._deadlines = self._leases = 0
        self._deadline_problem, self._lease_problem = f'deadline {topic}', f'liveliness {topic}'

    def handed_over(self) -> None:
        """A message has arrived from this process, whose deadlines are watched here."""
        if self._deadline_s:
            self._miss(self._watch.arrived())
            self._health.clear(self._deadline_problem, after_report=True)

    def arrived(self) -> None:
        """A message has arrived through the middleware, which watches deadlines itself."""
        if self._deadline_s:
            self._watch.restart()
            self._health.clear(self._deadline_problem, after_report=True)

    def look(self, *, is_expected: bool) -> None:
        """See whether messages of this process have stayed away; called some ten times a second.

        Args:
            is_expected: whether any should come that way.
        """
        if is_expected:
            self._miss(self._watch.look())
        elif self._deadline_s:
            self._watch.restart()

    def on_deadline(self, event: Any) -> None:
        """The middleware has seen deadlines pass."""
        self._miss(event.total_count_change)

    def on_liveliness(self, event: Any) -> None:
        """The middleware has seen publishers fall silent beyond their lease, or come back."""
        if event.not_alive_count_change > 0:
            self._leases += event.not_alive_count_change
            self._health.show(f'liveliness_lost.{self._topic}', self._leases)
        if event.not_alive_count > 0:
            self._health.problem(
                self._lease_problem,
                f'{self._topic}: {event.not_alive_count} of its publishers silent for longer than the liveliness lease '
                f'of {self._lease_s:g} s ({self._leases} times so far): its process hangs, or the link to it is down',
                log_again=False,
            )
        else:
            self._health.clear(self._lease_problem, after_report=True)

    def stop(self) -> None:
        """Nothing is expected any more."""
        self._watch.restart()
        for key in (self._deadline_problem, self._lease_problem):
            self._health.clear(key)

    def _miss(self, count: int) -> None:
        if count <= 0:
            return
        self._deadlines += count
        self._health.show(f'deadline_missed.{self._topic}', self._deadlines)
        self._health.problem(
            self._deadline_problem,
            f'{self._topic}: {self._deadlines} deadlines of {self._deadline_s:g} s missed so far; is the publisher '
            'slow or gone?',
            log_again=False,
        )
