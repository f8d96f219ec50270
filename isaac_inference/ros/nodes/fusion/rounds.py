# SPDX-License-Identifier: Apache-2.0
"""Which messages of several equal streams are of one moment, none of which may hold up the others.

Knows no message types: items are opaque, stamps are ns.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.errors import FrameError
from isaac_inference.ros.runtime.topics.stamp import JUMP_NS

_MISSED = 3  # rounds without a message of it, and a stream is waited for no more, until it comes again
_OPEN = 30  # rounds
_PERIOD = 0.9  # of the fastest stream's: what is further apart is of two moments, as no stream is twice in one
_GAPS = 9
_LIVE_S = 5.0  # since its last message, and a stream counts where clocks are compared


@dataclass(eq=False)
class Gathered:
    """What came of one moment: by stream, (stamp in ns, item)."""

    stamp_ns: int
    deadline_s: float
    members: dict[str, tuple[int, Any]] = field(default_factory=dict)

    @property
    def stamps(self) -> list[int]:
        """Of all members, ns."""
        return [stamp for stamp, _ in self.members.values()]


@dataclass
class StreamCounts:
    """How one stream does. `missed` is how many rounds went without it since its last message."""

    received: int = 0
    late: int = 0
    missed: int = 0
    last_stamp_ns: int = -1
    last_arrival_s: float = -1.0
    gaps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_GAPS))

    @property
    def period_ns(self) -> float:
        """The median time between its stamps; infinite while that is not known."""
        return statistics.median(self.gaps_ns) if self.gaps_ns else float('inf')


class Rounds:
    """Gathers the streams' messages, moment by moment.

    A round is given out when each stream is in it or has gone on to a later one, at the latest `wait_s` after its first
    message; a stream of which nothing came while three were given out is not waited for.

    Args:
        streams: their names.
        slop_ns: largest difference of stamps within a round, if that is below the fastest stream's period.
        wait_s: longest wait.
        clock: seconds, steady.

    Example: two cameras without a common trigger.
        >>> rounds = Rounds(['front', 'left'], slop_ns=20, wait_s=1.0)
        >>> rounds.put('front', 100, 'a')
        []
        >>> [(one.stamp_ns, sorted(one.members)) for one in rounds.put('left', 111, 'b')]
        [(100, ['front', 'left'])]
    """

    def __init__(
        self, streams: Iterable[str], slop_ns: int, wait_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counts = {name: StreamCounts() for name in streams}
        self._slop_ns, self._wait_s, self._clock = slop_ns, wait_s, clock
        self._open: list[Gathered] = []  # by stamp
        self._last_ns = -1

    def clear(self) -> None:
        """Forget what waits and what came; counts of messages stay."""
        self._open, self._last_ns = [], -1
        for counts in self.counts.values():
            counts.last_stamp_ns, counts.missed = -1, 0

    def put(self, stream: str, stamp_ns: int, item: Any) -> list[Gathered]:
        """A message; returns the rounds that are complete now, oldest first.

        A stream whose stamps fall back by over a second starts over, and all the others with it.

        Raises:
            FrameError: 'late': its moment has been given out already; 'clock_offset': its stamps are over a second
                ahead of those of all others, or behind those of several, so they are of another clock.
        """
        counts, now = self.counts[stream], self._clock()
        before_ns, counts.last_stamp_ns = counts.last_stamp_ns, stamp_ns
        counts.received += 1
        counts.last_arrival_s = now
        counts.missed = 0  # late or not, it is there
        if stamp_ns < before_ns - JUMP_NS:
            self.clear()
            counts.last_stamp_ns = stamp_ns
        elif before_ns >= 0 and stamp_ns > before_ns:
            counts.gaps_ns.append(stamp_ns - before_ns)
        self._check_clock(stream, stamp_ns, now)
        if stamp_ns < self._last_ns - JUMP_NS:  # of a stream that is gone, or was ahead
            self._open, self._last_ns = [], -1
        if stamp_ns <= self._last_ns:
            counts.late += 1
            raise FrameError(
                'late',
                f'{stream}: a message of {stamp_ns / 1e9:.3f} s comes when {self._last_ns / 1e9:.3f} s is done with; '
                'raise wait_s, or see why this camera takes longer than the others',
            )
        chosen = self._round_of(stream, stamp_ns, now)
        chosen.members[stream] = (stamp_ns, item)
        return self.expire()

    def _check_clock(self, stream: str, stamp_ns: int, now: float) -> None:
        others = {
            name: (counts.last_stamp_ns, now - counts.last_arrival_s)
            for name, counts in self.counts.items()
            if name != stream and counts.last_stamp_ns >= 0 and now - counts.last_arrival_s < _LIVE_S
        }
        # who has been silent may have gone on since, as after a pause of all
        ahead = [name for name, (last_ns, ago_s) in others.items() if stamp_ns > last_ns + round(ago_s * 1e9) + JUMP_NS]
        behind = [name for name, (last_ns, _) in others.items() if stamp_ns < last_ns - JUMP_NS]
        for those, word, least in ((ahead, 'ahead of', max(len(others), 1)), (behind, 'behind', 2)):
            if len(those) >= least:
                off_s = min(abs(stamp_ns - others[name][0]) for name in those) / 1e9
                raise FrameError(
                    'clock_offset',
                    f'{stream}: its stamps are {off_s:.1f} s {word} those of {" and ".join(those)}, so they are of '
                    'another clock: synchronise the clocks of the machines that the cameras are on (chrony, PTP), or '
                    'have the driver stamp with the time of arrival',
                )

    def _round_of(self, stream: str, stamp_ns: int, now: float) -> Gathered:
        """The nearest open one without this stream, or a new one."""
        slop_ns = min(self._slop_ns, _PERIOD * min(counts.period_ns for counts in self.counts.values()))
        fitting = [
            one
            for one in self._open
            if stream not in one.members and max(stamp_ns, *one.stamps) - min(stamp_ns, *one.stamps) <= slop_ns
        ]
        if fitting:
            return min(fitting, key=lambda one: abs(stamp_ns - one.stamp_ns))
        made = Gathered(stamp_ns, now + self._wait_s)
        self._open.append(made)
        self._open.sort(key=lambda one: one.stamp_ns)
        return made

    def expire(self) -> list[Gathered]:
        """The rounds that are complete, or have waited long enough, oldest first."""
        done, now = 0, self._clock()
        for place, one in enumerate(self._open):
            if one.deadline_s <= now or self._is_complete(one) or len(self._open) - place > _OPEN:
                done = place + 1
        released, self._open = self._open[:done], self._open[done:]
        for one in released:
            self._last_ns = max(self._last_ns, *one.stamps)
            for name, counts in self.counts.items():
                counts.missed += name not in one.members
        return released

    def _is_complete(self, one: Gathered) -> bool:
        return all(
            name in one.members or counts.last_stamp_ns > one.stamp_ns or counts.missed >= _MISSED
            for name, counts in self.counts.items()
        )
