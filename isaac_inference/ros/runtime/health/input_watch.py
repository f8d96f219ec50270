# SPDX-License-Identifier: Apache-2.0
"""Whether a node's frames keep coming: never, flowing, silent, or coming and going; with hysteresis."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

_STEADY_S = 5.0  # the longest that an input which has come back must be steady to flow
_PATIENCE = 3  # timeouts for which an input that has just come back may pause again before it counts as silent


class InputState(Enum):
    """What is true of an input."""

    WAITING = 'waiting'  # nothing yet, and not for long
    MISSING = 'missing'  # nothing yet, for longer than the timeout
    FLOWING = 'flowing'
    SILENT = 'silent'  # it has stopped
    RETURNING = 'returning'  # it has stopped, and messages come again, but not steadily yet

    @property
    def is_quiet(self) -> bool:
        """Whether nothing comes that should."""
        return self in (InputState.MISSING, InputState.SILENT)


class InputWatch:
    """Follows the arrivals of one input. Not thread-safe: its owner locks.

    The first message makes an input flow. Without any for the timeout it is silent; then it flows again when messages
    have come for as long as the timeout (at most 5 s) without such a pause, and until then it takes three timeouts to
    be silent again. So an input that comes and goes, such as one whose images get lost on the way, does not flicker.

    Args:
        now: clock in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.restart()

    def restart(self) -> None:
        """Wait for the first message from now on."""
        self.state = InputState.WAITING
        self.count = 0
        self.silent_s = 0.0  # how long the last silence was
        self._last = self._steady_since = self._now()

    @property
    def quiet_s(self) -> float:
        """Seconds since the last message; since `restart` where there was none."""
        return self._now() - self._last

    def arrived(self, timeout_s: float) -> None:
        """A message has arrived."""
        self.look(timeout_s)
        now = self._now()
        if now - self._last > timeout_s:
            self._steady_since = now
        if self.state.is_quiet:
            self.silent_s = now - self._last
            self.state = InputState.FLOWING if self.state is InputState.MISSING else InputState.RETURNING
        elif self.state is InputState.WAITING:
            self.state = InputState.FLOWING
        self.count += 1
        self._last = now

    def look(self, timeout_s: float) -> InputState:
        """The state now; `timeout_s` of silence is too long."""
        now = self._now()
        quiet_s = now - self._last
        if self.state is InputState.WAITING and quiet_s > timeout_s:
            self.state = InputState.MISSING
        elif self.state is InputState.FLOWING and quiet_s > timeout_s:
            self.state = InputState.SILENT
        elif self.state is InputState.RETURNING:
            if quiet_s > _PATIENCE * timeout_s:
                self.state = InputState.SILENT
            elif quiet_s <= timeout_s and self._last - self._steady_since >= min(timeout_s, _STEADY_S):
                self.state = InputState.FLOWING
        return self.state
