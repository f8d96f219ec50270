# SPDX-License-Identifier: Apache-2.0
"""Reusable device arrays, so that no memory is allocated per frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from isaac_inference.cuda import dlpack
from isaac_inference.cuda.array import DeviceArray, Slot
from isaac_inference.errors import ConfigError, DeviceError, FrameError

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.memory import DeviceBuffer
    from isaac_inference.cuda.stream import Stream

ALIGNMENT = 256
"""Bytes; what the driver itself aligns allocations to, and all that TensorRT requires."""


class _Store:
    """What the ring and the leases share: the memory, and the free slots. Finalizers make no CUDA call."""

    def __init__(self, gpu: Gpu, buffer: DeviceBuffer, depth: int) -> None:
        self.gpu = gpu
        self.buffer = buffer
        self.depth = depth
        self.free = deque(range(depth))
        self.closed = False

    def give_back(self, index: int) -> None:
        self.free.append(index)
        if self.closed:
            self.gpu.context.discard(self.drain)

    def drain(self) -> None:
        """Frees the memory once no one holds any of it."""
        if len(self.free) == self.depth:
            self.buffer.free()


class _Lease:
    """Held by the arrays of one slot; when the last of them is gone, the slot is free. On any thread."""

    __slots__ = ('_store', '_index')

    def __init__(self, store: _Store, index: int) -> None:
        self._store = store
        self._index = index

    def __del__(self) -> None:
        self._store.give_back(self._index)


class ArrayRing:
    """`depth` slots, each with one array per name; all memory is allocated at creation.

    Args:
        gpu: the device.
        stream: the producer's; it writes the arrays.
        specs: shape and element type of each array.
        depth: how many sets may be in use at once: being written, in transit, and held by each reader that keeps one.
        what: whose it is, for messages.

    Raises:
        ConfigError: depth or a shape is invalid.
        DeviceMemoryError: there is not enough memory for all slots.
    """

    def __init__(
        self,
        gpu: Gpu,
        stream: Stream,
        specs: Mapping[str, tuple[Sequence[int], object]],
        depth: int,
        what: str,
    ) -> None:
        if depth < 1:
            raise ConfigError(f'{what}: a ring of {depth} slots; at least 1 is needed')
        self.stream = stream
        self.depth = depth
        self.what = what
        self._places: list[tuple[str, int, tuple[int, ...], np.dtype]] = []
        offset = 0
        for name, (shape, kind) in specs.items():
            sizes, dtype = tuple(int(size) for size in shape), np.dtype(kind)  # type: ignore[call-overload]
            if min(sizes, default=0) < 0:
                raise ConfigError(f'{what}: array {name!r} has shape {sizes}; every size must be known')
            self._places.append((name, offset, sizes, dtype))
            nbytes = int(np.prod(sizes, dtype=np.int64)) * dtype.itemsize
            offset += -(-nbytes // ALIGNMENT) * ALIGNMENT
        self._slot_bytes = offset
        self._store = _Store(gpu, gpu.pool.allocate(offset * depth, what), depth)
        self._slots = [Slot(gpu) for _ in range(depth)]
        gpu.keep(self)

    @property
    def nbytes(self) -> int:
        """Device memory of all slots."""
        return self._slot_bytes * self.depth

    @property
    def free(self) -> int:
        """Number of slots that no one holds."""
        return len(self._store.free)

    def take(self) -> dict[str, DeviceArray]:
        """The arrays of a free slot; the stream waits for those still reading it. The slot is taken until all of its
        arrays are garbage collected.

        Raises:
            FrameError: every slot is in use (`device_buffers_busy`).
            DeviceError: the ring is closed.
        """
        store = self._store
        if store.closed:
            raise DeviceError(f'{self.what}: its buffers are closed')
        index = _pop(store.free)
        if index is None:
            dlpack.sweep()  # what was lent but never consumed
            index = _pop(store.free)
        if index is None:
            raise FrameError(
                'device_buffers_busy',
                f'{self.what}: all {self.depth} sets of buffers are in use; a consumer still holds device arrays of '
                'earlier frames: release them, or copy them with numpy.asarray',
            )
        lease = _Lease(store, index)
        slot = self._slots[index]
        slot.claim(self.stream)
        base = store.buffer.ptr + index * self._slot_bytes
        return {
            name: DeviceArray(base + offset, shape, dtype, self.stream, slot=slot, owner=lease)
            for name, offset, shape, dtype in self._places
        }

    def close(self) -> None:
        """Frees the memory, now, or when the last array still in use is gone."""
        self._store.closed = True
        self._store.drain()


def _pop(free: deque[int]) -> int | None:
    try:
        return free.popleft()
    except IndexError:
        return None
