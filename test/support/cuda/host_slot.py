# SPDX-License-Identifier: Apache-2.0
"""A stream and its GPU that only note what is asked of them, for arrays and rings; device memory is host memory."""

from __future__ import annotations

import ctypes
from collections import deque
from types import SimpleNamespace

import numpy as np


class NotingGpu:
    """Notes waits; `memory` is the host memory behind its pool."""

    ordinal = 0

    def __init__(self) -> None:
        self.notes: list[tuple[object, ...]] = []
        self.pool = self
        self.context = SimpleNamespace(discard=lambda item: self.bin.append(item))
        self.bin: deque[object] = deque()
        self.freed = 0
        self.events = 0

    def allocate(self, nbytes: int, what: str) -> SimpleNamespace:
        """One buffer over host memory."""
        memory = np.zeros(nbytes + 256, np.uint8)
        buffer = SimpleNamespace(ptr=-(-memory.ctypes.data // 256) * 256, nbytes=nbytes, memory=memory)
        buffer.free = lambda: setattr(self, 'freed', self.freed + 1)
        return buffer

    def keep(self, thing: object) -> None:
        """Nothing is closed here."""

    def event(self) -> str:
        """A new event's name."""
        self.events += 1
        return f'event {self.events}'

    def synchronize(self) -> None:
        """Notes it."""
        self.notes.append(('synchronize device',))

    def wait_for_stream(self, waiter: int, other: int) -> None:
        """Notes it."""
        self.notes.append(('stream', waiter, 'after', other))


class NotingStream:
    """Notes events; copies at once."""

    def __init__(self, gpu: NotingGpu, handle: int) -> None:
        self.gpu, self.handle = gpu, handle

    def record(self, event: str) -> None:
        """Notes it."""
        self.gpu.notes.append((self.handle, 'records', event))

    def wait(self, event: str) -> None:
        """Notes it."""
        self.gpu.notes.append((self.handle, 'waits for', event))

    def synchronize(self) -> None:
        """Notes it."""
        self.gpu.notes.append((self.handle, 'synchronize'))

    def download(self, host: np.ndarray, source: int) -> None:
        """Copies."""
        self.gpu.notes.append((self.handle, 'download'))
        ctypes.memmove(host.ctypes.data, source, host.nbytes)
