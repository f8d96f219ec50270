# SPDX-License-Identifier: Apache-2.0
"""How tests wait: for something to become true, with one generous limit that only ends a hang.

A wait returns as soon as what it waits for is true, so a long limit costs a passing test nothing. The environment
variable TEST_TIME_FACTOR (a number, default 1) multiplies `LIMIT_S`, the time limit of processes that tests start,
and pytest's limit of a whole test: set it to 5 on a machine that is five times too slow.
"""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections.abc import Callable

TIME_FACTOR = float(os.environ.get('TEST_TIME_FACTOR', '1'))
LIMIT_S = 60.0 * TIME_FACTOR  # of one wait, and of one process that a test starts
TEST_LIMIT_S = 5 * LIMIT_S  # of one test: longer than a wait, so that the wait that hangs says what it waited for
_LOOK_S = 0.01  # between two looks at a predicate that nobody rings for


class Bell:
    """Wakes waiting tests: rung by whoever receives a message. Thread-safe."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rung = 0

    @property
    def rung(self) -> int:
        """How often it was rung."""
        return self._rung

    def ring(self) -> None:
        """Wake everybody who waits."""
        with self._condition:
            self._rung += 1
            self._condition.notify_all()

    def wait_beyond(self, rung: int, timeout_s: float) -> None:
        """Return once it was rung more than `rung` times, or after `timeout_s`."""
        with self._condition:
            self._condition.wait_for(lambda: self._rung > rung, timeout_s)


def wait_until(
    predicate: Callable[[], object],
    what: str = '',
    *,
    bell: Bell | None = None,
    notes: Callable[[], str] = lambda: '',
    limit_s: float = LIMIT_S,
) -> None:
    """Return as soon as `predicate()` is true; it is called often, so it must not send anything.

    Args:
        predicate: looked at again whenever `bell` rings, and every few milliseconds besides.
        what: is awaited, for the error; empty quotes the predicate's source.
        bell: rung when something may have changed.
        notes: what is known when the wait has failed, for the error.
        limit_s: only ends a hang; another one than `LIMIT_S` is for work of minutes, such as building an engine.

    Raises:
        AssertionError: not true within `limit_s`; it says what was awaited.
    """
    bell = bell or Bell()
    end = time.monotonic() + limit_s
    while True:
        rung = bell.rung  # before the look: what rings during it is not missed
        if predicate():
            return
        if time.monotonic() >= end:
            raise AssertionError(f'still not true after {limit_s:g} s: {what or _source(predicate)}\n{notes()}')
        bell.wait_beyond(rung, _LOOK_S)


def _source(predicate: Callable[[], object]) -> str:
    try:
        return inspect.getsource(predicate).strip()
    except (OSError, TypeError):  # such as a method of C code
        return repr(predicate)
