# SPDX-License-Identifier: Apache-2.0
"""The memory that a frame's classes take on the GPU: tables up, cells between, mask and confidence down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isaac_inference.cuda.host_ring import HostRing, HostSlot
from isaac_inference.errors import EngineError
from isaac_inference.ops.segmentation.source_grid import AxisTaps, SourceGrid

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.memory import PinnedArray

_ALIGNMENT = 256  # bytes
_IN_HANDS = 6  # frames' masks that readers may hold before they are copied

# As the structs of these names in cuda/kernels/segment.cu.
HEADER = np.dtype([(name, np.int32) for name in ('non_finite', 'differs', 'first', 'unused')])
SCORES = np.dtype(
    [
        ('data', np.uint64),
        ('class_step', np.int64),
        ('cell_step', np.int64),
        ('is_half', np.int32),
        ('classes', np.int32),
        ('is_binary', np.int32),
        ('level', np.float32),
    ]
)
TAP = np.dtype([('nearest', np.int32), ('first', np.int32), ('second', np.int32), ('weight', np.float32)])
OUTPUT = np.dtype(
    [(name, np.int32) for name in ('width', 'height', 'cells_wide', 'fill', 'least', 'wide', 'has_kept', 'unused')]
)


@dataclass(frozen=True)
class Sizes:
    """What a frame's memory has room for.

    Attributes:
        cells: of the network's output.
        source_wh: of the source image.
        samples: bytes of the numbers that tell an output from another one.
        id_bytes: of a mask's id.
        ids: that the table of kept ones has.
    """

    cells: int
    source_wh: tuple[int, int]
    samples: int
    id_bytes: int
    ids: int


class SegmentationMemory:
    """One device buffer, pinned settings and results, cut into what the kernels take; made anew for another size.

    A frame's results lie in memory of their own, so that its masks are given away without a copy.

    Attributes:
        sizes: what there is room for.
        at: name -> device address of 'scores', 'output', 'columns', 'rows', 'kept', 'ids', 'sure', 'header', 'samples',
            'mask' and 'confidence'; the last four lie one after another.
        settings: (bytes,) uint8 in pinned memory that goes to `at['scores']`: all from there to 'kept'.
    """

    def __init__(self, gpu: Gpu, sizes: Sizes) -> None:
        self.sizes = sizes
        width, height = sizes.source_wh
        pixels = width * height
        parts = {
            'scores': SCORES.itemsize,
            'output': OUTPUT.itemsize,
            'columns': TAP.itemsize * width,
            'rows': TAP.itemsize * height,
            'kept': 2 * sizes.ids,
            'ids': 2 * sizes.cells,
            'sure': sizes.cells,
            'header': HEADER.itemsize,
            'samples': sizes.samples,
            'mask': sizes.id_bytes * pixels,
            'confidence': pixels,
        }
        self._places, end = {}, 0
        for name, size in parts.items():
            self._places[name] = end
            end += -(-size // _ALIGNMENT) * _ALIGNMENT
        self._device = gpu.pool.allocate(end, 'class masks')
        self.at = {name: self._device.ptr + place for name, place in self._places.items()}
        up, down = self._places['ids'], end - self._places['header']
        try:
            self._pinned = _pinned(gpu, up)
        except BaseException:
            self._device.free()
            raise
        self.settings = self._pinned.array
        self.settings[:] = 0
        self._results = HostRing(lambda: _pinned(gpu, down), _IN_HANDS)
        self._slot: HostSlot | None = None

    def begin(self) -> np.ndarray:
        """(bytes,) uint8 in pinned memory that takes a frame's result: what is at `at['header']` and behind."""
        self._slot = self._results.take()
        return self._slot.array

    def end(self) -> None:
        """The frame's result was read; what was taken of it stays good."""
        self._slot = None

    def setting(self, name: str, dtype: np.dtype, count: int) -> np.ndarray:
        """(count,) view of one of the settings."""
        place = self._places[name]
        view: np.ndarray = self.settings[place : place + dtype.itemsize * count].view(dtype)
        return view

    def found(self, name: str, dtype: np.dtype, count: int) -> np.ndarray:
        """(count,) view of a part of the result that has arrived; good until `end`."""
        place = self._places[name] - self._places['header']
        view: np.ndarray = self._held().array[place : place + dtype.itemsize * count].view(dtype)
        return view

    def image(self, name: str, dtype: np.dtype) -> np.ndarray:
        """(H, W) 'mask' or 'confidence' of the result that has arrived; the caller's."""
        width, height = self.sizes.source_wh
        return self._held().own(self.found(name, dtype, width * height).reshape(height, width))

    def _held(self) -> HostSlot:
        if self._slot is None:
            raise EngineError('class masks: a result was asked for outside of begin() and end()')
        return self._slot

    def result_bytes(self, with_confidence: bool) -> int:
        """How much of the result there is to bring back."""
        last = 'confidence'
        width, height = self.sizes.source_wh
        return self._places[last] - self._places['header'] + (width * height if with_confidence else 0)

    def free(self) -> None:
        """Gives the buffers back; nothing may be under way in them."""
        self._slot = None
        self._device.free()
        self._pinned.free()


def taps(axis: AxisTaps, side: int) -> np.ndarray:
    """(side,) `TAP` of an axis of a `SourceGrid`; those of pixels that the network did not see have -1."""
    made = np.zeros(side, TAP)
    made['nearest'] = -1
    seen = made[axis.begin : axis.end]
    seen['nearest'], seen['first'], seen['second'], seen['weight'] = axis.nearest, axis.first, axis.second, axis.weight
    return made


def write_grid(memory: SegmentationMemory, grid: SourceGrid) -> None:
    """The tables of both axes, into the settings."""
    width, height = grid.source_wh
    memory.setting('columns', TAP, width)[:] = taps(grid.columns, width)
    memory.setting('rows', TAP, height)[:] = taps(grid.rows, height)


def _pinned(gpu: Gpu, nbytes: int) -> PinnedArray:
    from isaac_inference.cuda.memory import pinned

    return pinned(gpu, (nbytes,), np.uint8, 'tables and results of class masks')
