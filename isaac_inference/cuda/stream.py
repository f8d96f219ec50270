# SPDX-License-Identifier: Apache-2.0
"""A stream: copies and events in order, asynchronous to the host and other streams."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pycuda.driver as cuda

from isaac_inference.cuda import driver
from isaac_inference.errors import DeviceError

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.event import Event

_log = logging.getLogger(__name__)

PRIORITIES = ('low', 'normal', 'elevated', 'high')
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: work on the default stream does not block it


class Stream:
    """Created by `Gpu.stream`. Methods may be called on any thread; work runs in the order of the calls.

    Attributes:
        handle: the driver's CUstream as a number, for TensorRT and other libraries.
        priority: one of `PRIORITIES`. 'normal' is the driver's default; most GPUs have none below it. 'elevated' is
            half-way between the lowest and the highest.
        level: the driver's number for it, as read back; smaller is more urgent.
    """

    def __init__(self, gpu: Gpu, priority: str = 'normal') -> None:
        if priority not in PRIORITIES:
            raise DeviceError(f'stream priority {priority!r}: expected one of {", ".join(PRIORITIES)}')
        self.gpu = gpu
        self.priority = priority
        self._raw: Any = None
        with gpu.current():
            self._raw = cuda.Stream(_NON_BLOCKING)
            self.handle = int(self._raw.handle)
            self._set_priority()
            self.level = driver.stream_priority(self.handle)
        gpu.keep(self)

    def _set_priority(self) -> None:
        if self.priority == 'normal':
            return
        least, greatest = driver.stream_priorities()
        try:
            levels = {'low': least, 'elevated': (least + greatest) // 2, 'high': greatest}
            driver.set_stream_priority(self.handle, levels[self.priority])
        except DeviceError as error:
            _log.warning('stream priority %s: %s; the stream runs at normal priority', self.priority, error)
            self.priority = 'normal'

    @property
    def raw(self) -> cuda.Stream:
        """PyCUDA's stream."""
        return self._raw

    def synchronize(self) -> None:
        """Waits until all that was enqueued is done; PyCUDA releases the GIL meanwhile."""
        with self.gpu.current():
            self._raw.synchronize()
        self.gpu.counters.add('synchronizations')

    def record(self, event: Event) -> None:
        """The event occurs when all work enqueued so far is done."""
        with self.gpu.current():
            event.record(self._raw)

    def wait(self, event: Event) -> None:
        """Work enqueued from now on starts after the event; the host does not wait."""
        with self.gpu.current():
            self._raw.wait_for_event(event)

    def upload(self, target: int, host: np.ndarray) -> None:
        """Copies a C-contiguous array to the device address `target`, without the GIL.

        Pageable memory may be modified as soon as this returns: the driver has copied it by then. Pinned memory must
        stay unchanged until the stream has passed this point.
        """
        _check_contiguous('upload', host)
        if not host.nbytes:
            return
        with self.gpu.current():
            cuda.memcpy_htod_async(target, host, self._raw)
        self.gpu.counters.add('copies')

    def download(self, host: np.ndarray, source: int, nbytes: int | None = None) -> None:
        """Copies from the device address `source` into a C-contiguous, writable array, without the GIL.

        Only into pinned memory is it asynchronous; into pageable memory it returns when the copy is done.

        Args:
            host: the destination.
            source: device address.
            nbytes: how many; None for the whole array.
        """
        _check_contiguous('download', host)
        if nbytes is not None and nbytes != host.nbytes:
            if not 0 <= nbytes <= host.nbytes:
                raise DeviceError(f'download: {nbytes} bytes do not fit into an array of {host.nbytes}')
            host = host.reshape(-1).view(np.uint8)[:nbytes]
        if not host.nbytes:
            return
        with self.gpu.current():
            cuda.memcpy_dtoh_async(host, source, self._raw)
        self.gpu.counters.add('copies')

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """Copies on the device, between addresses."""
        if not nbytes:
            return
        with self.gpu.current():
            cuda.memcpy_dtod_async(target, source, nbytes, self._raw)
        self.gpu.counters.add('copies')

    def fill(self, target: int, value: int, nbytes: int) -> None:
        """Sets bytes on the device to a value of 0 to 255."""
        if not nbytes:
            return
        with self.gpu.current():
            cuda.memset_d8_async(target, value, nbytes, self._raw)

    def close(self) -> None:
        """Frees it, once; enqueued work still completes."""
        raw, self._raw = self._raw, None
        if raw is not None and not self.gpu.closed:
            with self.gpu.current():
                del raw

    def __del__(self) -> None:
        raw = getattr(self, '_raw', None)
        if raw is not None:
            self._raw = None
            self.gpu.context.discard(raw)

    def __repr__(self) -> str:
        return f'Stream({self.priority}, 0x{self.handle:x})'


def _check_contiguous(what: str, host: np.ndarray) -> None:
    if not host.flags.c_contiguous:
        raise DeviceError(
            f'{what}: the host array of shape {host.shape} with strides {host.strides} is not C-contiguous; '
            'use numpy.ascontiguousarray'
        )
