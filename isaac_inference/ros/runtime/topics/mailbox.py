# SPDX-License-Identifier: Apache-2.0
"""Mailboxes and the worker that empties them: the newest message wins, and what it displaces is counted."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol


class Inbox(Protocol):
    """What a worker serves; its methods but `handle` are called while the worker holds its condition."""

    def oldest_ns(self) -> int | None:
        """Since when something waits that is to be handled now, in ns of the wall clock; None where nothing does."""

    def patience_s(self) -> float | None:
        """Seconds after which to look again although nothing more arrives; None for never."""

    def take(self) -> tuple[Any, int]:
        """What `handle` is given."""

    def handle(self, item: Any, arrived_ns: int) -> None:
        """Handle it, in the worker's thread."""


class Target(Protocol):
    """What a subscription puts messages into."""

    def put(self, item: Any) -> None:
        """Take a message."""

    def close(self) -> None:
        """Forget what waits."""


class Handler(Protocol):
    """What handles one item."""

    def handle(self, item: Any, arrived_ns: int) -> None:
        """Handle it."""


class Mailbox:
    """A subscription's inbox. A full one forgets its oldest message and calls `on_displaced`.

    Args:
        worker: the thread that handles what arrives.
        handler: called in the worker's thread with (item, arrival in ns of the wall clock).
        depth: messages kept while the worker is busy.
        on_displaced: called in the sender's thread.
        inline: whether an item is handled in the sender's thread, where the worker has nothing else to do: for handlers
            that do little, or only start work elsewhere, such as on a GPU, and cost less than waking a thread.
    """

    def __init__(
        self,
        worker: Worker,
        handler: Callable[[Any, int], None],
        depth: int = 1,
        on_displaced: Callable[[], None] = lambda: None,
        inline: Callable[[Any], bool] = lambda item: False,
    ) -> None:
        self._worker, self._handler, self._depth, self._on_displaced = worker, handler, depth, on_displaced
        self._inline = inline
        self._items: deque[tuple[int, Any]] = deque()
        worker.attach(self)

    def put(self, item: Any) -> None:
        """Hand `item` over by reference; never waits for the worker."""
        if self._inline(item) and self._worker.run_here(self, item):
            return
        with self._worker.condition:
            full = len(self._items) >= self._depth
            if full:
                self._items.popleft()
            self._items.append((time.time_ns(), item))
            self._worker.condition.notify()
        if full:
            self._on_displaced()

    def close(self) -> None:
        """Forget what waits and leave the worker."""
        self._worker.detach(self)
        with self._worker.condition:
            self._items.clear()

    def oldest_ns(self) -> int | None:
        """Arrival of the message that waits longest, or None; the worker holds its condition."""
        return self._items[0][0] if self._items else None

    def patience_s(self) -> float | None:
        """None: a message is due as soon as it arrives."""
        return None

    def take(self) -> tuple[Any, int]:
        """The message that waits longest and its arrival; the worker holds its condition."""
        arrived_ns, item = self._items.popleft()
        return item, arrived_ns

    def handle(self, item: Any, arrived_ns: int) -> None:
        """Run the handler."""
        self._handler(item, arrived_ns)


class Worker:
    """One thread that serves mailboxes in order of arrival. Handlers must not raise; one that does is printed, and
    ends neither the thread, without which its node would be active and deaf, nor the wait of who stops it.
    """

    def __init__(self, name: str) -> None:
        self.condition = threading.Condition()
        self._name = name
        self._mailboxes: list[Inbox] = []
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._busy = False  # a handler runs, in whatever thread

    def attach(self, mailbox: Inbox) -> None:
        """Serve `mailbox` from now on."""
        with self.condition:
            self._mailboxes.append(mailbox)

    def detach(self, mailbox: Inbox) -> None:
        """Serve `mailbox` no more."""
        with self.condition:
            if mailbox in self._mailboxes:
                self._mailboxes.remove(mailbox)

    @property
    def stopping(self) -> bool:
        """Whether `stop` waits for the handler that runs."""
        return self._stopping

    def start(self) -> None:
        """Begin to serve."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def run_here(self, mailbox: Handler, item: Any) -> bool:
        """Handle `item` in this thread, unless the worker is busy, stopped, or has older messages; whether it did."""
        with self.condition:
            if self._busy or self._stopping or self._thread is None or self._waiting():
                return False
            self._busy = True
        try:
            mailbox.handle(item, time.time_ns())
        finally:
            self._idle()
        return True

    def stop(self) -> None:
        """Finish the message in hand, then return; safe to call twice."""
        with self.condition:
            self._stopping = True
            self.condition.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            with self.condition:  # what another thread handles for this worker
                self.condition.wait_for(lambda: not self._busy)
        self._thread = None

    def _run(self) -> None:
        while (mail := self._next()) is not None:
            mailbox, item, arrived_ns = mail
            try:
                mailbox.handle(item, arrived_ns)
            except Exception:
                traceback.print_exc()
            del mail, item  # a buffer's owner must see that no one holds the frame any more
            self._idle()

    def _idle(self) -> None:
        with self.condition:
            self._busy = False
            self.condition.notify_all()

    def _waiting(self) -> list[Inbox]:
        return [box for box in self._mailboxes if box.oldest_ns() is not None]

    def _patience_s(self) -> float | None:
        return min((left for box in self._mailboxes if (left := box.patience_s()) is not None), default=None)

    def _next(self) -> tuple[Inbox, Any, int] | None:
        with self.condition:
            while not self._stopping:
                waiting = [] if self._busy else self._waiting()
                if waiting:
                    box = min(waiting, key=lambda candidate: candidate.oldest_ns() or 0)
                    self._busy = True
                    return box, *box.take()
                self.condition.wait(None if self._busy else self._patience_s())
        return None
