# SPDX-License-Identifier: Apache-2.0
"""From a model's outputs to a class for each source pixel, as its card and the user's settings say."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError, ModelError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tasks import ClassForm
from isaac_inference.ops.decoders.base import one_image
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.ops.segmentation import scores as of_scores
from isaac_inference.ops.segmentation.bilinear import best_upsampled
from isaac_inference.ops.segmentation.class_ids import class_ids
from isaac_inference.ops.segmentation.source_grid import SourceGrid, source_grid
from isaac_inference.ops.segmentation.unlabelled import mask_dtype, unlabelled
from isaac_inference.stages.segmentation.settings import (
    SegmentationSettings,
    Upsampling,
    class_names,
    segmentation_settings,
    segmentation_spec,
)

_SAMPLES = 4096  # numbers of an output that tell it from another one


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A class for each pixel of a source image.

    Attributes:
        mask: (height, width) uint8, uint16 for a model of more than 255 classes: the class ids. 255 or 65535, the
            type's highest, is a pixel without a class: one that the network did not see (a picture that was cropped),
            of a class that is not kept, or below the minimum confidence.
        confidence: (height, width) uint8, 255 for a probability of 1: that of the network's best class; 0 where it
            did not see the pixel. None where it was not asked for.
        only_class: the id that every cell of the network's output has; None where they differ.
        mark: differs between different outputs of the network, as good as always.
    """

    mask: np.ndarray
    confidence: np.ndarray | None
    only_class: int | None
    mark: int


@dataclass(frozen=True, eq=False)
class _Cells:
    """One image's classes at the network's size.

    Attributes:
        ids: (h, w).
        planes: (C, h, w) scores; None where the network gives ids.
        best: (h, w), the highest of them.
    """

    ids: np.ndarray
    planes: np.ndarray | None = None
    best: np.ndarray | None = None


class Segmenter:
    """Best class, upsampling and the way back to source pixels for one model.

    Attributes:
        settings: what is kept; a change counts from the next frame on.
        names: the classes, by id.
        fill: the id of pixels without a class.
        output_name: the output that is read.
        is_binary: whether it has one channel, of a single class against the rest.

    Raises:
        ModelError: the card is for another task, its classes have no names, or it contradicts the model's own output.
    """

    def __init__(self, card: ModelCard, settings: SegmentationSettings | None = None) -> None:
        self._card, self._spec = card, segmentation_spec(card)
        self.settings = segmentation_settings(card) if settings is None else settings
        self.names = class_names(card)
        self._role = self._spec.form.value
        self.output_name = self._spec.roles[self._role]
        self.fill = unlabelled(mask_dtype(len(self.names)))
        self._file_shape = next((spec.shape for spec in card.outputs if spec.name == self.output_name), ())
        channels = self._channels_of_file()
        self.is_binary = channels == 1 or (channels is None and len(card.labels) == 1)
        if self._spec.form is ClassForm.SCORES:
            self._check_card(channels)

    def __call__(
        self, outputs: Mapping[str, np.ndarray], letterbox: Letterbox, index: int = 0, with_confidence: bool = True
    ) -> Segmentation:
        """One image's classes in source pixels.

        Args:
            outputs: the model's outputs by name, with batch axis.
            letterbox: how the image was fitted into the input.
            index: which image of the batch.
            with_confidence: whether the confidence is wanted; a minimum confidence takes it in any case.

        Raises:
            FrameError: 'missing_tensor', 'bad_tensor' (no such image in the batch), 'bad_output_shape' (axes, another
                number of classes than the card has labels, other proportions than the input), 'bad_output_type',
                'non_finite_output', 'bad_class_id' or 'bad_letterbox'.
        """
        settings = self.settings  # once: they may be changed meanwhile
        output = self._output(outputs, index)
        wants_confidence = with_confidence or settings.min_confidence > 0
        wants_scores = wants_confidence or settings.upsampling is Upsampling.BILINEAR
        cells = self._cells(output, settings.threshold, wants_scores)
        height, width = cells.ids.shape
        grid = source_grid(letterbox, (width, height))
        sure = self._confidence(cells) if wants_confidence else None
        return Segmentation(
            self._mask(settings, cells, sure, grid),
            grid.nearest(sure, 0) if sure is not None and with_confidence else None,
            _only(cells.ids),
            _mark(output),
        )

    def _mask(
        self, settings: SegmentationSettings, cells: _Cells, sure: np.ndarray | None, grid: SourceGrid
    ) -> np.ndarray:
        ids = cells.ids
        least = round(settings.min_confidence * 255)
        if settings.upsampling is Upsampling.BILINEAR and cells.planes is not None:
            mask = best_upsampled(cells.planes, ids, grid, self.fill)
            mask = mask if settings.kept is None else settings.kept.take(mask, mode='clip')
            if least and sure is not None:
                mask[grid.nearest(sure, 0) < least] = self.fill
            return mask
        ids = ids if settings.kept is None else settings.kept.take(ids, mode='clip')
        if least and sure is not None:
            ids = np.where(sure < least, ids.dtype.type(self.fill), ids)
        return grid.nearest(ids, self.fill)

    def _cells(self, output: np.ndarray, threshold: float, wants_scores: bool) -> _Cells:
        if self._spec.form is ClassForm.CLASSES:
            return _Cells(class_ids(output, len(self.names)))
        planes = of_scores.class_planes(output, self._spec.layout)
        if len(planes) != self._expected_channels:
            raise self._bad_channels(len(planes))
        if self.is_binary and not wants_scores:
            return _Cells(of_scores.is_class(planes[0], self._spec.activation, threshold))
        if self.is_binary:
            planes = of_scores.against_rest(planes, self._spec.activation, threshold)
        ids, best = of_scores.best_class(planes)
        return _Cells(ids, planes, best)

    def _confidence(self, cells: _Cells) -> np.ndarray:
        """(h, w) uint8; a network that gives ids says nothing of how sure it is of them, so that they count as sure."""
        if cells.planes is None or cells.best is None:
            return np.where(cells.ids == self.fill, np.uint8(0), np.uint8(255))
        activation = self._spec.activation
        if self.is_binary:
            return of_scores.as_byte(of_scores.confidence_against_rest(cells.planes[1], cells.ids, activation))
        return of_scores.as_byte(of_scores.confidence(cells.planes, cells.best, activation))

    def _output(self, outputs: Mapping[str, np.ndarray], index: int) -> np.ndarray:
        name = self.output_name
        if name not in outputs:
            raise FrameError(
                'missing_tensor',
                f'tensor {name} (the {self._role}): not among the arrived tensors {sorted(outputs)}; give all nodes '
                'the same model',
            )
        array = outputs[name]
        if self.is_binary and array.ndim == len(self._file_shape) == 3:  # (batch, h, w), one class
            array = array[..., None] if self._spec.layout is TensorLayout.NHWC else array[:, None]
        try:
            return one_image(array, (3,) if self._spec.form is ClassForm.SCORES else (2,), index)
        except FrameError as error:
            raise FrameError('bad_tensor', f'tensor {name} (the {self._role}): {error}') from None

    def _channels_of_file(self) -> int | None:
        """Channels of the scores by the file's own shape; None where it leaves them open."""
        rank = len(self._file_shape)
        if rank == 3 and len(self._card.labels) <= 2:  # (batch, h, w)
            return 1
        axis = -3 if self._spec.layout is TensorLayout.NCHW else -1
        return self._file_shape[axis] if rank in (3, 4) else None

    def _check_card(self, channels: int | None) -> None:
        """Raises ModelError for a card that contradicts the file, so that configuring fails and not each frame."""
        if self.is_binary and self._spec.activation == 'softmax':
            raise ModelError(
                f'model {self._card.name}: output {self.output_name} has one channel, whose softmax is always 1; say '
                'in the card `activation: sigmoid`, or none where it is a probability'
            )
        if channels is not None and channels != self._expected_channels:
            raise ModelError(str(self._bad_channels(channels)))

    @property
    def _expected_channels(self) -> int:
        """One for a single class against the rest, by which the rest needs none; else one for each label."""
        return 1 if self.is_binary and len(self.names) == 2 else len(self.names)

    def _bad_channels(self, got: int) -> FrameError:
        labels = self._card.labels
        return FrameError(
            'bad_output_shape',
            f'model {self._card.name}, output {self.output_name}: got {got} channels in {self._spec.layout} order, '
            f'expected {self._expected_channels}, as the card has {len(labels)} labels ({", ".join(labels[:3])}'
            f'{", ..." if len(labels) > 3 else ""}); give the card one label for each channel, or correct its layout',
        )


def _only(ids: np.ndarray) -> int | None:
    """The one id of all cells; None where there are several. Most maps differ within their first rows."""
    first = ids.flat[0]
    return int(first) if (ids[0] == first).all() and (ids == first).all() else None


def sample_step(size: int) -> int:
    """How far apart the numbers are that tell an output of so many from another one."""
    return max(1, size // _SAMPLES) | 1  # odd, so that it meets all channels and columns


def _mark(output: np.ndarray) -> int:
    """A checksum of numbers that are spread evenly over the output."""
    flat = output.reshape(-1)
    return zlib.crc32(np.ascontiguousarray(flat[:: sample_step(flat.size)]).tobytes())
