# SPDX-License-Identifier: Apache-2.0
"""How far a simulated camera may be ahead of the graph that looks at it.

A real camera's images cost nothing to whoever drops them. A simulated one's take CPU time from the very nodes that
are too slow for them.
"""

from __future__ import annotations

import threading
import time
from collections import deque

PATIENCE_S = 1.0  # without an answer for so long there is nobody to wait for


class Pace:
    """Counts images that are not answered yet. Waits for nobody until the first answer, nor after a silence.

    Args:
        most: how many images may be unanswered; 0 never waits.
        patience_s: the longest wait for an answer.
    """

    def __init__(self, most: int, patience_s: float = PATIENCE_S) -> None:
        self._most, self._patience_s = most, patience_s
        self._changed = threading.Condition()
        self._waiting: deque[int] = deque()  # stamps in ns, in order
        self._is_answered = self._is_over = False

    def sent(self, stamp_ns: int) -> None:
        """An image is out."""
        with self._changed:
            self._waiting.append(stamp_ns)
            while len(self._waiting) > max(self._most, 1):
                self._waiting.popleft()

    def answered(self, stamp_ns: int) -> None:
        """The image of this stamp is done with; those before it are, too, or were lost."""
        with self._changed:
            self._is_answered = True
            while self._waiting and self._waiting[0] <= stamp_ns:
                self._waiting.popleft()
            self._changed.notify_all()

    def wait(self) -> None:
        """Return when the next image may be made."""
        end = time.monotonic() + self._patience_s
        with self._changed:
            while self._most and self._is_answered and not self._is_over and len(self._waiting) >= self._most:
                if not self._changed.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    self._is_answered = False  # until somebody answers again
                    self._waiting.clear()

    def close(self) -> None:
        """Wait no more."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
