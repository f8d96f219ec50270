# SPDX-License-Identifier: Apache-2.0
"""The wish to end a process, made by a signal or by any thread, and awaited in one place."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BY_A_THREAD = b'\0'  # no signal has this number


class StopRequest:
    """A pipe that SIGINT, SIGTERM and `request` write to, and that `wait` reads.

    The signals are written by the interpreter's C handler (`signal.set_wakeup_fd`), whatever thread they arrive in. A
    Python handler that set a threading.Event would run in the middle of the main thread's own `wait`: it would take
    the lock that this already has, or be put off until another signal comes.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def request(self) -> None:
        """Ask for the end; from any thread."""
        with contextlib.suppress(BlockingIOError):  # full: asked for often enough
            os.write(self._writer, _BY_A_THREAD)

    def take_signals(self) -> None:
        """Have SIGINT and SIGTERM ask for the end from now on; main thread only."""
        for number in _SIGNALS:
            signal.signal(number, _nothing)  # or the interpreter would not write it
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def ignore_signals(self) -> None:
        """Have nothing interrupt the end that has begun; main thread only."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """`take_signals`, for the length of a block."""
        before = [signal.getsignal(number) for number in _SIGNALS]
        before_fd = signal.set_wakeup_fd(-1)
        self.take_signals()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before_fd)
            for number, handler in zip(_SIGNALS, before, strict=True):
                signal.signal(number, handler)

    def wait(self) -> None:
        """Return once the end was asked for, now or before."""
        while True:
            select.select([self._reader], [], [])
            with contextlib.suppress(BlockingIOError):
                if any(number in (0, *_SIGNALS) for number in os.read(self._reader, 512)):
                    self.request()  # for whoever waits again
                    return

    def close(self) -> None:
        """Free the pipe, once no signal and no thread can write to it any more."""
        os.close(self._reader)
        os.close(self._writer)


def _nothing(number: int, frame: object) -> None:
    """The interpreter has written the signal's number by now."""
