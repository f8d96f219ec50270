# SPDX-License-Identifier: Apache-2.0
"""The inboxes of several streams, which a worker serves as one: the newest of each, taken when there is time for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from isaac_inference.ros.runtime.topics.mailbox import Worker
from isaac_inference.serving.streams.newest import Arrival, NewestOfEach

Collect = Callable[[int], list[Arrival[Any]]]
"""Takes up to so many items, one of each stream, the longest waiting stream's first."""


class StreamBox:
    """What waits of several streams.

    The worker calls `handler` when something waits and it has nothing else to do; the handler takes it out itself, with
    the function that it is given, as late as it can: until then newer items take the place of older ones.

    Args:
        worker: the thread that handles what arrives.
        handler: called in the worker's thread.
        wait_s: how long the worker waits for items of further streams, from the first on; asked each time.
        enough: the number of items that it does not wait for more than; asked only while it waits.
    """

    def __init__(
        self,
        worker: Worker,
        handler: Callable[[Collect], None],
        wait_s: Callable[[], float] = lambda: 0.0,
        enough: Callable[[], int] = lambda: 1,
    ) -> None:
        self.worker = worker
        self._handler, self._wait_s, self._enough = handler, wait_s, enough
        self._newest: NewestOfEach[Any] = NewestOfEach()
        self._slots: set[StreamSlot] = set()

    def slot(
        self,
        stream: str,
        on_displaced: Callable[[], None] = lambda: None,
        inline: Callable[[Any], bool] = lambda item: False,
    ) -> StreamSlot:
        """The inbox of one stream, for its subscription; both functions are as those of a `Mailbox`."""
        made = StreamSlot(self, stream, on_displaced, inline)
        if not self._slots:
            self.worker.attach(self)
        self._slots.add(made)
        return made

    def put(self, stream: str, item: Any) -> bool:
        """Keep an item; whether it displaced an older one."""
        with self.worker.condition:
            displaced = self._newest.put(Arrival(stream, item, time.time_ns()), time.monotonic_ns())
            self.worker.condition.notify()
        return displaced

    def leave(self, slot: StreamSlot) -> None:
        """A stream is closed; the last one closes the box."""
        self._slots.discard(slot)
        if not self._slots:
            self.worker.detach(self)
        with self.worker.condition:
            self._newest.forget(slot.stream)

    def oldest_ns(self) -> int | None:
        """Since when the stream waits that waits longest, once it is due; the worker holds its condition."""
        since_ns = self._newest.since_ns
        if since_ns is None or self._left_s(since_ns) > 0:
            return None
        return time.time_ns() - (time.monotonic_ns() - since_ns)

    def patience_s(self) -> float | None:
        """Seconds until what waits is due; None where nothing waits."""
        since_ns = self._newest.since_ns
        return None if since_ns is None else max(0.0, self._left_s(since_ns))

    def take(self) -> tuple[None, int]:
        """Nothing yet: the handler takes it."""
        return None, 0

    def handle(self, item: None, arrived_ns: int) -> None:
        """Run the handler."""
        self._handler(self._collect)

    def handle_one(self, arrival: Arrival[Any]) -> None:
        """Run the handler with an item that never waited here."""
        self._handler(lambda most: [arrival][:most])

    def _collect(self, most: int) -> list[Arrival[Any]]:
        with self.worker.condition:
            return self._newest.take(most)

    def _left_s(self, since_ns: int) -> float:
        wait_s = self._wait_s()
        if wait_s <= 0 or len(self._newest) >= self._enough():
            return 0.0
        return since_ns / 1e9 + wait_s - time.monotonic()


class StreamSlot:
    """One stream's inbox; as a `Mailbox` for who puts something into it."""

    def __init__(
        self, box: StreamBox, stream: str, on_displaced: Callable[[], None], inline: Callable[[Any], bool]
    ) -> None:
        self.stream = stream
        self._box, self._on_displaced, self._inline = box, on_displaced, inline

    def put(self, item: Any) -> None:
        """Hand `item` over by reference; never waits for the worker."""
        if self._inline(item) and self._box.worker.run_here(self, item):
            return
        if self._box.put(self.stream, item):
            self._on_displaced()

    def close(self) -> None:
        """Forget what waits and leave the worker."""
        self._box.leave(self)

    def handle(self, item: Any, arrived_ns: int) -> None:
        """Run the handler in the sender's thread, with this item alone."""
        self._box.handle_one(Arrival(self.stream, item, arrived_ns))
