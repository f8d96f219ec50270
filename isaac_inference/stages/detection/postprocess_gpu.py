# SPDX-License-Identifier: Apache-2.0
"""From a model's outputs on the GPU to detections in source pixels: decode and NMS there, one small copy back."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from isaac_inference.errors import EngineError, FrameError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.nms import nms
from isaac_inference.ops.boxes.plausibility import judge
from isaac_inference.ops.decoders import DECODERS
from isaac_inference.ops.decoders.base import check_thresholds, non_finite
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.masks.masks import MAX_OBJECTS
from isaac_inference.stages.detection.gpu_layout import ROLE, Layout, LayoutReader
from isaac_inference.stages.detection.gpu_memory import MAX_STRIDES, Capacity, DetectionMemory
from isaac_inference.stages.detection.masks_gpu import FLAG_MASK, InstancePainter, paints
from isaac_inference.stages.detection.postprocess import DetectionSettings, check_plausible, detection_settings

if TYPE_CHECKING:
    from isaac_inference.cuda.array import DeviceArray
    from isaac_inference.cuda.device import Gpu
    from isaac_inference.cuda.stream import Stream

_KERNELS = {
    'yolox': 'decode_yolox',
    'yolov8': 'decode_yolov8',
    'yolov8_pose': 'decode_yolov8',
    'yolov5': 'decode_yolov5',
    'nanodet': 'decode_nanodet',
}
_KERNEL_OPTIONS = ('strides', 'keypoint_count', 'keypoint_dims')
_ANCHORS_A_BLOCK, _DECODE_BLOCK = 32, (256, 1, 1)
_OVERLAP_BLOCK, _FINISH_BLOCK = (64, 1, 1), (512, 1, 1)
_FLAG_BOX_OR_SCORE, _FLAG_KEYPOINT = 1, 2  # and FLAG_MASK


def _has_kernel_options(card: ModelCard) -> bool:
    """Whether all options but the strides, which the kernels take, are at the values that they are written for."""
    decoder = DECODERS[card.detection.decoder]
    parameters = inspect.signature(decoder.decode).parameters
    for name, value in card.detection.options.items():
        written_for = decoder.needs_nms if name == 'nms' else parameters[name].default
        if name not in _KERNEL_OPTIONS and value != written_for:
            return False
    return True


class Pending:
    """One frame under way; `GpuPostprocessor.fetch` waits for it.

    Attributes:
        slot: which of the two sets of buffers it uses; a CUDA graph of `launch` belongs to one of them.
        input_wh: the model input's (width, height) in pixels.
    """

    def __init__(
        self, slot: int, memory: DetectionMemory, layout: Layout, data: int, input_wh: tuple[int, int]
    ) -> None:
        self.slot = slot
        self.input_wh = input_wh
        self._memory = memory
        self._layout = layout
        self._data = data
        self._is_fetched = False
        self._is_painted = False


class _Slot:
    """One set of buffers and the event behind its last frame."""

    def __init__(self, memory: DetectionMemory, event: Any) -> None:
        self.memory = memory
        self.event = event
        self.is_recorded = False
        self.pending: weakref.ref[Pending] | None = None
        self.written: tuple[object, ...] = ()  # what the pinned settings were written from
        self.painter: InstancePainter | None = None


class GpuPostprocessor:
    """Decode, NMS and the way back to source pixels for one model, on the GPU. Not thread-safe: one per worker.

    Gives what `stages.Postprocessor` gives: the same detections in the same order, up to the last bit of an exponential
    (YOLOX, NanoDet), and the same errors. Two things differ: detections that are alike after NMS are not looked at, and
    YOLOX and YOLOv5 give no best score for a frame without candidates. Buffers are made here for the card's output
    shape and the settings; more anchors, a higher `top_k` or `max_detections` later on make larger ones once.

    Args:
        card: the model; `serves` says whether its decoder is here.
        gpu: where the outputs are.
        settings: what is kept; the card's defaults without.
        stream: where to work; without it, on the stream of the outputs.

    Raises:
        EngineError: a decoder that is not here.
        ConfigError: settings out of range.
        DeviceError: the kernels could not be compiled, or too little memory is left.
    """

    def __init__(
        self, card: ModelCard, gpu: Gpu, settings: DetectionSettings | None = None, *, stream: Stream | None = None
    ) -> None:
        if not self.serves(card):
            raise EngineError(
                f'model {card.name}: no GPU kernels for decoder {card.detection.decoder!r} with these outputs and '
                f'options, there are ones for {", ".join(_KERNELS)} in float32 and float16; decode it on the CPU'
            )
        self._card, self._gpu, self._stream = card, gpu, stream
        self._reader = LayoutReader(card)
        self._keypoint_count = self._reader.keypoint_count
        self._version = self._anchors = 0
        self.settings = detection_settings(card) if settings is None else settings
        kernels = gpu.kernels('detect')
        self._decode = kernels.function(_KERNELS[card.detection.decoder])
        self._rank, self._overlap, self._finish = (kernels.function(name) for name in ('rank', 'overlap', 'finish'))
        self._anchors = self._reader.expected_anchors()
        self._capacity = self._needed()
        self._slots: list[_Slot] = []
        try:
            for _ in range(2):
                slot = _Slot(DetectionMemory(gpu, self._capacity), gpu.event())
                self._slots.append(slot)
                if card.masks is not None:
                    slot.painter = InstancePainter(card, gpu)
        except BaseException:
            self.close()
            raise
        self._turn = 0

    @staticmethod
    def serves(card: ModelCard) -> bool:
        """Whether this model's outputs are decoded here; others stay with `stages.Postprocessor`."""
        decoder = card.detection.decoder
        if card.masks is not None and not paints(card):
            return False
        if decoder not in _KERNELS or (decoder == 'yolov8_pose' and card.keypoints is None):
            return False
        strides = card.detection.options.get('strides', ())
        output = next((spec for spec in card.outputs if spec.name == card.spec.roles.get(ROLE)), None)
        if output is None or output.dtype not in ('float32', 'float16') or len(output.shape) != 3:
            return False
        return len(strides) <= MAX_STRIDES and _has_kernel_options(card)

    @property
    def settings(self) -> DetectionSettings:
        """What is kept of the model's candidates; a change counts from the next frame on."""
        return self._settings

    @settings.setter
    def settings(self, settings: DetectionSettings) -> None:
        thresholds = check_thresholds(np.asarray(settings.score_thresholds), self._card.class_count)
        nms(  # its checks of the rest
            Detections.empty(),
            iou_threshold=settings.iou_threshold,
            top_k=settings.top_k,
            max_detections=settings.max_detections,
        )
        self._needed(settings)
        self._thresholds, self._settings = thresholds, settings

    @property
    def version(self) -> int:
        """Grows with every change of the buffers; a CUDA graph of an older version must be captured again."""
        return self._version

    def __call__(self, outputs: Mapping[str, DeviceArray], letterbox: Letterbox, index: int = 0) -> Detections:
        """One image's detections, as `stages.Postprocessor` gives them.

        Args:
            outputs: the model's outputs by name, with batch axis.
            letterbox: how the image was fitted into the input.
            index: which image of the batch.

        Raises:
            FrameError: an output is missing, has the wrong shape or type, or isn't finite.
        """
        return self.fetch(self.enqueue(outputs, letterbox, index))

    def enqueue(
        self,
        outputs: Mapping[str, DeviceArray],
        letterbox: Letterbox,
        index: int = 0,
        stream: Stream | None = None,
        *,
        masks: bool = False,
    ) -> Pending:
        """Starts one image and returns at once; two may be under way.

        Args:
            outputs, letterbox, index: as for a call.
            stream: where to work; without it, the one given at construction or that of the outputs.
            masks: paint the image of instances too, of a card with masks; `instances` gives it.

        Raises:
            FrameError: as for a call, but for values that aren't finite, which `fetch` reports; or
                'device_buffers_busy' when two frames are under way already.
        """
        pending = self.reserve(outputs, letterbox, index)
        output = outputs[self._reader.name]
        work = stream or self._stream or output.stream
        with self._gpu.current():
            with output.reading(work):
                self.launch(pending, work)
                if masks:
                    self._paint(pending, outputs, letterbox, index, work)
            self.seal(pending, work)
        return pending

    def reserve(self, outputs: Mapping[str, DeviceArray], letterbox: Letterbox, index: int = 0) -> Pending:
        """The first step of `enqueue`: checks the outputs, takes a set of buffers and writes the settings into it."""
        layout = self._reader.read(outputs, letterbox, index)
        output = outputs[self._reader.name]
        number, slot = self._free_slot()
        self._anchors = layout.anchors
        needed = self._needed()
        if not slot.memory.capacity.includes(needed):
            self._grow(slot, needed)
        self._write(slot, letterbox)
        pending = Pending(
            number, slot.memory, layout, output.ptr + index % output.shape[0] * layout.image_bytes, letterbox.input_wh
        )
        slot.pending = weakref.ref(pending)
        return pending

    def launch(self, pending: Pending, stream: Stream) -> None:
        """The second step: upload, four kernels, download. A CUDA graph may hold it and serve every later frame of the
        same `Pending.slot`, `version`, output address and shape.
        """
        memory, layout = pending._memory, pending._layout
        at, words = memory.at, memory.capacity.words
        blocks = (max(1, -(-layout.anchors // _ANCHORS_A_BLOCK)), 1, 1)
        where = (
            pending._data,
            np.int32(layout.is_half),
            np.int64(layout.anchor_step),
            np.int64(layout.channel_step),
        )
        candidates = (at['keys'], at['boxes'], at['classes'])
        ranked = (at['ranked_keys'], at['ranked_boxes'], at['ranked_classes'])
        sizes = (np.int32(layout.anchors), np.int32(self._card.class_count), np.int32(layout.extra))
        stream.upload(at['frame'], memory.upload)
        self._decode.launch(stream, blocks, _DECODE_BLOCK, *where, *sizes, at['frame'], *candidates)
        self._rank.launch(stream, blocks, _DECODE_BLOCK, at['frame'], *candidates, *ranked)
        self._overlap.launch(
            stream, (words, words, 1), _OVERLAP_BLOCK, at['frame'], *ranked[1:], np.int32(words), at['drops']
        )
        points = (
            np.int32(4 + self._card.class_count),
            np.int32(self._keypoint_count),
            np.int32(self._reader.keypoint_dims),
        )
        result = (at['kept'], at['header'], at['rows'], at['keypoints'])
        self._finish.launch(
            stream,
            (1, 1, 1),
            _FINISH_BLOCK,
            at['frame'],
            *ranked,
            np.int32(words),
            at['drops'],
            *result,
            *where,
            *points,
        )
        stream.download(memory.download, at['header'])

    def _paint(
        self, pending: Pending, outputs: Mapping[str, DeviceArray], letterbox: Letterbox, index: int, stream: Stream
    ) -> None:
        painter, memory, layout = self._slots[pending.slot].painter, pending._memory, pending._layout
        if painter is None:
            raise EngineError(f'model {self._card.name}: its card has no masks; ask for none')
        if memory.capacity.rows > MAX_OBJECTS:
            raise FrameError(
                'too_many_objects',
                f'instance mask: got room for {memory.capacity.rows} objects, expected at most {MAX_OBJECTS}, as many '
                'as 16 bits tell apart; lower max_detections',
            )
        first = layout.channels - self._reader.mask_channels
        steps = np.int64(layout.anchor_step), np.int64(layout.channel_step)
        predictions = (pending._data, np.int32(layout.is_half), *steps, np.int32(first))
        prototypes = outputs[painter.name]
        with prototypes.reading(stream):
            painter.launch(stream, memory, predictions, prototypes, index, letterbox)
        stream.download(memory.download, memory.at['header'])  # with the masks' sizes and flag
        pending._is_painted = True

    def instances(self, pending: Pending) -> np.ndarray | None:
        """The image of instances of a frame that has been fetched, (H, W) uint16; None where it was not asked for.

        To be called before the next but one frame is enqueued.
        """
        painter = self._slots[pending.slot].painter if self._slots else None
        return painter.image() if painter is not None and pending._is_painted else None

    def mask_areas(self, pending: Pending) -> np.ndarray:
        """(N,) int32, pixels of each detection's mask, of a frame that was painted and fetched."""
        count, _ = pending._memory.header()
        return pending._memory.rows(count)['pixels'].copy()

    def seal(self, pending: Pending, stream: Stream) -> None:
        """The last step: what `fetch` waits for is all that the stream has got so far."""
        slot = self._slots[pending.slot]
        stream.record(slot.event)
        slot.is_recorded = True

    def fetch(self, pending: Pending) -> Detections:
        """Waits for one image, the only wait of a frame.

        Raises:
            FrameError: 'non_finite_output', or boxes that no model would give, under the reasons of
                `ops.boxes.plausibility`.
            EngineError: it has been fetched already.
        """
        if pending._is_fetched or not self._slots:
            raise EngineError('detections: fetched already, or after close; fetch each pending frame once, before that')
        slot = self._slots[pending.slot]
        self._wait(slot)
        pending._is_fetched = True
        slot.pending = None
        count, flags = pending._memory.header()
        if flags & _FLAG_BOX_OR_SCORE:
            raise non_finite(ROLE)
        if flags & _FLAG_KEYPOINT:
            raise non_finite(ROLE, 'a keypoint' if self._keypoint_count else 'a mask coefficient')
        if flags & FLAG_MASK:
            raise non_finite('prototypes', 'a mask')
        frame = pending._memory.tally()
        check_plausible(self._card, judge(frame, pending.input_wh))
        rows = pending._memory.rows(count)
        keypoints = pending._memory.keypoints(count).copy() if self._keypoint_count else None
        return Detections(
            rows['box'].copy(), rows['score'].copy(), rows['class_id'].copy(), keypoints, best_score=frame.best_score
        )

    def close(self) -> None:
        """Waits for what is under way and gives the buffers back; once is enough, twice does no harm."""
        while self._slots:
            slot = self._slots.pop()
            self._wait(slot)
            slot.memory.free()
            if slot.painter is not None:
                slot.painter.free()

    def _wait(self, slot: _Slot) -> None:
        if slot.is_recorded:
            slot.event.synchronize()

    def _free_slot(self) -> tuple[int, _Slot]:
        number = self._turn % 2
        slot = self._slots[number]
        last = slot.pending() if slot.pending is not None else None
        if last is not None and not last._is_fetched:
            raise FrameError(
                'device_buffers_busy',
                'decoding and NMS: got a third frame while two are under way; fetch the older one first',
            )
        if slot.pending is not None and last is None:
            self._wait(slot)  # given up without a fetch, so its buffers may still be in use
        self._turn += 1
        return number, slot

    def _grow(self, slot: _Slot, needed: Capacity) -> None:
        self._capacity = self._capacity.grown(needed)
        memory = DetectionMemory(self._gpu, self._capacity)
        self._wait(slot)
        slot.memory.free()
        slot.memory, slot.written = memory, ()
        self._version += 1

    def _needed(self, settings: DetectionSettings | None = None) -> Capacity:
        settings = settings or self._settings
        return Capacity.of(
            self._anchors, settings.top_k, settings.max_detections, self._card.class_count, self._keypoint_count
        )

    def _write(self, slot: _Slot, letterbox: Letterbox) -> None:
        source = (self._settings, letterbox)
        if slot.written == source:
            return
        strides = self._reader.strides
        settings, frame, capacity = self._settings, slot.memory.frame, slot.memory.capacity
        frame['top_k'] = min(settings.top_k, capacity.ranked)
        frame['max_detections'] = min(settings.max_detections, capacity.rows)
        frame['class_aware'] = settings.class_aware
        frame['level_count'] = len(strides)
        frame['input_wh'] = letterbox.input_wh
        frame['strides'][0, : len(strides)] = strides
        frame['min_threshold'] = self._thresholds.min()
        frame['iou_threshold'] = settings.iou_threshold
        frame['offset_xy'], frame['scale_xy'] = letterbox.offset_xy, letterbox.scale_xy
        frame['source_wh'] = letterbox.source_wh
        slot.memory.thresholds[:] = self._thresholds
        slot.written = source
