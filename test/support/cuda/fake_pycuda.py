# SPDX-License-Identifier: Apache-2.0
"""As much of PyCUDA as the GPU's owner uses, for machines without: contexts are lists of names, memory is numbers.

Like the real one it refuses to make or free anything while no context is current on the calling thread.
"""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Iterator

import pytest

USERS = ('context', 'event', 'stream', 'memory', 'kernel', 'graph', 'device')


class State(threading.local):
    """The context stack of a thread."""

    def __init__(self) -> None:
        self.stack: list[object] = []


class FakePycuda(types.ModuleType):
    """`pycuda.driver`; `freed` lists what was freed, `total` is the device's memory in bytes, `live` what is taken."""

    def __init__(self) -> None:
        super().__init__('pycuda.driver')
        fake, state = self, State()
        self.state, self.freed, self.live, self.total = state, [], {}, 1 << 20

        class Error(Exception):
            pass

        class OutOfMemoryError(Error, MemoryError):
            pass

        class LaunchError(Error):
            pass

        def need_context() -> None:
            if not state.stack:
                raise Error('invalid device context')

        class Context:
            def push(self) -> None:
                state.stack.append(self)

            @staticmethod
            def pop() -> None:
                state.stack.pop()

            @staticmethod
            def synchronize() -> None:
                need_context()

            def detach(self) -> None:
                fake.freed.append('context')
                if self in state.stack:
                    state.stack.remove(self)

        class Device:
            def __init__(self, ordinal: int) -> None:
                if ordinal:
                    raise Error('invalid device ordinal')

            def retain_primary_context(self) -> Context:
                return Context()

            def name(self) -> str:
                return 'Fake'

            def compute_capability(self) -> tuple[int, int]:
                return 9, 0

        class Allocation:
            def __init__(self, size: int) -> None:
                need_context()
                if sum(fake.live.values()) + size > fake.total:
                    raise OutOfMemoryError('out of memory')
                self.address = 4096 * (1 + len(fake.live) + len(fake.freed))
                fake.live[self.address] = size

            def __int__(self) -> int:
                return self.address

            def free(self) -> None:
                need_context()
                del fake.live[self.address]
                fake.freed.append(self.address)

        class Stream:
            def __init__(self, flags: int) -> None:
                need_context()
                self.handle = 1000 + id(self) % 1000

            def synchronize(self) -> None:
                need_context()

            def wait_for_event(self, event: object) -> None:
                need_context()

        class Event:
            complete = True

            def __init__(self, flags: int) -> None:
                need_context()

            def record(self, stream: Stream) -> None:
                need_context()

            def query(self) -> bool:
                return self.complete

            def synchronize(self) -> None:
                need_context()

            def time_since(self, start: object) -> float:
                return 0.5

        self.Error, self.MemoryError, self.LaunchError = Error, OutOfMemoryError, LaunchError
        self.Context, self.Device, self.Stream, self.Event = Context, Device, Stream, Event
        self.init = lambda: None
        self.get_driver_version = lambda: 12060
        self.mem_alloc = Allocation
        self.mem_get_info = lambda: (self.total - sum(self.live.values()), self.total)


@pytest.fixture
def pycuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePycuda]:
    """The stand-in, and the package's modules as imported over it."""
    driver, package = FakePycuda(), types.ModuleType('pycuda')
    package.driver = driver  # type: ignore[attr-defined]
    names = [f'isaac_inference.cuda.{name}' for name in USERS]
    room = __import__('isaac_inference.cuda', fromlist=['cuda'])
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delattr(room, name.rpartition('.')[2], raising=False)
    monkeypatch.setitem(sys.modules, 'pycuda', package)
    monkeypatch.setitem(sys.modules, 'pycuda.driver', driver)
    yield driver
    for name in names:  # made over the stand-in, so nobody else may find them
        sys.modules.pop(name, None)
        if hasattr(room, name.rpartition('.')[2]):
            delattr(room, name.rpartition('.')[2])
