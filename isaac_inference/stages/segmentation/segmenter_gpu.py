# SPDX-License-Identifier: Apache-2.0
"""From a segmentation network's scores on the GPU to a class for each source pixel: three kernels, one copy back."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isaac_inference.errors import EngineError, FrameError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tasks import ClassForm, SemanticSegmentationSpec
from isaac_inference.ops.decoders.base import non_finite
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.ops.segmentation.scores import ROLE
from isaac_inference.ops.segmentation.source_grid import source_grid
from isaac_inference.ops.segmentation.unlabelled import mask_dtype
from isaac_inference.stages.segmentation.gpu_memory import (
    HEADER,
    OUTPUT,
    SCORES,
    SegmentationMemory,
    Sizes,
    write_grid,
)
from isaac_inference.stages.segmentation.segmenter import Segmentation, Segmenter, sample_step
from isaac_inference.stages.segmentation.settings import SegmentationSettings, Upsampling

if TYPE_CHECKING:
    from isaac_inference.cuda.array import DeviceArray
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.stream import Stream

_ACTIVATIONS = {'softmax': 0, 'sigmoid': 1, 'none': 2}  # as in the kernels
_CELLS_A_BLOCK = 256
_PIXELS_A_BLOCK = (32, 8, 1)


class _Layout(NamedTuple):
    """How one shape and type of output lies in memory, in elements."""

    cells_wh: tuple[int, int]
    classes: int  # with the rest, of a single class against it
    class_step: int
    cell_step: int
    image_size: int
    is_half: bool


class Pending(NamedTuple):
    """One frame under way; `GpuSegmenter.fetch` waits for it."""

    memory: SegmentationMemory
    stream: Stream
    with_confidence: bool
    dtype: np.dtype  # of the output


class GpuSegmenter:
    """Best class, upsampling and the way back to source pixels for one model, on the GPU. Not thread-safe.

    Gives what `Segmenter` gives: the same mask, and confidence up to the last bit of an exponential, and the same
    errors. Buffers are made for the first frame, and anew when the source's or the output's size changes.

    Args:
        card: the model; `serves` says whether its output is read here.
        gpu: where the outputs are.
        settings: what is kept; the card's defaults without.

    Raises:
        EngineError: an output that is not read here.
        ModelError: as of `Segmenter`.
        DeviceError: the kernels could not be compiled.
    """

    def __init__(self, card: ModelCard, gpu: Gpu, settings: SegmentationSettings | None = None) -> None:
        if not self.serves(card):
            raise EngineError(
                f'model {card.name}: there are GPU kernels for class scores in float32 and float16, not for this '
                'output; read it on the CPU'
            )
        self._card, self._gpu = card, gpu
        self._checker = Segmenter(card, settings)
        self._spec: SemanticSegmentationSpec = card.spec  # type: ignore[assignment]
        self._dtype = mask_dtype(len(self._checker.names))
        kernels = gpu.kernels('segment')
        self._best_cells, self._survey, self._to_source = map(kernels.function, ('best_cells', 'survey', 'to_source'))
        self._layouts: dict[tuple[object, ...], _Layout] = {}
        self._memory: SegmentationMemory | None = None
        self._written: tuple[object, ...] = ()
        self._under_way: Stream | None = None  # where a frame is being worked on

    @staticmethod
    def serves(card: ModelCard) -> bool:
        """Whether this model's output is read here; others stay with `Segmenter`."""
        if not isinstance(card.spec, SemanticSegmentationSpec) or card.spec.form is not ClassForm.SCORES:
            return False
        output = next((spec for spec in card.outputs if spec.name == card.spec.roles[ROLE]), None)
        return output is not None and output.dtype in ('float32', 'float16') and len(output.shape) == 4

    @property
    def settings(self) -> SegmentationSettings:
        """What is kept; a change counts from the next frame on."""
        return self._checker.settings

    @settings.setter
    def settings(self, settings: SegmentationSettings) -> None:
        self._checker.settings = settings

    def __call__(
        self,
        outputs: Mapping[str, DeviceArray],
        letterbox: Letterbox,
        index: int = 0,
        with_confidence: bool = True,
        stream: Stream | None = None,
    ) -> Segmentation:
        """One image's classes in source pixels; waits for them.

        Args:
            outputs, letterbox, index, with_confidence: as for `Segmenter`.
            stream: where to work; without it, that of the outputs.

        Raises:
            FrameError: as of `Segmenter`.
            DeviceError: closed, or there is too little memory.
        """
        return self.fetch(self.enqueue(outputs, letterbox, index, with_confidence, stream))

    def enqueue(
        self,
        outputs: Mapping[str, DeviceArray],
        letterbox: Letterbox,
        index: int = 0,
        with_confidence: bool = True,
        stream: Stream | None = None,
    ) -> Pending:
        """Starts one image and returns at once; one that was not fetched before is given up.

        Args:
            outputs, letterbox, index, with_confidence, stream: as for a call.

        Raises:
            FrameError: as for a call, but for values that are not finite, which `fetch` reports.
        """
        layout = self._layout(outputs, letterbox, index)
        output = outputs[self._checker.output_name]
        work = stream or output.stream
        if self._under_way is not None:
            self._under_way.synchronize()
        with self._gpu.current():
            memory = self._memory_for(layout, letterbox, output.dtype)
            data = output.ptr + index % output.shape[0] * layout.image_size * np.dtype(output.dtype).itemsize
            self._under_way = work
            settings = self.settings  # once: they may be changed meanwhile
            self._write(memory, layout, letterbox, data, settings, work)
            with output.reading(work):
                self._launch(memory, layout, letterbox, with_confidence, settings, work)
            work.download(memory.begin(), memory.at['header'], memory.result_bytes(with_confidence))
        return Pending(memory, work, with_confidence, np.dtype(output.dtype))

    def fetch(self, pending: Pending) -> Segmentation:
        """Waits for one image, the only wait of a frame.

        Raises:
            FrameError: 'non_finite_output'.
            EngineError: another image was begun meanwhile, or it is closed.
        """
        memory = pending.memory
        if memory is not self._memory or self._under_way is not pending.stream:
            raise EngineError(
                'class masks: fetched after close, or twice; fetch each pending frame once, before the next'
            )
        pending.stream.synchronize()
        self._under_way = None
        try:
            return self._found(memory, pending)
        finally:
            memory.end()

    def _found(self, memory: SegmentationMemory, pending: Pending) -> Segmentation:
        header = memory.found('header', HEADER, 1)[0]
        if header['non_finite']:
            raise non_finite(ROLE, 'a score')
        mask = memory.image('mask', self._dtype)
        confidence = memory.image('confidence', np.dtype(np.uint8)) if pending.with_confidence else None
        samples = memory.found('samples', pending.dtype, memory.sizes.samples // pending.dtype.itemsize)
        only = None if header['differs'] else int(header['first'])
        return Segmentation(mask, confidence, only, zlib.crc32(samples.tobytes()))

    def close(self) -> None:
        """Gives the buffers back; harmless when called twice. Masks that were fetched stay good."""
        memory, self._memory, self._written = self._memory, None, ()
        under_way, self._under_way = self._under_way, None
        if memory is not None:
            with self._gpu.current():
                if under_way is not None:
                    under_way.synchronize()
                memory.free()

    def _launch(
        self,
        memory: SegmentationMemory,
        layout: _Layout,
        letterbox: Letterbox,
        with_confidence: bool,
        settings: SegmentationSettings,
        work: Stream,
    ) -> None:
        at = memory.at
        (width, height), (cells_wide, cells_high) = letterbox.source_wh, layout.cells_wh
        cells = cells_wide * cells_high
        takes_sure = with_confidence or round(settings.min_confidence * 255) > 0
        sure = at['sure'] if takes_sure else 0
        step = sample_step(layout.image_size)
        samples = -(-layout.image_size // step)
        work.fill(at['header'], 0, HEADER.itemsize)
        self._best_cells.launch(
            work,
            (-(-cells // _CELLS_A_BLOCK), 1, 1),
            (_CELLS_A_BLOCK, 1, 1),
            at['scores'],
            np.int32(cells),
            np.int32(_ACTIVATIONS[self._spec.activation]),
            at['ids'],
            sure,
            at['header'],
        )
        self._survey.launch(
            work,
            (-(-max(cells, samples) // _CELLS_A_BLOCK), 1, 1),
            (_CELLS_A_BLOCK, 1, 1),
            at['scores'],
            at['ids'],
            np.int32(cells),
            np.int32(step),
            np.int32(samples),
            at['samples'],
            at['header'],
        )
        block_x, block_y, _ = _PIXELS_A_BLOCK
        self._to_source.launch(
            work,
            (-(-width // block_x), -(-height // block_y), 1),
            _PIXELS_A_BLOCK,
            at['scores'],
            at['output'],
            at['columns'],
            at['rows'],
            at['ids'],
            sure,
            at['kept'],
            np.int32(settings.upsampling is Upsampling.BILINEAR),
            at['mask'],
            at['confidence'] if with_confidence else 0,
        )

    def _layout(self, outputs: Mapping[str, Any], letterbox: Letterbox, index: int) -> _Layout:
        """How the output of this frame lies; checked by the very CPU stage, with zeros of its shape."""
        output = outputs.get(self._checker.output_name)
        key = () if output is None else (tuple(output.shape), np.dtype(output.dtype), letterbox)
        layout = self._layouts.get(key)
        if layout is None or output is None or not 0 <= index < output.shape[0]:
            zeros = {name: np.broadcast_to(np.zeros((), one.dtype), one.shape) for name, one in outputs.items()}
            self._checker(zeros, letterbox, index, False)
            shape = tuple(outputs[self._checker.output_name].shape)[-3:]
            dtype = np.dtype(outputs[self._checker.output_name].dtype)
            if dtype not in (np.float32, np.float16):
                raise FrameError('bad_output_type', f'output {ROLE!r}: got {dtype}, expected float32 or float16')
            is_first = self._spec.layout is TensorLayout.NCHW
            channels, (rows, columns) = (shape[0], shape[1:]) if is_first else (shape[2], shape[:2])
            layout = _Layout(
                (columns, rows),
                2 if self._checker.is_binary else channels,
                rows * columns if is_first else 1,
                1 if is_first else channels,
                math.prod(shape),
                dtype == np.float16,
            )
            self._layouts = {**(self._layouts if len(self._layouts) < 64 else {}), key: layout}
        return layout

    def _memory_for(self, layout: _Layout, letterbox: Letterbox, dtype: Any) -> SegmentationMemory:
        samples = -(-layout.image_size // sample_step(layout.image_size)) * np.dtype(dtype).itemsize
        cells = layout.cells_wh[0] * layout.cells_wh[1]
        sizes = Sizes(cells, letterbox.source_wh, samples, self._dtype.itemsize, self._checker.fill + 1)
        if self._memory is None or self._memory.sizes != sizes:
            self.close()
            self._memory = SegmentationMemory(self._gpu, sizes)
        return self._memory

    def _write(
        self,
        memory: SegmentationMemory,
        layout: _Layout,
        letterbox: Letterbox,
        data: int,
        settings: SegmentationSettings,
        work: Stream,
    ) -> None:
        """Where the output is goes to the device with each frame; tables and settings when they change."""
        level = settings.threshold
        if self._spec.activation == 'sigmoid':
            level = math.log(level / (1.0 - level))
        scores = memory.setting('scores', SCORES, 1)
        scores['data'], scores['class_step'], scores['cell_step'] = data, layout.class_step, layout.cell_step
        scores['is_half'], scores['classes'] = layout.is_half, layout.classes
        scores['is_binary'], scores['level'] = self._checker.is_binary, level
        if (layout, letterbox, settings) == self._written:
            work.upload(memory.at['scores'], scores)
            return
        output = memory.setting('output', OUTPUT, 1)
        output['width'], output['height'] = letterbox.source_wh
        output['cells_wide'], output['fill'] = layout.cells_wh[0], self._checker.fill
        output['least'] = round(settings.min_confidence * 255)
        output['wide'], output['has_kept'] = self._dtype.itemsize > 1, settings.kept is not None
        if settings.kept is not None:
            memory.setting('kept', np.dtype(np.uint16), len(settings.kept))[:] = settings.kept
        write_grid(memory, source_grid(letterbox, layout.cells_wh))
        work.upload(memory.at['scores'], memory.settings)
        self._written = layout, letterbox, settings
