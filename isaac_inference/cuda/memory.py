# SPDX-License-Identifier: Apache-2.0
"""Device memory from one pool that counts and limits it, and pinned host memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pycuda.driver as cuda

from isaac_inference.errors import DeviceError, DeviceMemoryError

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu


class DeviceBuffer:
    """A piece of device memory, created by `MemoryPool.allocate`; freed by `free`, or when the pool next allocates
    after the garbage collector has collected it.

    Attributes:
        ptr: device address, aligned to 256 bytes; 0 once freed.
        nbytes: requested size.
        what: its owner, for messages.
    """

    def __init__(self, pool: MemoryPool, ptr: int, nbytes: int, what: str) -> None:
        self._pool = pool
        self.ptr = ptr
        self.nbytes = nbytes
        self.what = what

    def free(self) -> None:
        """Releases it, once; waits for work on the device that was enqueued before."""
        ptr, self.ptr = self.ptr, 0
        if ptr:
            self._pool.release(ptr)

    def __del__(self) -> None:
        if getattr(self, 'ptr', 0):
            self._pool.drop(self.ptr)

    def __repr__(self) -> str:
        return f'DeviceBuffer({self.what!r}, {self.nbytes} bytes at 0x{self.ptr:x})'


class MemoryPool:
    """All device memory that this process allocates through this package on one GPU.

    Attributes:
        limit: maximum bytes held at once; 0 for no limit.
        peak: maximum bytes held at once so far.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._lock = threading.Lock()
        # PyCUDA's allocations live here alone: wherever a DeviceBuffer is collected, its memory is freed by this pool
        self._held: dict[int, tuple[Any, int]] = {}
        self._used = 0
        self.peak = 0
        self.limit = 0

    @property
    def used(self) -> int:
        """Bytes held now."""
        return self._used

    def allocate(self, nbytes: int, what: str) -> DeviceBuffer:
        """Allocates memory; its contents are undefined. For configure time: nothing is allocated per frame.

        Args:
            nbytes: size; 0 is allowed.
            what: whose it is, for messages.

        Raises:
            DeviceMemoryError: the limit or the device has too little left.
        """
        if nbytes < 0:
            raise DeviceError(f'{what}: {nbytes} bytes of GPU memory were requested')
        size = max(nbytes, 1)
        with self._gpu.current():
            self._gpu.context.empty_bin()
            self._reserve(size, what)
            try:
                allocation = cuda.mem_alloc(size)
            except cuda.MemoryError as error:
                with self._lock:
                    self._used -= size
                raise DeviceMemoryError(what, nbytes, self.free) from error
            except cuda.Error:
                with self._lock:
                    self._used -= size
                raise
        ptr = int(allocation)
        with self._lock:
            self._held[ptr] = (allocation, size)
            self.peak = max(self.peak, self._used)
        self._gpu.counters.add('allocations')
        return DeviceBuffer(self, ptr, nbytes, what)

    @property
    def free(self) -> int:
        """Available bytes: what the device has left, or what is left of the limit, whichever is less."""
        left = self._gpu.memory()[0]
        return min(left, max(self.limit - self._used, 0)) if self.limit else left

    def _reserve(self, size: int, what: str) -> None:
        with self._lock:
            if not self.limit or self._used + size <= self.limit:
                self._used += size
                return
        raise DeviceMemoryError(what, size, self.free)

    def release(self, ptr: int) -> None:
        """Frees the memory at an address of this pool; called by buffers."""
        with self._lock:
            allocation, size = self._held.pop(ptr, (None, 0))
            self._used -= size
        if allocation is not None and not self._gpu.closed:
            with self._gpu.current():
                allocation.free()

    def drop(self, ptr: int) -> None:
        """Frees an address later; for finalizers, on any thread."""
        self._gpu.context.discard(lambda: self.release(ptr))

    def close(self) -> None:
        """Frees everything, including what is still referenced."""
        for ptr in list(self._held):
            self.release(ptr)


class PinnedArray:
    """Page-locked host memory: copies to and from it are asynchronous and fast.

    Attributes:
        array: the memory as a NumPy array; must not be used after `free`.
    """

    def __init__(self, gpu: Gpu, shape: Sequence[int], dtype: np.dtype, what: str) -> None:
        self._gpu = gpu
        self.what = what
        count = int(np.prod(shape, dtype=np.int64))
        size = max(count * dtype.itemsize, 1)
        self._memory: Any = None
        with gpu.current():
            gpu.context.empty_bin()
            try:
                raw = cuda.pagelocked_empty(size, np.uint8)
            except cuda.MemoryError as error:
                raise DeviceError(
                    f'{what}: {size / 2**20:.1f} MiB of page-locked host memory are not available; '
                    'use a smaller batch, or raise `ulimit -l` and the memory limit of the container'
                ) from error
            self._memory = raw.base
        gpu.counters.add('allocations')
        self.array: np.ndarray = raw[: count * dtype.itemsize].view(dtype).reshape(shape)

    def free(self) -> None:
        """Releases it; safe to call twice."""
        memory, self._memory = self._memory, None
        if memory is not None and not self._gpu.closed:
            self.array = np.empty(0, self.array.dtype)
            with self._gpu.current():
                memory.free()

    def __del__(self) -> None:
        memory = getattr(self, '_memory', None)
        if memory is not None:
            self._memory = None
            self._gpu.context.discard(memory)


def pinned(gpu: Gpu, size: int | Sequence[int], dtype: object = np.uint8, what: str = 'staging') -> PinnedArray:
    """Page-locked host memory.

    Args:
        gpu: the GPU whose copies use it.
        size: element count, or a shape.
        dtype: element type, as in NumPy; bytes by default.
        what: whose it is, for messages.

    Raises:
        DeviceError: there is not enough of it.
    """
    shape = (size,) if isinstance(size, int) else tuple(size)
    return PinnedArray(gpu, shape, np.dtype(dtype), what)  # type: ignore[call-overload]
