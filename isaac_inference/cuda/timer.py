# SPDX-License-Identifier: Apache-2.0
"""GPU time from CUDA events, without ever waiting for the GPU."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.event import Event
    from isaac_inference.cuda.stream import Stream

KEPT = 1024
"""Measurements kept until they are collected; the oldest are discarded first."""


class _Measurement:
    """`GpuTimer.measure`."""

    __slots__ = ('_timer', '_stream', '_pair')

    def __init__(self, timer: GpuTimer, stream: Stream, pair: tuple[Event, Event] | None) -> None:
        self._timer = timer
        self._stream = stream
        self._pair = pair

    def __enter__(self) -> None:
        if self._pair is not None:
            self._stream.record(self._pair[0])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pair is None:
            return
        if error is None:
            self._stream.record(self._pair[1])
        self._timer.finish(self._pair, measured=error is None)


class GpuTimer:
    """Times what is enqueued between two points of a stream; events are created once.

    Not for use inside a graph capture; timing a graph's launch is fine.

    Args:
        gpu: the device.
        depth: measurements that may be in progress at once; further ones are skipped.

    Attributes:
        skipped: measurements that were skipped because all events were in use.
    """

    def __init__(self, gpu: Gpu, depth: int = 8) -> None:
        self._free = deque((gpu.event(timing=True), gpu.event(timing=True)) for _ in range(depth))
        self._pending: deque[tuple[Event, Event]] = deque()
        self._times: deque[float] = deque(maxlen=KEPT)
        self._gpu = gpu
        self._lock = threading.Lock()
        self.skipped = 0

    def measure(self, stream: Stream) -> _Measurement:
        """A block; what is enqueued on the stream inside it is timed, from when the GPU starts it to when it ends."""
        with self._lock:
            if not self._free:
                self._harvest()
            if not self._free:
                self.skipped += 1
                return _Measurement(self, stream, None)
            return _Measurement(self, stream, self._free.popleft())

    def finish(self, pair: tuple[Event, Event], measured: bool) -> None:
        """The end of a block; an aborted one is not measured."""
        with self._lock:
            (self._pending if measured else self._free).append(pair)

    def collect(self) -> list[float]:
        """GPU times, ms, of complete measurements not yet collected, oldest first."""
        with self._lock:
            self._harvest()
            times = list(self._times)
            self._times.clear()
        return times

    def _harvest(self) -> None:
        with self._gpu.current():
            while self._pending and self._pending[0][1].query():
                start, end = self._pending.popleft()
                self._times.append(float(end.time_since(start)))
                self._free.append((start, end))
