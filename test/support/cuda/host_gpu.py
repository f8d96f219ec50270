# SPDX-License-Identifier: Apache-2.0
"""As much of a `Gpu` as the GPU stages need, on the CPU: addresses are of host memory, kernels are compiled by g++.

`ArrayRing` and `DeviceArray` work on it as they are. All is done at once, so the order of a stream always holds; what
it can't show is a missing wait between streams.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from support.cuda.host_build import HostKernel, host_kernels


class HostBuffer:
    """Host memory with the face of a `DeviceBuffer`; full of rubbish, as fresh device memory is."""

    def __init__(self, pool: HostPool, nbytes: int, what: str) -> None:
        self.nbytes, self.what, self._pool = nbytes, what, pool
        self._memory = np.full(nbytes + 256, 0xA5, np.uint8)
        self.ptr = -(-self._memory.ctypes.data // 256) * 256
        pool.used += nbytes
        pool.live.append(self)

    def free(self) -> None:
        """Gives the memory back, once."""
        if self.ptr:
            self.ptr = 0
            self._pool.live.remove(self)
            self._pool.used -= self.nbytes


class HostPinned:
    """Plain memory with the face of a `PinnedArray`."""

    def __init__(self, nbytes: int) -> None:
        self.array = np.full(nbytes, 0xA5, np.uint8)
        self.freed = 0

    def free(self) -> None:
        """Counts; the memory goes with the object."""
        self.freed += 1


class HostPool:
    """Allocates and counts; `live` lists what was not freed."""

    def __init__(self, counters: HostCounters) -> None:
        self.used, self.live, self._counters = 0, list[HostBuffer](), counters

    def allocate(self, nbytes: int, what: str) -> HostBuffer:
        """`nbytes` of memory."""
        self._counters.allocations += 1
        return HostBuffer(self, nbytes, what)


class HostCounters:
    """What was done so far."""

    def __init__(self) -> None:
        self.allocations = self.synchronizations = self.launches = self.copies = 0

    def add(self, name: str) -> None:
        """One more of a kind."""
        setattr(self, name, getattr(self, name) + 1)


class HostEvent:
    """Counts how often it was recorded."""

    def __init__(self) -> None:
        self.records = 0

    def record(self, stream: Any = None) -> None:
        """One more."""
        self.records += 1

    def query(self) -> bool:
        """All is done at once."""
        return True

    def synchronize(self) -> None:
        """All is done at once."""


class HostStream:
    """Does at once what a stream would do later."""

    def __init__(self, gpu: FakeGpu, priority: str = 'normal') -> None:
        gpu.streams += 1
        self.gpu, self.handle, self.priority, self._counters = gpu, gpu.streams, priority, gpu.counters

    def synchronize(self) -> None:
        """All is done at once."""
        self._counters.synchronizations += 1

    def record(self, event: HostEvent) -> None:
        """Everything so far is done."""
        event.record()

    def wait(self, event: HostEvent) -> None:
        """All is done at once."""

    def upload(self, ptr: int, host: np.ndarray) -> None:
        """Host array to an address."""
        self.copy(int(ptr), host.ctypes.data, host.nbytes)

    def download(self, host: np.ndarray, ptr: int, nbytes: int | None = None) -> None:
        """From an address to a host array."""
        self.copy(host.ctypes.data, int(ptr), host.nbytes if nbytes is None else nbytes)

    def copy(self, dst: int, src: int, n: int) -> None:
        """Bytes from one address to another."""
        self._counters.copies += 1
        ctypes.memmove(dst, src, n)

    def fill(self, ptr: int, byte: int, n: int) -> None:
        """The same byte everywhere."""
        ctypes.memset(int(ptr), byte, n)


class HostFunction:
    """A kernel of the host build with the face of a `Kernel`."""

    def __init__(self, kernel: HostKernel, counters: HostCounters) -> None:
        self._kernel, self._counters = kernel, counters

    def launch(self, stream: HostStream, grid: tuple[int, ...], block: tuple[int, ...], *args: Any) -> None:
        """Runs to its end; arguments with a `ptr` stand for it."""
        self._counters.launches += 1
        self._kernel.run(grid, block, *(arg.ptr if hasattr(arg, 'ptr') else arg for arg in args))


class HostKernelSet:
    """The kernels of one file."""

    def __init__(self, name: str, counters: HostCounters) -> None:
        self._kernels, self._counters = host_kernels(name), counters

    def function(self, name: str) -> HostFunction:
        """One of them."""
        return HostFunction(self._kernels.function(name), self._counters)


class HostContext:
    """There is none."""

    def discard(self, thing: Callable[[], None] | Any) -> None:
        """What waits to be freed is freed at once."""
        if callable(thing):
            thing()


class FakeGpu:
    """The `Gpu` of this module."""

    def __init__(self) -> None:
        self.ordinal, self.name, self.compute_capability = 0, 'host', (9, 0)
        self.streams = 0
        self.counters = HostCounters()
        self.pool = HostPool(self.counters)
        self.context = HostContext()
        self.all_page_locked = True

    def page_locked(self, address: int) -> bool:
        """Whether images go up as they are."""
        return self.all_page_locked

    def keep(self, thing: Any) -> None:
        """Nothing has to be closed at exit."""

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """There is no context."""
        yield

    def stream(self, priority: str = 'normal') -> HostStream:
        """A new one."""
        return HostStream(self, priority)

    def event(self, *, timing: bool = False) -> HostEvent:
        """A new one."""
        return HostEvent()

    def kernels(self, name: str) -> HostKernelSet:
        """Those of cuda/kernels/<name>.cu."""
        return HostKernelSet(name, self.counters)
