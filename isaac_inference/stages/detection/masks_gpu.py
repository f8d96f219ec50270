# SPDX-License-Identifier: Apache-2.0
"""The image of instances of the boxes that the GPU's NMS has left, made there from prototypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from isaac_inference.cuda.host_ring import HostRing, HostSlot
from isaac_inference.errors import EngineError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tasks import MaskForm
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.masks.prototypes import LOGIT, PROBABILITY
from isaac_inference.ops.masks.sampling import MapGrid
from isaac_inference.stages.detection.gpu_memory import DetectionMemory

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.stream import Stream

MAX_CHANNELS = 256  # coefficients that the kernel's shared memory holds
FLAG_MASK = 4  # of the header: a mask is not finite
_IN_HANDS = 4  # frames' images that readers may hold before they are copied

_TILE, _BLOCK = 32, (32, 8, 1)
_AXIS = [
    ('scale', np.float64),
    ('offset', np.float64),
    ('first', np.int32),
    ('stop', np.int32),
    ('size', np.int32),
    ('pixels', np.int32),
]
# As `struct Axis` and `struct Maps` in cuda/kernels/masks.cu.
MAPS = np.dtype([('x', _AXIS), ('y', _AXIS), ('channels', np.int32), ('threshold', np.float32)])


def paints(card: ModelCard) -> bool:
    """Whether the GPU makes this model's masks."""
    spec = card.masks
    if spec is None or spec.form is not MaskForm.PROTOTYPES or not 1 <= spec.channels <= MAX_CHANNELS:
        return False
    output = next((one for one in card.outputs if one.name == card.spec.roles.get(spec.role)), None)
    return output is not None and output.dtype in ('float32', 'float16') and len(output.shape) == 4


class InstancePainter:
    """Paints one frame at a time; one for each set of buffers of a `GpuPostprocessor`.

    Buffers are made for the first image's size, and larger ones for a larger image.

    Args:
        card: a model that `paints` is true of.
        gpu: where the outputs are.

    Raises:
        EngineError: the card has no masks.
    """

    def __init__(self, card: ModelCard, gpu: Gpu) -> None:
        spec = card.masks
        if spec is None:
            raise EngineError(f'model {card.name}: its card has no masks; there is nothing to paint')
        self._gpu, self._channels = gpu, spec.channels
        self._threshold = PROBABILITY if spec.activated else LOGIT
        self.name = card.spec.roles[spec.role]
        self._kernel = gpu.kernels('masks').function('paint')
        self._maps_device = gpu.pool.allocate(MAPS.itemsize, 'places of masks')
        self._maps = _pinned(gpu, MAPS.itemsize)
        self._image: Any = None
        self._results: HostRing | None = None
        self._slot: HostSlot | None = None
        self._shape = (0, 0)
        self._written: tuple[object, ...] = ()

    def launch(
        self, stream: Stream, memory: DetectionMemory, predictions: tuple[Any, ...], prototypes: Any, index: int,
        letterbox: Letterbox,
    ) -> None:  # fmt: skip
        """Enqueues painting and the download of the image; the header and rows change too, and are to be downloaded.

        Args:
            stream: that of the kernels before.
            memory: of the boxes, as `finish` has left it.
            predictions: address, type, anchor step, channel step and first channel of the coefficients.
            prototypes: the device array (B, P, h, w), whose shape has been checked.
            index: which image of the batch.
            letterbox: how the image was fitted into the input.
        """
        width, height = letterbox.source_wh
        host = self._room_for(width * height)
        self._shape = (height, width)
        _, channels, rows, columns = prototypes.shape
        half = np.dtype(prototypes.dtype) == np.float16
        self._write(letterbox, (columns, rows))
        stream.upload(self._maps_device.ptr, self._maps.array)
        offset = index % prototypes.shape[0] * channels * rows * columns * (2 if half else 4)
        self._kernel.launch(
            stream,
            (-(-width // _TILE), -(-height // _TILE), 1),
            _BLOCK,
            memory.at['header'],
            memory.at['rows'],
            *predictions,
            prototypes.ptr + offset,
            np.int32(half),
            self._maps_device.ptr,
            self._image.ptr,
        )
        stream.download(host.array[: 2 * width * height], self._image.ptr)

    def image(self) -> np.ndarray:
        """(H, W) uint16 of the frame that has arrived; the caller's."""
        height, width = self._shape
        if self._slot is None:
            raise EngineError('image of instances: asked for before a frame was painted; paint one first')
        return self._slot.own(self._slot.array[: 2 * width * height].view(np.uint16).reshape(height, width))

    def free(self) -> None:
        """Gives the buffers back; nothing may be under way in them. Images that were given away stay good."""
        self._slot = self._results = None
        for one in (self._maps_device, self._maps, self._image):
            if one is not None:
                one.free()

    def _room_for(self, pixels: int) -> HostSlot:
        """Room for so many, on both sides; nothing is under way here, as a set of buffers takes one frame at a time."""
        if self._results is None or self._image.nbytes < 2 * pixels:
            image, before = self._gpu.pool.allocate(2 * pixels, 'image of instances'), self._image
            if before is not None:
                before.free()
            self._image = image
            self._results = HostRing(lambda: _pinned(self._gpu, image.nbytes), _IN_HANDS)
        self._slot = self._results.take()
        return self._slot

    def _write(self, letterbox: Letterbox, map_wh: tuple[int, int]) -> None:
        source = (letterbox, map_wh)
        if self._written == source:
            return
        maps = self._maps.array.view(MAPS)
        for name, axis, size, pixels in zip(
            ('x', 'y'), MapGrid(letterbox, map_wh).axes, map_wh, letterbox.source_wh, strict=True
        ):
            maps[name][0] = (*axis, size, pixels)
        maps['channels'], maps['threshold'] = self._channels, self._threshold
        self._written = source


def _pinned(gpu: Gpu, nbytes: int) -> Any:
    from isaac_inference.cuda.memory import pinned

    return pinned(gpu, (nbytes,), np.uint8, 'image of instances')
