# SPDX-License-Identifier: Apache-2.0
"""Images in pageable memory, as messages hold them, on their way to a GPU: by OpenCV's threads, not by one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from isaac_inference.ops.image.raw_image import RawImage

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.memory import PinnedArray
    from isaac_inference.cuda.stream import Stream

# The driver copies pageable memory into pinned memory of its own by the thread that calls, at the speed of one core.
# OpenCV has no plain copy by all its threads, but one that turns the colours round.
_TURNED = {
    'bgr8': ('rgb8', 3, cv2.COLOR_BGR2RGB),
    'rgb8': ('bgr8', 3, cv2.COLOR_RGB2BGR),
    'bgra8': ('rgba8', 4, cv2.COLOR_BGRA2RGBA),
    'rgba8': ('bgra8', 4, cv2.COLOR_RGBA2BGRA),
}
_LARGE = 1 << 20  # bytes; of less the threads take as long to wake up
_DEPTH = 2  # one is filled while the other one is uploaded


class Staging:
    """Pinned memory that large colour images go through, where OpenCV may use several threads.

    What arrives is the same image with its colours in the other order, which `upload` says. Everything else, and what
    is in pinned memory already, goes up as it is. Not thread-safe: one per worker.

    Args:
        gpu: where images go.
        stream: that uploads them.
    """

    def __init__(self, gpu: Gpu, stream: Stream) -> None:
        self._gpu, self._stream = gpu, stream
        self._slots: list[tuple[PinnedArray, Any]] = []  # and the event behind the last upload from it
        self._turn = self._room = 0

    def upload(self, target: int, image: RawImage) -> RawImage:
        """Starts an image's upload.

        Args:
            target: device address with room for the image's bytes.
            image: readable. Pageable bytes may change as soon as this returns; pinned ones not before the stream has
                passed this point.

        Returns:
            How what is at `target` is to be read; its `data` is the image's.
        """
        samples = np.frombuffer(image.data, np.uint8)
        turned = _TURNED.get(image.encoding)
        if turned is None or not self._pays(samples):
            self._stream.upload(target, samples)
            return image
        encoding, channels, code = turned
        row = image.width * channels
        step = image.step or row
        shape = (image.height, image.width, channels)
        source = np.lib.stride_tricks.as_strided(samples, shape, (step, channels, 1), writeable=False)
        staged, uploaded = self._slot(image.height * row)
        if not uploaded.query():
            uploaded.synchronize()
        pixels = staged.array[: image.height * row]
        cv2.cvtColor(source, code, dst=pixels.reshape(shape))
        self._stream.upload(target, pixels)
        self._stream.record(uploaded)
        return dataclasses.replace(image, encoding=encoding, step=row)

    def free(self) -> None:
        """Gives the memory back; nothing may be under way from it."""
        while self._slots:
            self._slots.pop()[0].free()

    def _pays(self, samples: np.ndarray) -> bool:
        return samples.nbytes >= _LARGE and cv2.getNumThreads() > 1 and not self._gpu.page_locked(samples.ctypes.data)

    def _slot(self, nbytes: int) -> tuple[PinnedArray, Any]:
        if nbytes > self._room:
            self._stream.synchronize()
            self.free()
            self._room = nbytes
        self._turn = (self._turn + 1) % _DEPTH
        if len(self._slots) < _DEPTH:
            self._slots.append((_pinned(self._gpu, self._room), self._gpu.event()))
            return self._slots[-1]
        return self._slots[self._turn]


def _pinned(gpu: Gpu, nbytes: int) -> PinnedArray:
    from isaac_inference.cuda.memory import pinned

    return pinned(gpu, nbytes, np.uint8, 'images on their way up')
