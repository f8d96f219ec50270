# SPDX-License-Identifier: Apache-2.0
"""Device memory for what has no fixed size, such as images of whatever camera comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.memory import DeviceBuffer
    from isaac_inference.cuda.stream import Stream


class GrowingBuffer:
    """A buffer that is allocated anew only when more is asked for than ever before.

    Args:
        gpu: where it is.
        stream: on which everything that uses it is enqueued.
        what: it holds, for errors and for the account of the memory.
    """

    def __init__(self, gpu: Gpu, stream: Stream, what: str) -> None:
        self._gpu, self._stream, self._what = gpu, stream, what
        self._buffer: DeviceBuffer | None = None

    def at_least(self, nbytes: int) -> DeviceBuffer:
        """The buffer, of that length or longer; its content is lost where it had to grow.

        Raises:
            DeviceMemoryError: there is no memory for it.
        """
        if self._buffer is None or self._buffer.nbytes < nbytes:
            if self._buffer is not None:
                self._stream.synchronize()  # it may still be read
                self.free()
            self._buffer = self._gpu.pool.allocate(nbytes, self._what)
        return self._buffer

    def free(self) -> None:
        """Gives the memory back, once nothing that is enqueued uses it; harmless when called twice."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            buffer.free()
