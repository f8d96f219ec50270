# SPDX-License-Identifier: Apache-2.0
"""What is known of a model from its last runs: how long one takes, and when the next is due."""

from __future__ import annotations

from collections import deque
from statistics import median

_KEPT = 8
_FEWEST = 4  # intervals from which a period is taken
_STEADY = 0.3  # of the period, that an interval may differ from it in the median
_SLACK = 0.25  # of its own time, that a model may have to wait and is still in time


class History:
    """The last runs of one model. Not thread-safe: its owner locks. Times in seconds of a clock that only goes on."""

    def __init__(self) -> None:
        self._took_s: deque[float] = deque(maxlen=_KEPT)
        self._gaps_s: deque[float] = deque(maxlen=_KEPT)
        self._asked_s: float | None = None

    @property
    def takes_s(self) -> float:
        """The longest of the last runs; 0 before the first."""
        return max(self._took_s, default=0.0)

    @property
    def may_take_s(self) -> float:
        """The shortest of the last runs; 0 before the first."""
        return min(self._took_s, default=0.0)

    def asked(self, now_s: float) -> None:
        """A run is asked for."""
        if self._asked_s is not None:
            self._gaps_s.append(now_s - self._asked_s)
        self._asked_s = now_s

    def took(self, seconds: float) -> None:
        """A run has ended."""
        self._took_s.append(seconds)

    def spare_s(self, now_s: float) -> float | None:
        """How long something else may run from now on, before this model would have to wait for it for long.

        None where nothing can be said: its runs do not come regularly, or have stopped.
        """
        if self._asked_s is None or len(self._gaps_s) < _FEWEST:
            return None
        period_s = median(self._gaps_s)
        if median(abs(gap_s - period_s) for gap_s in self._gaps_s) > _STEADY * period_s:
            return None
        due_s = self._asked_s + period_s
        if now_s > due_s + period_s:  # it has missed one whole run
            return None
        return max(0.0, due_s - now_s) + _SLACK * self.takes_s
