# SPDX-License-Identifier: Apache-2.0
"""The maps of `Rectifier` on a GPU, and the whole rectified image there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.ops.image.remap import PixelMap
from isaac_inference.stages.image.gpu_arguments import ARGUMENTS, write_map_arguments
from isaac_inference.stages.image.growing_buffer import GrowingBuffer
from isaac_inference.stages.image.rectifier import Rectifier

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.memory import DeviceBuffer
    from isaac_inference.cuda.stream import Stream

BLOCK = (32, 8, 1)
"""Threads of the kernels that make one pixel each."""
_COLORS = 3


class GpuRectifier:
    """Keeps maps on the device, uploaded once a calibration, and makes whole rectified images there.

    Memory is allocated with the first rectification. All is enqueued on one stream. Not thread-safe.

    Args:
        spec: how an image becomes the model's input.
        gpu: where it runs.
        stream: what everything is enqueued on.
        what: it is for, in errors.
    """

    def __init__(self, spec: PreprocessSpec, gpu: Gpu, stream: Stream, what: str) -> None:
        self._maps = Rectifier(spec)
        self.in_one_step = self._maps.in_one_step
        # a picture is kept in the order of OpenCV, whatever the model wants
        self._stream = stream
        self._spec = PreprocessSpec(color=ColorOrder.BGR, scale=1.0, pad_value=spec.pad_value)
        self._rooms = {
            name: GrowingBuffer(gpu, stream, f'{what}: {name}')
            for name in ('input map', 'image map', 'rectified image', 'rectification arguments', 'identity')
        }
        self._uploaded: dict[str, PixelMap] = {}
        self._arguments_on_device: np.ndarray | None = None
        self._has_identity = False
        self._kernel = gpu.kernels('preprocess').function('preprocess_uint8')

    def input_map(self, rectification: Rectification, letterbox: Letterbox) -> tuple[int, int]:
        """Device addresses of the two arrays of the map of a whole model input, padding included."""
        made = self._maps.input_map(rectification, letterbox)
        return self._upload('input map', made, letterbox)

    def picture(self, image: RawImage, address: int, rectification: Rectification) -> tuple[RawImage, int]:
        """Enqueues the whole rectified image.

        Args:
            image: `encodings.readable`; its bytes are those at `address`, on the device, in stream order.
            rectification: of images of its size.

        Returns:
            The rectified image, bgr8, without data; and the device address of its bytes, which are overwritten by the
            next one.

        Raises:
            DeviceMemoryError: there is no memory for it.
        """
        flat = rectification.rectified
        places, parts = self._upload('image map', self._maps.image_map(rectification))
        made = self._rooms['rectified image'].at_least(flat.width * flat.height * _COLORS)
        arguments = self._arguments(write_map_arguments(self._spec, image, address, places, parts))
        self._kernel.launch(
            self._stream,
            (-(-flat.width // BLOCK[0]), -(-flat.height // BLOCK[1]), 1),
            BLOCK,
            arguments,
            arguments,  # taps are not looked at
            self._identity(),
            made,
            np.int32(flat.width),
            np.int32(flat.height),
            np.int32(True),
        )
        return RawImage(b'', 'bgr8', flat.height, flat.width, flat.width * _COLORS), made.ptr

    def close(self) -> None:
        """Gives the memory back, once nothing that is enqueued uses it."""
        for room in self._rooms.values():
            room.free()
        self._uploaded.clear()
        self._arguments_on_device, self._has_identity = None, False

    def _upload(self, name: str, made: PixelMap, letterbox: Letterbox | None = None) -> tuple[int, int]:
        """Brings a map to the device, unless it is there."""
        height, width = made.part.shape if letterbox is None else letterbox.input_wh[::-1]
        count = height * width
        buffer = self._rooms[name].at_least(count * (made.whole.itemsize * 2 + made.part.itemsize))
        places, parts = buffer.ptr, buffer.ptr + count * made.whole.itemsize * 2
        if self._uploaded.get(name) is not made:
            whole = made if letterbox is None else made.around((height, width), *letterbox.region)
            self._uploaded.pop(name, None)
            self._stream.upload(places, whole.whole)
            self._stream.upload(parts, whole.part)
            self._uploaded[name] = made
        return places, parts

    def _arguments(self, wanted: np.ndarray) -> DeviceBuffer:
        buffer = self._rooms['rectification arguments'].at_least(ARGUMENTS.itemsize)
        if self._arguments_on_device is None or not np.array_equal(self._arguments_on_device, wanted):
            self._arguments_on_device = None
            self._stream.upload(buffer.ptr, wanted)
            self._arguments_on_device = wanted
        return buffer

    def _identity(self) -> DeviceBuffer:
        """(3, 256) uint8: a pixel stays what it is."""
        buffer = self._rooms['identity'].at_least(_COLORS * 256)
        if not self._has_identity:
            self._stream.upload(buffer.ptr, np.tile(np.arange(256, dtype=np.uint8), (_COLORS, 1)))
            self._has_identity = True
        return buffer
