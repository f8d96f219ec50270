# SPDX-License-Identifier: Apache-2.0
"""Lets so many threads in at once, and, for opening and closing, one thread alone."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator


class Gate:
    """Guards something that `width` threads may use at once, and that only one may change while none uses it.

    Who waits for `alone` goes before who comes for `use`, so that closing is never starved by running threads. A
    thread that is inside may come in again, but may not ask for `alone` while it uses.

    Args:
        width: threads that may use it at once.
    """

    def __init__(self, width: int = 1) -> None:
        self._width = width
        self._changed = threading.Condition(threading.Lock())
        self._users: Counter[int] = Counter()  # thread -> how deep it is inside
        self._owner = 0
        self._depth = 0
        self._waiting = 0

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Use it with at most `width - 1` others; waits for a place."""
        me = threading.get_ident()
        with self._changed:
            if me != self._owner and me not in self._users:
                while self._owner or self._waiting or len(self._users) >= self._width:
                    self._changed.wait()
            self._users[me] += 1
        try:
            yield
        finally:
            with self._changed:
                self._users[me] -= 1
                if not self._users[me]:
                    del self._users[me]
                    self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Have it alone; waits until no one uses it. RuntimeError for a thread that uses it itself: it would wait for
        itself.
        """
        me = threading.get_ident()
        with self._changed:
            if me in self._users and me != self._owner:
                raise RuntimeError('open() or close() inside of a running infer()')
            if me != self._owner:
                self._waiting += 1
                try:
                    while self._owner or self._users:
                        self._changed.wait()
                finally:
                    self._waiting -= 1
                    self._changed.notify_all()
                self._owner = me
            self._depth += 1
        try:
            yield
        finally:
            with self._changed:
                self._depth -= 1
                if not self._depth:
                    self._owner = 0
                    self._changed.notify_all()
