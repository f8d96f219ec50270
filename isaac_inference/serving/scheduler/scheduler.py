# SPDX-License-Identifier: Apache-2.0
"""Who runs next: all models of a process ask here before each inference.

Models of one class run side by side, as the operating system or the GPU lets them. Where there are several classes:

- A model of a lower class does not start while one of a higher class waits for the same place, nor where that one,
  going by when its last frames came, would be due before it is done.
- It does not start either where a model of a higher class would then have to wait for two inferences that run already.
- On the CPU each has cores of its own while it runs. Within a class who waits longest is next.

A model whose class leaves it no time does not run, and says so (`Member.starving`). Below the safety class the
prediction alone holds nobody up for longer than `PATIENCE_S`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from isaac_inference.engines.cpus import usable_cpus
from isaac_inference.serving.scheduler.history import History
from isaac_inference.serving.scheduler.place import Cores, Device, Place

SAFETY = 3
"""The highest class; 1 is the default, 0 best effort."""
PATIENCE_S = 1.0
"""A model that waits for longer is starving."""
_LOOK_S = 0.01  # between two looks of a model that waits: what it waits for may just have stopped coming
_REMEMBERED_S = 5.0  # how long a long wait is spoken of


class Completion(Protocol):
    """What a GPU reaches when it has done the work: a `cuda.event.Event`."""

    def query(self) -> bool:
        """Whether it has; never waits."""

    def synchronize(self) -> Any:
        """Wait for it."""


class Turn:
    """One inference of a model.

    Attributes:
        waited_s: how long it waited.
        until: to be set where the work goes on when the turn ends: what is reached when it is done.
        is_usual: whether it takes as long as the next ones will; false for a warm-up.
    """

    __slots__ = ('member', 'waited_s', 'began_s', 'until', 'is_usual', '_end')

    def __init__(self, member: Member, waited_s: float, began_s: float, end: Callable[[Turn], None]) -> None:
        self.member, self.waited_s, self.began_s = member, waited_s, began_s
        self.until: Completion | None = None
        self.is_usual = True
        self._end: Callable[[Turn], None] | None = end

    def end(self) -> None:
        """The inference is done, or begun on a GPU: what is still to do needs no place. May be called twice."""
        end, self._end = self._end, None
        if end is not None:
            end(self)


class Member:
    """A model that runs on a place; made by `Scheduler.join`.

    Attributes:
        name: for messages.
        priority: 0 to 3.
        cores: CPU cores that one of its inferences uses.
        history: of its runs.
        since_s: since when it waits; None where it does not.
    """

    def __init__(self, queue: Queue, name: str, priority: int, cores: int) -> None:
        self.name, self.priority, self.cores = name, priority, cores
        self.history = History()
        self.since_s: float | None = None
        self._queue = queue
        self._long_waits: deque[tuple[float, float]] = deque(maxlen=8)  # (end, length)

    @property
    def has_classes(self) -> bool:
        """Whether models of another class share its place."""
        return self._queue.has_classes

    def begin(self, still_wanted: Callable[[], bool] = lambda: True) -> Turn | None:
        """Wait until the model may run, and take its place, until the turn's `end`; None once it is not wanted any
        more.
        """
        return self._queue.begin(self, still_wanted)

    @contextlib.contextmanager
    def turn(self, still_wanted: Callable[[], bool] = lambda: True) -> Iterator[Turn | None]:
        """The same for a block."""
        turn = self.begin(still_wanted)
        try:
            yield turn
        finally:
            if turn is not None:
                turn.end()

    def try_begin(self) -> Turn | None:
        """A turn if the model may run now; else it waits in line, to try again, until `give_up`."""
        return self._queue.try_begin(self)

    def give_up(self) -> None:
        """It waits no more."""
        self._queue.give_up(self)

    def waited(self, now_s: float, seconds: float) -> None:
        """A wait is over."""
        if seconds >= PATIENCE_S:
            self._long_waits.append((now_s, seconds))

    def starving(self) -> str | None:
        """What to say where it gets too little; None where it does not. Any thread."""
        now_s, since_s = self._queue.clock(), self.since_s
        waits_s = [length for end, length in tuple(self._long_waits) if now_s - end < _REMEMBERED_S]
        if since_s is not None and now_s - since_s >= PATIENCE_S:
            waits_s.append(now_s - since_s)
        return self._queue.why_starving(self, max(waits_s)) if waits_s else None

    def took(self, seconds: float) -> None:
        """How long a run took that only began in its turn, and went on elsewhere. Any thread."""
        self._queue.took(self, seconds)

    def leave(self) -> None:
        """It is no more; may be called twice."""
        self._queue.leave(self)


class Queue:
    """The models of one place.

    Attributes:
        has_classes: whether they have several priorities.
    """

    def __init__(self, place: Place, clock: Callable[[], float]) -> None:
        self.place, self.clock = place, clock
        self._condition = threading.Condition()
        self.has_classes = False
        self._members: list[Member] = []
        self._waiting: list[Member] = []
        self._running: list[Turn] = []

    def join(self, name: str, priority: int, cores: int) -> Member:
        """One more."""
        member = Member(self, name, priority, cores)
        with self._condition:
            self._members.append(member)
            self._count()
        return member

    def leave(self, member: Member) -> None:
        """One less."""
        with self._condition:
            if member in self._members:
                self._members.remove(member)
                self._count()
            self._running = [turn for turn in self._running if turn.member is not member]
            self._condition.notify_all()

    def _count(self) -> None:
        self.has_classes = len({member.priority for member in self._members}) > 1

    def why_starving(self, member: Member, waited_s: float) -> str:
        """What a model waits for, and what would help."""
        above = [other for other in tuple(self._members) if other.priority > member.priority]
        text = f'gets too little of {self.place.name}: it waited {waited_s:.1f} s for its turn'
        if not above:
            return f'{text}, as other models use all of it; lower their rates, or give each fewer threads'
        names = ', '.join(f'{other.name} (priority {other.priority})' for other in above)
        return (
            f'{text}; with priority {member.priority} it runs when these have no use for it: {names}. Lower their '
            'rates, or give it a higher priority or a faster model'
        )

    def begin(self, member: Member, still_wanted: Callable[[], bool]) -> Turn | None:
        """As `Member.begin`."""
        turn = self.try_begin(member)
        while turn is None and still_wanted():
            with self._condition:
                pending = next((one.until for one in self._running if one.until is not None), None)
                turn = self._try(member)
                if turn is None and pending is None:
                    self._condition.wait(_LOOK_S)
            if turn is None and pending is not None:
                self._await(pending)
        if turn is None:
            self.give_up(member)
        return turn

    def took(self, member: Member, seconds: float) -> None:
        """As `Member.took`."""
        with self._condition:
            member.history.took(seconds)

    def try_begin(self, member: Member) -> Turn | None:
        """A turn if it may begin now; else the model waits in line, to try again, until it gives up."""
        with self._condition:
            return self._try(member)

    def give_up(self, member: Member) -> None:
        """It waits no more."""
        with self._condition:
            if member.since_s is not None:
                member.since_s = None
                self._waiting.remove(member)
                self._condition.notify_all()

    def _try(self, member: Member) -> Turn | None:
        now_s, is_new = self.clock(), member.since_s is None
        if is_new:
            member.history.asked(now_s)
        if self._may(member, now_s):
            since_s = now_s if member.since_s is None else member.since_s
            if not is_new:
                self._waiting.remove(member)
                member.since_s = None
                member.waited(now_s, now_s - since_s)
            return self._start(member, since_s, now_s)
        if is_new:
            member.since_s = now_s
            self._waiting.append(member)
        return None

    def _start(self, member: Member, since_s: float, now_s: float) -> Turn:
        turn = Turn(member, now_s - since_s, now_s, self._end)
        self._running.append(turn)
        return turn

    def _end(self, turn: Turn) -> None:
        with self._condition:
            if turn.until is not None and turn in self._running:  # what it began goes on
                return
            if turn in self._running:
                self._running.remove(turn)
            if turn.is_usual:
                turn.member.history.took(self.clock() - turn.began_s)
            if self._waiting:
                self._condition.notify_all()

    def _may(self, member: Member, now_s: float) -> bool:
        """Whether a model may start now."""
        if not self.has_classes:
            return True
        self._collect()
        for other in self._waiting:
            if other is member:
                continue
            is_before = member.since_s is None or (other.since_s or 0.0) < member.since_s
            if other.priority > member.priority or (other.priority == member.priority and is_before):
                return False
        running = [turn.member for turn in self._running]
        if not self.place.fits(member, running):
            return False
        return all(
            self._is_no_burden(member, other, running, now_s)
            for other in self._members
            if other.priority > member.priority and other not in running
        )

    def _is_no_burden(self, member: Member, higher: Member, running: list[Member], now_s: float) -> bool:
        """Whether a model of a higher class that may come at any time is none the worse if `member` starts."""
        if not self.place.delays(higher, [*running, member]):
            return True
        if self.place.delays(higher, running):  # then it would wait for two
            return False
        is_patient = member.since_s is None or now_s - member.since_s < PATIENCE_S
        if not is_patient and higher.priority < SAFETY:
            return True
        spare_s = higher.history.spare_s(now_s)
        # one slow run must not keep it from running for ever, which is from ever showing that it is fast
        takes_s = member.history.takes_s if is_patient else member.history.may_take_s
        return spare_s is None or takes_s <= spare_s

    def _collect(self) -> None:
        """Take out what a GPU has done meanwhile. When it was done is not known: the last look may be long ago."""
        self._running = [turn for turn in self._running if turn.until is None or not _is_reached(turn.until)]

    def _await(self, pending: Completion) -> None:
        """Wait until a GPU has done what it does now, which shows how long that takes."""
        with contextlib.suppress(Exception):  # whose it is says what is wrong with it; others must go on
            pending.synchronize()
        with self._condition:
            now_s = self.clock()
            for turn in [turn for turn in self._running if turn.until is pending]:
                self._running.remove(turn)
                turn.member.history.took(now_s - turn.began_s)


def _is_reached(until: Completion) -> bool:
    """Whether the work is done, or its device has failed, which its own model says: the others must go on."""
    try:
        return until.query()
    except Exception:
        return True


class Scheduler:
    """All places of a process. Thread-safe.

    Args:
        cores: of the CPU; None: all that the process may use.
        clock: seconds, never going back.
    """

    def __init__(self, cores: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._cores, self._clock = cores, clock
        self._lock = threading.Lock()
        self._queues: dict[int | None, Queue] = {}

    def join(self, name: str, priority: int, *, cores: int = 0, gpu: int = 0) -> Member:
        """A model that will run.

        Args:
            name: for messages.
            priority: 0 (best effort) to 3 (safety).
            cores: CPU cores that an inference uses; 0 where it runs on a GPU.
            gpu: which one.
        """
        with self._lock:
            key = None if cores else gpu
            queue = self._queues.get(key)
            if queue is None:
                place = Cores(self._cores or usable_cpus()) if cores else Device(gpu)
                queue = self._queues[key] = Queue(place, self._clock)
        return queue.join(name, priority, cores)


SCHEDULER = Scheduler()
"""The one of this process."""
