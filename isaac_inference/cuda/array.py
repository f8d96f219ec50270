# SPDX-License-Identifier: Apache-2.0
"""A tensor on the GPU that is passed from stage to stage without a copy. Can be imported without PyCUDA.

Ownership: every holder of the array may read it; the memory is reused only when no one holds it any more, so an array
that is kept costs its ring one slot. A reader on a stream other than the array's uses `reading`. Only the producer
writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from isaac_inference.cuda import dlpack
from isaac_inference.errors import DeviceError

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.event import Event
    from isaac_inference.cuda.stream import Stream

_LEGACY, _PER_THREAD = 1, 2  # streams by number in DLPack and the CUDA array interface


class Slot:
    """When a piece of device memory may be read, and who read it last; arrays that share a slot share its events."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._ready: Event | None = None
        self._done: dict[int, Event] = {}  # by the reader's stream, reused
        self._read: set[int] = set()
        self._legacy = False
        self._unknown = False

    @property
    def ready(self) -> Event:
        """Recorded by the producer when the memory holds its data."""
        if self._ready is None:
            self._ready = self._gpu.event()
        return self._ready

    def mark_read(self, stream: Stream) -> None:
        """Work enqueued on the stream so far reads this memory."""
        event = self._done.get(stream.handle)
        if event is None:
            event = self._done[stream.handle] = self._gpu.event()
        stream.record(event)
        self._read.add(stream.handle)

    def lend(self, stream: int | None) -> None:
        """Code outside this package reads the memory, on the stream with that number if it is known."""
        if stream == _LEGACY:
            self._legacy = True
        else:
            self._unknown = True

    def claim(self, stream: Stream) -> None:
        """Makes the stream, which is about to write, wait for all readers.

        Foreign streams can't be queried once they release the memory, because they may be gone too; so, except for the
        default stream, this waits for the whole device.
        """
        while self._read:
            stream.wait(self._done[self._read.pop()])
        if self._unknown:
            self._gpu.synchronize()
        elif self._legacy:
            self._gpu.wait_for_stream(stream.handle, _LEGACY)
        self._unknown = self._legacy = False


class _Reading:
    """`DeviceArray.reading`."""

    def __init__(self, array: DeviceArray, stream: Stream) -> None:
        self._array = array
        self._stream = stream
        self._foreign = stream.handle != array.stream.handle

    def __enter__(self) -> DeviceArray:
        if self._foreign:
            self._stream.wait(self._array.ready)
        return self._array

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._foreign:
            self._array.slot.mark_read(self._stream)


class DeviceArray:
    """A C-contiguous tensor in device memory.

    Args:
        ptr: device address.
        shape: dimensions.
        dtype: element type.
        stream: the producer's stream; its work on this memory comes before that of readers.
        slot: the events of the memory; None for new ones.
        owner: what must live as long as the array, such as the buffer.
    """

    __slots__ = ('ptr', 'shape', 'dtype', 'stream', 'slot', '_owner', '_host', '__weakref__')

    def __init__(
        self,
        ptr: int,
        shape: Sequence[int],
        dtype: object,
        stream: Stream,
        *,
        slot: Slot | None = None,
        owner: object = None,
    ) -> None:
        self.ptr = ptr
        self.shape = tuple(int(size) for size in shape)
        self.dtype: np.dtype = np.dtype(dtype)  # type: ignore[call-overload]
        self.stream = stream
        self.slot = Slot(stream.gpu) if slot is None else slot
        self._owner = owner
        self._host: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def gpu(self) -> Gpu:
        """The device it is on."""
        return self.stream.gpu

    @property
    def ready(self) -> Event:
        """Occurs when the array may be read; its producer records it on `stream` (`mark_ready`)."""
        return self.slot.ready

    def mark_ready(self) -> None:
        """For the producer: all work that fills this array, and those that share its slot, is enqueued."""
        self.stream.record(self.slot.ready)

    def reading(self, stream: Stream) -> _Reading:
        """A block in which work that reads the array is enqueued on a stream: it starts when the array is ready, and
        the memory is not written again before it is done. Does nothing on the array's own stream.
        """
        return _Reading(self, stream)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3. The consumer makes its stream wait for `stream`."""
        self.slot.lend(None)
        return {
            'shape': self.shape,
            'typestr': self.dtype.str,
            'data': (self.ptr if self.size else 0, False),
            'version': 3,
            'strides': None,
            'stream': self.stream.handle,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        """(kDLCUDA, ordinal)."""
        return dlpack.CUDA, self.gpu.ordinal

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """A capsule; the array is kept alive until the consumer releases it.

        Args:
            stream: the consumer's, which is made to wait for this array: None or 1 for the legacy default stream, 2 for
                the per-thread one, -1 for no waiting, else a CUstream.
            max_version: ignored; the unversioned structure is given, which every consumer reads.
            dl_device: must be this device.
            copy: must not be True.

        Raises:
            BufferError: a copy or another device is requested.
            DeviceError: DLPack has no such element type, or `stream` is 0, which CUDA can't distinguish from 1 or 2.
        """
        if copy:
            raise BufferError('a DeviceArray is passed without a copy; copy it on your side')
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(f'this array is on CUDA device {self.gpu.ordinal}; use numpy.asarray for host memory')
        if stream == 0:
            raise DeviceError('DLPack: stream 0 is ambiguous; expected None, 1, 2, -1 or a stream handle')
        consumer = _LEGACY if stream is None else int(stream)
        if consumer != -1:
            self.gpu.wait_for_stream(consumer, self.stream.handle)
        self.slot.lend(consumer)
        return dlpack.lend(self, self.ptr if self.size else 0, self.shape, self.dtype, self.gpu.ordinal)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        """The values in host memory, read-only: downloaded with one synchronisation the first time, then cached.

        Raises:
            ValueError: NumPy's protocol for copy=False where a copy is needed.
        """
        if copy is False and (self._host is None or (dtype is not None and np.dtype(dtype) != self.dtype)):  # type: ignore[call-overload]
            raise ValueError('a DeviceArray must be copied to be read on the host')
        if self._host is None:
            host = np.empty(self.shape, self.dtype)
            self.stream.download(host, self.ptr)
            if host.nbytes:
                self.stream.synchronize()
            host.flags.writeable = False  # several readers share it
            self._host = host
        if dtype is not None and np.dtype(dtype) != self.dtype:  # type: ignore[call-overload]
            return self._host.astype(dtype)  # type: ignore[call-overload]
        return self._host.copy() if copy else self._host

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError('len() of a DeviceArray without dimensions')
        return self.shape[0]

    def __repr__(self) -> str:
        return f'DeviceArray({self.shape}, {self.dtype}, 0x{self.ptr:x})'
