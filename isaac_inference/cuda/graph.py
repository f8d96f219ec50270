# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs: the work of one frame, recorded once and launched as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isaac_inference.cuda import driver
from isaac_inference.errors import DeviceError

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.stream import Stream


class CudaGraph:
    """An executable graph, created by `capture`. It works on the addresses used in the capture."""

    def __init__(self, gpu: Gpu, executable: int) -> None:
        self._gpu = gpu
        self._executable = executable
        gpu.keep(self)

    def launch(self, stream: Stream) -> None:
        """Enqueues all of it. A graph never runs concurrently with itself, whatever the streams.

        Raises:
            DeviceError: it is closed, or the driver refuses the launch.
        """
        if not self._executable:
            raise DeviceError('the CUDA graph is closed')
        with self._gpu.current():
            driver.launch_graph(self._executable, stream.handle)
        self._gpu.counters.add('launches')

    def close(self) -> None:
        """Frees it; safe to call twice."""
        executable, self._executable = self._executable, 0
        if executable and not self._gpu.closed:
            with self._gpu.current():
                driver.destroy_executable(executable)

    def __del__(self) -> None:
        executable = getattr(self, '_executable', 0)
        if executable:
            self._executable = 0
            self._gpu.context.discard(lambda: driver.destroy_executable(executable))


def capture(gpu: Gpu, stream: Stream, enqueue: Callable[[], None]) -> CudaGraph:
    """Records what `enqueue` does on the stream as a graph; nothing runs yet.

    Args:
        gpu: the device.
        stream: where `enqueue` works; other streams join by waiting for an event recorded on it.
        enqueue: must not allocate, synchronise or query; one-time work (loading, tuning) must have been done by an
            ordinary call before. Host memory that it copies must be pinned and stay in place.

    Raises:
        DeviceError: something in it can't be captured.
    """
    import pycuda.driver as cuda

    with gpu.current():
        gpu.context.empty_bin()  # freeing is not allowed while capturing
        driver.begin_capture(stream.handle)
        try:
            enqueue()
        except BaseException as error:
            _abandon(stream)
            if isinstance(error, (cuda.Error, DeviceError)):
                raise DeviceError(f'a CUDA graph cannot be captured: {error}; run it without one') from error
            raise
        try:
            graph = driver.end_capture(stream.handle)
        except DeviceError as error:
            raise DeviceError(f'a CUDA graph cannot be captured: {error}; run it without one') from error
        try:
            return CudaGraph(gpu, driver.instantiate(graph))
        finally:
            driver.destroy_graph(graph)


def _abandon(stream: Stream) -> None:
    """Ends the stream's capture after an error, so that the stream can be used again."""
    try:
        graph = driver.end_capture(stream.handle)
    except DeviceError:  # reports the failed capture again
        return
    if graph:
        driver.destroy_graph(graph)
