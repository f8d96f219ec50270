# SPDX-License-Identifier: Apache-2.0
"""A device's primary context, current on whichever thread needs it, and the bin of objects to free while it is current.

One object is shared by all threads, and each call makes the context current on its own thread: a worker thread that
owned the context would cost every call two thread switches, more than everything else around an engine.

The PyCUDA behaviour behind this design (see its cuda.hpp):
- `Context.push` and `pop` keep a stack per thread and don't check who made the context, so several threads may have it
  current at once. The shared counters they touch are guarded by the GIL, which they hold.
- A thread that ends with a context on that stack aborts the process. So every push has its pop in an `__exit__`, and
  `close` lets no thread in and waits for those inside before the interpreter ends and kills them there.
- Destructors of streams, events, modules and memory need the context: current, or at least made by the same thread.
  Elsewhere they warn and leak. So what the garbage collector finds goes to the bin, which is emptied where the context
  is current.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pycuda.driver as cuda

from isaac_inference.cuda import driver
from isaac_inference.errors import DeviceError

_log = logging.getLogger(__name__)
_CLOSE_TIMEOUT_S = 5.0  # how long `close` waits for other threads; a frame takes a hundredth


class _Thread(threading.local):
    """The contexts that this thread has entered, innermost last."""

    def __init__(self) -> None:
        self.entered: list[PrimaryContext] = []


_thread = _Thread()


class PrimaryContext:
    """The primary context of a device: the one that the CUDA runtime, and so TensorRT and PyTorch, use too.

    As a context manager it is current inside the block; blocks nest, and an inner one costs next to nothing. PyCUDA
    errors leave a block as DeviceError.
    """

    def __init__(self, ordinal: int) -> None:
        try:
            cuda.init()
            self.device = cuda.Device(ordinal)
            self._context = self.device.retain_primary_context()
        except cuda.Error as error:
            raise DeviceError(f'GPU {ordinal}: {error}; check nvidia-smi and CUDA_VISIBLE_DEVICES') from error
        self.ordinal = ordinal
        self._process = os.getpid()
        self._inside: set[int] = set()
        self._bin: deque[Any] = deque()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it was released."""
        return self._closed

    @property
    def inherited(self) -> bool:
        """Whether this process is a forked child of the one that created it; nothing works here then."""
        return os.getpid() != self._process

    def __enter__(self) -> PrimaryContext:
        entered = _thread.entered
        if not entered or entered[-1] is not self:
            self._push()
        entered.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entered = _thread.entered
        entered.pop()
        if not entered or entered[-1] is not self:
            self._pop()
        if isinstance(error, cuda.Error):
            hint = '; the context is lost, restart the process' if isinstance(error, cuda.LaunchError) else ''
            raise DeviceError(f'GPU {self.ordinal}: {error}{hint}') from error

    def _push(self) -> None:
        if self.inherited:
            raise DeviceError(
                f'GPU {self.ordinal}: its context belongs to the parent process and does not survive a fork; start '
                "child processes with multiprocessing's 'spawn'"
            )
        me = threading.get_ident()
        self._inside.add(me)
        try:
            if self._closed:
                raise DeviceError(f'GPU {self.ordinal}: closed; call gpu() again')
            self._context.push()
        except cuda.Error as error:
            self._inside.discard(me)
            raise DeviceError(f'GPU {self.ordinal}: {error}; restart the process') from error
        except DeviceError:
            self._inside.discard(me)
            raise

    def _pop(self) -> None:
        try:
            cuda.Context.pop()
        finally:
            if self not in _thread.entered:
                self._inside.discard(threading.get_ident())

    def discard(self, item: object) -> None:
        """Queues something to be freed later, when the context is current; any thread, no CUDA call.

        Args:
            item: a PyCUDA object whose last reference this is, or a function to call.
        """
        if not self._closed:
            self._bin.append(item)

    def empty_bin(self) -> None:
        """Frees what was discarded."""
        with self:
            while self._bin:
                try:
                    item = self._bin.popleft()
                except IndexError:  # another thread was faster
                    return
                if callable(item):
                    _run(item)
                del item

    def close(self) -> None:
        """Lets no more threads in, waits for those inside, empties the bin and releases the context.

        Raises:
            DeviceError: this thread itself is inside.
        """
        if self._closed:
            return
        if self.inherited:  # a forked child has nothing to free
            self._closed = True
            return
        me = threading.get_ident()
        if me in self._inside:
            raise DeviceError(
                f'GPU {self.ordinal}: cannot be closed inside `with gpu.current()`; close it after the block'
            )
        self.empty_bin()
        self._closed = True
        limit = time.monotonic() + _CLOSE_TIMEOUT_S
        while self._inside and time.monotonic() < limit:
            time.sleep(0.001)
        if self._inside:
            _log.warning(
                'GPU %d: %d threads still use it; its context is not released', self.ordinal, len(self._inside)
            )
            return
        try:
            self._context.push()
            self._context.detach()
            driver.pop_context()  # PyCUDA releases a primary context, but leaves it on the driver's stack
        except (cuda.Error, DeviceError) as error:
            _log.warning('GPU %d: its context could not be released: %s', self.ordinal, error)


def _run(function: Callable[[], object]) -> None:
    try:
        function()
    except (cuda.Error, DeviceError) as error:
        _log.warning('freeing on the GPU failed: %s', error)
