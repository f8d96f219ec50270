# SPDX-License-Identifier: Apache-2.0
"""Pairs each message of one stream with the nearest ones of other streams, by header stamp.

Knows no message types: items are opaque, stamps are ns. What can't be paired is released all the same, after a
stated wait and with the missing streams named, so that the caller decides and nothing waits for ever.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.ros.runtime.topics.stamp import JUMP_NS

WATCHDOG_S = 2.0  # unmatched for so long is worth a message
_RATE_WINDOW = 64  # arrivals over which a rate is taken
_FEW_GAPS = 9  # between stamps: a period that is told to anybody is of more
# Of a stream's period: its nearest item is never further away than half of it, and jitter adds to that.
_HALF_PERIOD = 0.55
_JITTER = 0.1  # of a distance: one that is smaller by less is not waited for
_UNMEASURED_NS = 33_500_000  # until there is a period: half of that at 15 Hz, the slowest that is common
_WIDEST_NS = 100_000_000  # however slow a stream is


@dataclass(frozen=True)
class Secondary:
    """How one stream is matched.

    Args:
        tolerance_s: largest difference of stamps that still counts as the same moment; None: half of the stream's
            measured period (and a tenth of that for jitter), the smallest within which a stream that runs by itself
            always has an item; at most 0.1 s.
        wait_s: how long a primary waits for this stream, from the primary's arrival on.
        depth: items kept; the oldest goes first.
    """

    tolerance_s: float | None
    wait_s: float
    depth: int

    def __post_init__(self) -> None:
        if (self.tolerance_s is not None and self.tolerance_s < 0) or self.wait_s < 0 or self.depth < 1:
            raise ValueError(f'{self}: tolerance_s and wait_s must be at least 0, depth at least 1')


@dataclass(frozen=True)
class Paired:
    """A primary `item` with, by stream, what belongs to it (None where nothing does, named in `missing`)."""

    stamp_ns: int
    item: Any
    matches: dict[str, Any]
    missing: tuple[str, ...]


@dataclass
class _Stream:
    """What a stream has sent lately; `stamps` ascend and run parallel to `items`."""

    stamps: list[int] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    last_ns: int | None = None  # of the message that arrived last; not the largest, so that a reordering waits
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))
    gaps: deque[int] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))  # ns from one stamp to the next
    unmatched_since: float | None = None  # arrival of the first primary since the last match
    unmatched: int = 0
    gap_ns: int | None = None  # the largest distance of an unmatched primary to its nearest item since then

    def forget(self) -> None:
        self.stamps.clear()
        self.items.clear()

    def period_ns(self) -> int | None:
        """From one stamp to the next, by the median; None before there are two."""
        return sorted(self.gaps)[(len(self.gaps) - 1) // 2] if self.gaps else None

    def nearest(self, stamp_ns: int) -> int | None:
        """Index of the item nearest to a stamp."""
        right = bisect_left(self.stamps, stamp_ns)
        around = [index for index in (right - 1, right) if 0 <= index < len(self.stamps)]
        return min(around, key=lambda index: abs(self.stamps[index] - stamp_ns), default=None)

    def distance_ns(self, stamp_ns: int) -> int | None:
        """From a stamp to the nearest item, the last one that arrived included even if it is kept no more."""
        known = [self.stamps[index] for index in [self.nearest(stamp_ns)] if index is not None]
        known += [] if self.last_ns is None else [self.last_ns]
        return min((abs(known_ns - stamp_ns) for known_ns in known), default=None)


@dataclass
class _Pending:
    """A primary that waits; `found` holds (distance in ns, item) by stream."""

    stamp_ns: int
    item: Any
    arrived: float
    found: dict[str, tuple[int, Any]] = field(default_factory=dict)


class StampPairing:
    """Pairs a primary stream with secondaries. Thread-safe; what is released has left.

    A primary goes as soon as each secondary has the nearest item within its tolerance, can no longer have one (its
    newest item is already later than that), or has been waited for long enough; primaries keep their order. Where the
    tolerance is measured, an item within it is the nearest unless the stream's period promises a nearer one. At most as
    many primaries wait as the deepest secondary keeps items: one more releases the oldest as it is. Secondary items
    older than what a released primary could have used are let go at once. A stamp of 0 is no stamp: such a primary
    comes back unmatched, such a secondary is left aside; both are counted.

    Args:
        primary: name of the stream that is paired.
        secondaries: name and settings of each stream that it is paired with.
        now: clock in seconds.
        topics: names to be used in `explain` where the streams' own are not what the user knows.

    `counts` has by name: 'jump.<stream>' (stamps went back by over a second: what the stream had waiting is gone),
    'zero_stamp.<stream>', 'missing.<stream>' (primaries released without it), 'overflow' (primaries pushed out before
    their wait was over), 'forgotten' (primaries that a jump of their stream dropped).
    """

    def __init__(
        self,
        primary: str,
        secondaries: Mapping[str, Secondary],
        now: Callable[[], float] = time.monotonic,
        topics: Mapping[str, str] | None = None,
    ) -> None:
        if primary in secondaries:
            raise ValueError(f'stream {primary!r} cannot be both the primary and a secondary')
        self.counts: Counter[str] = Counter()
        self._primary, self._secondaries, self._now = primary, dict(secondaries), now
        self._topics = dict(topics or {})
        self._most_pending = max((secondary.depth for secondary in secondaries.values()), default=1)
        self._lock = threading.Lock()
        self._reset()

    def put(self, stream: str, stamp_ns: int, item: Any) -> list[Paired]:
        """Take an item; returns the primaries that can go now, in their order.

        Raises:
            KeyError: no such stream.
        """
        with self._lock:
            self._note_arrival(stream, stamp_ns)
            if stream == self._primary:
                self._put_primary(stamp_ns, item)
            elif stamp_ns > 0:
                self._put_secondary(stream, stamp_ns, item)
            return self._release()

    def expire(self) -> list[Paired]:
        """The primaries whose wait is over; call it from a timer, as nothing may arrive any more."""
        with self._lock:
            return self._release()

    @property
    def is_waiting(self) -> bool:
        """Whether any primary waits."""
        return bool(self._pending)

    def clear(self) -> None:
        """Forget all items and what is known of the streams; the counts stay."""
        with self._lock:
            self._reset()

    def tolerance_s(self, stream: str) -> float:
        """The tolerance of a secondary stream, as it is now."""
        with self._lock:
            return self._tolerance_ns(stream) / 1e9

    def period_s(self, stream: str) -> float | None:
        """From one stamp of a stream to the next; None before there are ten of them."""
        with self._lock:
            period_ns, gaps = self._streams[stream].period_ns(), len(self._streams[stream].gaps)
            return None if period_ns is None or gaps < _FEW_GAPS else period_ns / 1e9

    def explain(self) -> str | None:
        """Why primaries find no match: None unless some secondary has matched none for `WATCHDOG_S`."""
        with self._lock:
            now = self._now()
            arrivals = self._streams[self._primary].arrivals
            if not arrivals or now - arrivals[-1] > WATCHDOG_S:
                return None
            bad = {
                name: now - stream.unmatched_since
                for name, stream in self._streams.items()
                if stream.unmatched_since is not None and now - stream.unmatched_since >= WATCHDOG_S
            }
            if not bad:
                return None
            lines = [f'{self._topic(self._primary)}: {self._figures(self._primary, now)}']
            lines += [f'{self._topic(name)}: {self._complaint(name, now)}' for name in bad]
            return f'no match for {max(bad.values()):.1f} s. ' + '; '.join(lines)

    # Items

    def drop_forgotten(self, drop: Callable[[str, str], None]) -> None:
        """Call `drop(reason, sentence)` once for each primary that a jump of its stream dropped since the last call."""
        for _ in range(self.counts.pop('forgotten', 0)):
            drop('time_jump', f'the stamps of {self._primary} fell back by over a second while it waited')

    def _reset(self) -> None:
        self._streams = {name: _Stream() for name in (self._primary, *self._secondaries)}
        self._pending: deque[_Pending] = deque()

    def _note_arrival(self, name: str, stamp_ns: int) -> None:
        stream = self._streams[name]
        stream.arrivals.append(self._now())
        if stamp_ns <= 0:
            self.counts[f'zero_stamp.{name}'] += 1
        elif stream.last_ns is not None and stamp_ns < stream.last_ns - JUMP_NS:
            self.counts[f'jump.{name}'] += 1
            stream.forget()
            if name == self._primary:
                self.counts['forgotten'] += len(self._pending)
                self._pending.clear()
                self._forget_later(stamp_ns)
        elif stream.last_ns and stamp_ns > stream.last_ns:
            stream.gaps.append(stamp_ns - stream.last_ns)
        stream.last_ns = stamp_ns

    def _forget_later(self, stamp_ns: int) -> None:
        """Of streams that have not jumped back yet: what they sent belongs to the time before, and says nothing of
        what they will send.
        """
        for name in self._secondaries:
            stream = self._streams[name]
            if stream.last_ns is not None and stream.last_ns > stamp_ns + JUMP_NS:
                self.counts[f'jump.{name}'] += 1
                stream.forget()
                stream.last_ns = None

    def _tolerance_ns(self, name: str) -> int:
        tolerance_s = self._secondaries[name].tolerance_s
        if tolerance_s is not None:
            return round(tolerance_s * 1e9)
        period_ns = self._streams[name].period_ns()
        return _UNMEASURED_NS if period_ns is None else min(round(period_ns * _HALF_PERIOD), _WIDEST_NS)

    def _put_primary(self, stamp_ns: int, item: Any) -> None:
        pending = _Pending(stamp_ns, item, self._now())
        for name in self._secondaries:
            stream = self._streams[name]
            if stream.unmatched_since is None:
                stream.unmatched_since = pending.arrived
            index = stream.nearest(stamp_ns)
            if index is not None and stamp_ns > 0:
                self._offer(pending, name, stream.stamps[index], stream.items[index])
        self._pending.append(pending)

    def _put_secondary(self, name: str, stamp_ns: int, item: Any) -> None:
        stream, secondary = self._streams[name], self._secondaries[name]
        place = bisect_left(stream.stamps, stamp_ns)
        if stream.stamps[place : place + 1] == [stamp_ns]:  # a slow clock gives several the same: the newest holds
            stream.items[place] = item
        else:
            stream.stamps.insert(place, stamp_ns)
            stream.items.insert(place, item)
        if len(stream.items) > secondary.depth:
            del stream.stamps[0], stream.items[0]
        for pending in self._pending:
            if pending.stamp_ns > 0:
                self._offer(pending, name, stamp_ns, item)

    def _offer(self, pending: _Pending, name: str, stamp_ns: int, item: Any) -> None:
        distance = abs(stamp_ns - pending.stamp_ns)
        if distance <= self._tolerance_ns(name) and (name not in pending.found or distance < pending.found[name][0]):
            pending.found[name] = (distance, item)

    def _release(self) -> list[Paired]:
        released = []
        while self._pending:
            pending, overfull = self._pending[0], len(self._pending) > self._most_pending
            if not overfull and not all(self._settled(pending, name) for name in self._secondaries):
                break
            if overfull and not all(self._settled(pending, name) for name in self._secondaries):
                self.counts['overflow'] += 1
            self._pending.popleft()
            released.append(self._finish(pending))
        return released

    def _settled(self, pending: _Pending, name: str) -> bool:
        """Whether this stream holds the primary up no longer."""
        if pending.stamp_ns <= 0 or (name in pending.found and not self._nearer_to_come(pending, name)):
            return True
        secondary, last_ns = self._secondaries[name], self._streams[name].last_ns
        passed = last_ns is not None and last_ns > pending.stamp_ns + self._tolerance_ns(name)
        return passed or self._now() - pending.arrived >= secondary.wait_s

    def _nearer_to_come(self, pending: _Pending, name: str) -> bool:
        """Whether the stream's next item is due nearer than the one that was found."""
        stream = self._streams[name]
        period_ns = stream.period_ns()
        if self._secondaries[name].tolerance_s is not None or period_ns is None or stream.last_ns is None:
            return False
        due_ns = stream.last_ns + period_ns
        return due_ns <= pending.stamp_ns + pending.found[name][0] * (1 - _JITTER)

    def _finish(self, pending: _Pending) -> Paired:
        for name in self._secondaries:
            stream = self._streams[name]
            if name in pending.found:
                stream.unmatched_since, stream.unmatched, stream.gap_ns = None, 0, None
            else:
                self.counts[f'missing.{name}'] += 1
                stream.unmatched += 1
                distance = stream.distance_ns(pending.stamp_ns)
                if distance is not None:
                    stream.gap_ns = max(distance, stream.gap_ns or 0)
            keep = bisect_left(stream.stamps, pending.stamp_ns - self._tolerance_ns(name))
            del stream.stamps[:keep], stream.items[:keep]
        found = {name: pending.found.get(name, (0, None))[1] for name in self._secondaries}
        missing = tuple(name for name in self._secondaries if name not in pending.found)
        return Paired(pending.stamp_ns, pending.item, found, missing)

    # Words

    def _topic(self, name: str) -> str:
        return self._topics.get(name, name)

    def _figures(self, name: str, now: float) -> str:
        stream = self._streams[name]
        if not stream.arrivals or stream.last_ns is None:
            return 'nothing received'
        silent = now - stream.arrivals[-1]
        span = stream.arrivals[-1] - stream.arrivals[0]
        rate = f'{(len(stream.arrivals) - 1) / span:.1f} Hz' if span > 0 else f'{len(stream.arrivals)} message(s)'
        rate = f'silent for {silent:.1f} s' if silent > WATCHDOG_S else rate
        return f'{rate}, last stamp {stream.last_ns / 1e9:.3f}'

    def _complaint(self, name: str, now: float) -> str:
        stream, tolerance_s = self._streams[name], self._tolerance_ns(name) / 1e9
        text = self._figures(name, now)
        if not stream.arrivals:
            return f'{text}; is it published, is the topic remapped right, does its QoS fit?'
        if stream.last_ns == 0 or self._streams[self._primary].last_ns == 0:
            return f'{text}; stamps are 0: have the publisher fill in header.stamp'
        if stream.gap_ns is None:
            return f'{text}, tolerance {tolerance_s:.3f} s'
        return (
            f'{text}, nearest is {stream.gap_ns / 1e9:.3f} s away, tolerance {tolerance_s:.3f} s; '
            'synchronise the clocks, raise the tolerance, or wait longer if it is only late'
        )
