# SPDX-License-Identifier: Apache-2.0
"""A GPU and all that this process holds on it: `gpu()` returns the single shared owner of a device."""

from __future__ import annotations

import atexit
import functools
import logging
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from isaac_inference.cuda.availability import version_text, why_no_gpu
from isaac_inference.errors import DeviceError, PerceptionError

if TYPE_CHECKING:
    from isaac_inference.cuda.compile.kernel import Kernels
    from isaac_inference.cuda.context import PrimaryContext
    from isaac_inference.cuda.event import Event
    from isaac_inference.cuda.stream import Stream

_log = logging.getLogger(__name__)

_TIMED, _UNTIMED = 0, 2  # CU_EVENT_DEFAULT, CU_EVENT_DISABLE_TIMING

_gpus: dict[int, Gpu] = {}
_gpus_lock = threading.Lock()


class Counters:
    """What was done on a GPU since the process started; the difference between two readings is the cost of a frame.

    Attributes:
        allocations: device and pinned memory allocations.
        synchronizations: number of times the host waited.
        launches: kernels and graphs enqueued; a graph counts once, a captured kernel counts when captured.
        copies: uploads, downloads and copies on the device.
    """

    def __init__(self) -> None:
        self.allocations = 0
        self.synchronizations = 0
        self.launches = 0
        self.copies = 0
        self._lock = threading.Lock()

    def add(self, name: str) -> None:
        """One more of `name`; exact with any number of threads."""
        with self._lock:
            setattr(self, name, getattr(self, name) + 1)

    def values(self) -> dict[str, int]:
        """All of them, by name."""
        with self._lock:
            return {name: value for name, value in vars(self).items() if not name.startswith('_')}

    def __repr__(self) -> str:
        return f'Counters({self.values()})'


class Closeable(Protocol):
    """What `Gpu.keep` accepts."""

    def close(self) -> None:
        """Frees it; safe to call twice."""


class Gpu:
    """The owner of one device, created by `gpu`. All methods may be called on any thread.

    Attributes:
        ordinal: the device's number among the visible ones.
        name: the vendor's name for it.
        compute_capability: (major, minor).
        driver_version: CUDA version that the driver supports, such as '12.6'.
        counters: what was done so far.
        pool: all device memory goes through it.
        context: the primary context; `current()` is the way to use it.
    """

    def __init__(self, ordinal: int) -> None:
        import pycuda.driver as cuda

        from isaac_inference.cuda.context import PrimaryContext
        from isaac_inference.cuda.memory import MemoryPool

        self.ordinal = ordinal
        self.context = PrimaryContext(ordinal)
        device = self.context.device
        self.name = str(device.name())
        major, minor = device.compute_capability()
        self.compute_capability = (int(major), int(minor))
        self.driver_version = version_text(cuda.get_driver_version())
        self.counters = Counters()
        self.pool = MemoryPool(self)
        self._kernels: dict[str, Kernels] = {}
        self._lock = threading.Lock()
        self._kept: weakref.WeakValueDictionary[int, Closeable] = weakref.WeakValueDictionary()
        self._next_key = 0

    @property
    def closed(self) -> bool:
        """Whether everything was freed; it can't be used again then."""
        return self.context.closed

    def current(self) -> PrimaryContext:
        """`with gpu.current():` makes the context current on this thread; nests, and costs little if nested."""
        return self.context

    def memory(self) -> tuple[int, int]:
        """(free, total) bytes of the device; other processes' memory counts as used."""
        import pycuda.driver as cuda

        with self.current():
            free, total = cuda.mem_get_info()
        return int(free), int(total)

    def stream(self, priority: str = 'normal') -> Stream:
        """A new stream.

        Args:
            priority: 'low', 'normal', 'elevated' or 'high', as far as the device supports them.
        """
        from isaac_inference.cuda.stream import Stream

        return Stream(self, priority)

    def event(self, *, timing: bool = False) -> Event:
        """A new event.

        Args:
            timing: whether times between it and others will be measured; recording costs a little more then.
        """
        from isaac_inference.cuda.event import Event

        with self.current():
            return Event(self, _TIMED if timing else _UNTIMED)

    def synchronize(self) -> None:
        """Waits until the whole device is done with this process's work; for measurements and foreign readers."""
        import pycuda.driver as cuda

        with self.current():
            cuda.Context.synchronize()
        self.counters.add('synchronizations')

    def wait_for_stream(self, waiter: int, other: int) -> None:
        """Work enqueued on the stream handle `waiter` from now on starts when the work now on `other` is done."""
        from isaac_inference.cuda import driver

        with self.current():
            driver.wait_for_stream(waiter, other)

    def kernels(self, name: str) -> Kernels:
        """The kernels of cuda/kernels/<name>.cu, compiled for this device or taken from the cache.

        Raises:
            DeviceError: there is no such file, no compiler, or the source has an error.
        """
        from isaac_inference.cuda.compile.kernel import Kernels

        with self._lock:
            found = self._kernels.get(name)
            if found is None:
                path = Path(__file__).with_name('kernels') / f'{name}.cu'
                found = self._kernels[name] = Kernels(self, path)
            return found

    def keep(self, thing: Closeable) -> None:
        """Closes `thing` before the context, if it still exists then; last kept, first closed."""
        with self._lock:
            self._kept[self._next_key] = thing
            self._next_key += 1

    def close(self) -> None:
        """Frees everything that this process has on the device, once; also called when the interpreter exits."""
        if self.closed:
            return
        if self.context.inherited:
            self.context.close()
            return
        with self._lock:
            kept = [self._kept.get(key) for key in sorted(self._kept.keys(), reverse=True)]
        for thing in kept:
            try:
                if thing is not None:
                    thing.close()
            except PerceptionError as error:
                _log.warning('GPU %d: closing %r: %s', self.ordinal, thing, error)
        try:
            with self.current():
                self._kernels.clear()
                self.pool.close()
        except DeviceError as error:
            _log.warning('GPU %d: %s', self.ordinal, error)
        self.context.close()

    def __repr__(self) -> str:
        return f'Gpu({self.ordinal}, {self.name!r})'


def gpu(ordinal: int = 0) -> Gpu:
    """The shared owner of a device; created on the first call, and again after it was closed.

    Args:
        ordinal: the device's number among the visible ones.

    Raises:
        DeviceError: there is no usable GPU, or none with that number.
    """
    reason = why_no_gpu()
    if reason:
        raise DeviceError(reason)
    with _gpus_lock:
        found = _gpus.get(ordinal)
        if found is None or found.closed:
            _close_at_exit()
            found = _gpus[ordinal] = Gpu(ordinal)
        return found


@functools.cache
def _close_at_exit() -> None:
    atexit.register(_close_all)


def _close_all() -> None:
    for found in list(_gpus.values()):
        found.close()
