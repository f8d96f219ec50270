# SPDX-License-Identifier: Apache-2.0
"""How a model's predictions lie in memory, checked by the very CPU decoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.ops.decoders import yolov8
from isaac_inference.ops.decoders.grid import grid_points
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.detection.postprocess import DetectionSettings, Postprocessor

ROLE = 'predictions'  # the only output of the decoders that have kernels

_STRIDES = {'yolox': (8, 16, 32), 'nanodet': (8, 16, 32, 64)}  # where the card has none, as in the CPU decoders
_UNREACHED = DetectionSettings(np.float32(2.0), 0.5, True, 1, 1)  # no score gets so high
_MAX_LAYOUTS = 64  # shapes that are remembered


class Layout(NamedTuple):
    """How one shape and type of output is read.

    Attributes:
        anchors: rows of the predictions, whichever axis they are on.
        anchor_step, channel_step: elements from one anchor, or channel, to the next.
        image_bytes: from one image of the batch to the next.
        is_half: float16, else float32.
        extra: values of all keypoints of a box (yolov8_pose) and of its mask, or bins of a side's distance (nanodet).
        channels: values of an anchor, all together.
    """

    anchors: int
    anchor_step: int
    channel_step: int
    image_bytes: int
    is_half: bool
    extra: int
    channels: int


class LayoutReader:
    """Reads shapes for one model; a shape that has been read before costs a look-up.

    Attributes:
        name: the output that is read.
        strides: pixels per cell of each level of a grid; () for decoders without one.
        keypoint_count, keypoint_dims: of a box; 0 for decoders without keypoints.
        mask_channels: coefficients of a box; 0 for models without masks.
    """

    def __init__(self, card: ModelCard) -> None:
        self.name = card.spec.roles[ROLE]
        strides = card.detection.options.get('strides', _STRIDES.get(card.detection.decoder, ()))
        self.strides = tuple(int(stride) for stride in strides)
        self.mask_channels = 0 if card.masks is None else card.masks.channels
        self._mask_name = '' if card.masks is None else card.spec.roles.get(card.masks.role, '')
        points = card.keypoints if card.detection.decoder == 'yolov8_pose' else None
        self.keypoint_count, self.keypoint_dims = (0, 0) if points is None else (points.count, points.dims)
        self._card = card
        self._checker = Postprocessor(card, _UNREACHED)
        self._layouts: dict[tuple[object, ...], Layout] = {}

    def read(self, outputs: Mapping[str, Any], letterbox: Letterbox, index: int) -> Layout:
        """How the output of this frame lies.

        Args:
            outputs: anything with a shape and dtype, by name, with batch axis.
            letterbox: the frame's.
            index: which image of the batch.

        Raises:
            FrameError: whatever `stages.Postprocessor` raises for outputs of these shapes and types; it is asked, with
                zeros of that shape.
        """
        output = outputs.get(self.name)
        masks = outputs.get(self._mask_name)
        key = (
            ()
            if output is None or (masks is None and self._mask_name)
            else (tuple(output.shape), np.dtype(output.dtype), letterbox.input_wh, _shape_of(masks))
        )
        layout = self._layouts.get(key)
        if layout is None or not 0 <= index < output.shape[0]:  # type: ignore[union-attr]
            layout = self._checked({name: _zeros(o.shape, o.dtype) for name, o in outputs.items()}, letterbox, index)
            if len(self._layouts) >= _MAX_LAYOUTS:
                self._layouts.clear()
            self._layouts[key] = layout
        return layout

    def expected_anchors(self) -> int:
        """Anchors by the card's output shape; what that leaves open, by the card's input size."""
        shape = next(spec.shape for spec in self._card.outputs if spec.name == self.name)[1:]
        cells = len(grid_points(self._card.image.wh, self.strides or (8, 16, 32))[0])
        if None in shape:
            return 3 * cells if self._card.detection.decoder == 'yolov5' else cells
        zeros = {self.name: _zeros((1, *(size for size in shape if size is not None)), np.float32)}
        if self._mask_name:
            zeros[self._mask_name] = _zeros((1, self.mask_channels, 1, 1), np.float32)
        try:
            return self._checked(zeros, Letterbox.between(self._card.image.wh, self._card.image.wh), 0).anchors
        except FrameError:  # a card that contradicts its own file; each frame will say so
            return cells

    def _checked(self, zeros: Mapping[str, np.ndarray], letterbox: Letterbox, index: int) -> Layout:
        self._checker(zeros, letterbox, index)
        output = zeros[self.name][index]
        if output.dtype not in (np.float32, np.float16):
            raise FrameError(
                'bad_output_type',
                f'output {ROLE!r}: got {output.dtype}, expected float32 or float16; check the model card',
            )
        (height, width), classes, decoder = output.shape, self._card.class_count, self._card.detection.decoder
        keypoint_values = self.keypoint_count * self.keypoint_dims
        channels_first = False
        if decoder == 'yolov8' and self.mask_channels:
            needed = 4 + classes + self.mask_channels
            channels_first = yolov8.exact_channels_first(output, needed).shape == output.shape
        elif decoder == 'yolov8':
            channels_first = yolov8.channels_first(output, letterbox.input_wh, classes).shape == output.shape
        elif decoder == 'yolov8_pose':
            needed = 4 + classes + keypoint_values + self.mask_channels
            channels_first = yolov8.exact_channels_first(output, needed).shape == output.shape
        anchors, anchor_step, channel_step = (width, 1, width) if channels_first else (height, width, 1)
        return Layout(
            anchors=anchors,
            anchor_step=anchor_step,
            channel_step=channel_step,
            image_bytes=output.size * output.itemsize,
            is_half=output.dtype == np.float16,
            extra=(width - classes) // 4 if decoder == 'nanodet' else keypoint_values + self.mask_channels,
            channels=height if channels_first else width,
        )


def _shape_of(output: Any) -> tuple[object, ...]:
    return () if output is None else (tuple(output.shape), np.dtype(output.dtype))


def _zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that take no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)
