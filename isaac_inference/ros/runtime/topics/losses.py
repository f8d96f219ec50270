# SPDX-License-Identifier: Apache-2.0
"""Messages that were sent and that nobody saw: lost on the way, or displaced by newer ones before they were read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 10.0
_LARGEST_GAP = 1000  # between two numbers: more is another publisher, or a link that was down
_FEWEST = 3  # lost messages in the window that are worth a word
_MANY, _FEW = 0.1, 0.02  # shares of what was sent at which it begins and is over


class LossWatch:
    """Counts what arrives and what is lost over a sliding window. Not thread-safe: the node's executor calls it.

    Args:
        now: clock in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._arrived = self._lost = self._missed = self._told = 0
        self._sequence: int | None = None  # of the message that arrived last
        self._samples: deque[tuple[float, int, int]] = deque([(now(), 0, 0)])
        self.is_lossy = False
        self.is_counted = True  # whether the middleware tells what is lost

    def arrived(self, sequence: int | None = None) -> None:
        """A message has arrived; `sequence`: its number among its publisher's, where there is but one publisher."""
        self._arrived += 1
        if sequence is not None and self._sequence is not None:
            gap = sequence - self._sequence - 1
            self._missed += gap if 0 < gap <= _LARGEST_GAP else 0
        self._sequence = sequence

    def lost(self, count: int) -> None:
        """The middleware found that `count` more messages will never arrive."""
        self._lost += count

    def displaced(self) -> int:
        """How many messages did arrive, since the last call, and were displaced by newer ones in the reader.

        They are those missing between the numbers of the others, less what was lost on the way.
        """
        count = max(0, self._missed - self._lost - self._told) if self.is_counted else 0
        self._told += count
        return count

    def check(self) -> tuple[int, int, float] | None:
        """(lost, sent, seconds) of the window while messages get lost, else None.

        It begins with some lost messages that are a noticeable share of those sent, and is over when, in a whole
        window, there are next to none.
        """
        now = self._now()
        self._samples.append((now, self._arrived, self._lost))
        while len(self._samples) > 2 and self._samples[1][0] <= now - WINDOW_S:
            self._samples.popleft()
        begin_s, arrived, lost = self._samples[0]
        lost, seconds = self._lost - lost, now - begin_s
        sent = lost + self._arrived - arrived
        share = lost / sent if sent else 0.0
        if self.is_lossy:
            self.is_lossy = share > _FEW or seconds < WINDOW_S
        else:
            self.is_lossy = lost >= _FEWEST and share >= _MANY
        return (lost, sent, seconds) if self.is_lossy else None
