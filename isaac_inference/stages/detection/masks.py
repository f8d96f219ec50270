# SPDX-License-Identifier: Apache-2.0
"""The masks of one model's detections, from whichever of its outputs the card names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tasks import MaskForm
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.rotated import corner_points
from isaac_inference.ops.decoders import DECODERS
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.masks.crops import pasted_masks
from isaac_inference.ops.masks.masks import Masks
from isaac_inference.ops.masks.prototypes import LOGIT, PROBABILITY, map_masks, prototype_masks

_CHANNELS = 'mask_channels'  # the option by which a decoder is told of coefficients


class MaskReader:
    """Masks of the detections that a decoder has read and NMS has left.

    Attributes:
        role: of the output that they are made from.

    Raises:
        ConfigError: the card names no such output, or its decoder does not give what the masks need.
    """

    def __init__(self, card: ModelCard) -> None:
        spec, decoder = card.masks, DECODERS[card.detection.decoder]
        if spec is None:
            raise ConfigError(f'model {card.name}: its card has no masks; there is nothing to read')
        self.role = spec.role
        self._spec, self._name = spec, card.spec.roles.get(spec.role, '')
        if not self._name:
            raise ConfigError(
                f'model {card.name}: its masks are of the form {spec.form.value}, but none of its outputs has the role '
                f'{spec.role!r}; it has {", ".join(card.spec.roles)}: name the output in the model card'
            )
        if spec.form is not MaskForm.PROTOTYPES:
            if not decoder.tells_rows:
                able = ', '.join(sorted(name for name, known in DECODERS.items() if known.tells_rows))
                raise ConfigError(
                    f'model {card.name}: masks of the form {spec.form.value} need a decoder that says which row a box '
                    f'was, got {decoder.name!r}, expected one of {able}; check the model card'
                )
            return
        if spec.channels < 1 or _CHANNELS not in decoder.option_names:
            able = ', '.join(sorted(name for name, known in DECODERS.items() if _CHANNELS in known.option_names))
            raise ConfigError(
                f'model {card.name}: masks of prototypes need coefficients in the rows of boxes, got {spec.channels} '
                f'channels and decoder {decoder.name!r}, expected 1 or more and one of {able}; check the model card'
            )

    def __call__(
        self,
        outputs: Mapping[str, np.ndarray],
        found: Detections,
        row_count: int,
        letterbox: Letterbox,
        index: int = 0,
    ) -> Masks:
        """One image's masks, in source pixels.

        Args:
            outputs: the model's outputs by name, with batch axis where they have one.
            found: the detections, boxes in pixels of the model's input, with the coefficients or rows that the decoder
                gave.
            row_count: of the boxes in the model's output, before any threshold.
            letterbox: how the image was fitted into the input.
            index: which image of the batch.

        Raises:
            FrameError: 'missing_tensor', 'bad_tensor', 'bad_output_shape', 'bad_output_type', 'non_finite_output'.
        """
        if self._name not in outputs:
            raise FrameError(
                'missing_tensor',
                f'tensor {self._name} (the {self.role}): not among the arrived tensors {sorted(outputs)}; give all '
                'nodes the same model',
            )
        array, spec, boxes = np.asarray(outputs[self._name]), self._spec, found.boxes
        if found.angles is not None:
            corners = corner_points(boxes, found.angles)
            boxes = np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1).astype(np.float32)
        threshold = PROBABILITY if spec.activated else LOGIT
        try:
            if spec.form is MaskForm.PROTOTYPES:
                coefficients = np.empty((0, 0), np.float32) if found.coefficients is None else found.coefficients
                source = letterbox.boxes_to_source(boxes)
                return prototype_masks(_prototypes(array, index), coefficients, source, letterbox, threshold)
            rows = np.arange(len(found)) if found.rows is None else found.rows
            maps = _one_per_row(array, index, row_count)
            if spec.form is MaskForm.FULL:
                return map_masks(maps, letterbox.boxes_to_source(boxes), letterbox, threshold, rows=rows)
            whole = letterbox.boxes_to_source(boxes, clip=False)
            return pasted_masks(maps[rows], whole, letterbox.source_wh, activated=spec.activated)
        except FrameError as error:
            raise FrameError(error.reason, f'tensor {self._name} (the {self.role}): {error}') from None


def _prototypes(array: np.ndarray, index: int) -> np.ndarray:
    """One image's (P, h, w)."""
    if array.ndim == 3 and index == 0:
        return array
    if array.ndim != 4 or len(array) <= index:
        raise FrameError(
            'bad_output_shape', f'got shape {list(array.shape)}, expected {index + 1} or more images of [P, h, w]'
        )
    image: np.ndarray = array[index]
    return image


def _one_per_row(array: np.ndarray, index: int, count: int) -> np.ndarray:
    """One image's (count, h, w), one for each row of boxes that the model gave; with a batch axis or without."""
    for maps in (array, *array[index : index + 1]):
        image: np.ndarray = maps[:, 0] if maps.ndim == 4 and maps.shape[1] == 1 else maps
        if image.ndim == 3 and len(image) == count:
            return image
    raise FrameError(
        'bad_output_shape',
        f'got shape {list(array.shape)}, expected one mask for each of the {count} boxes that the model gave; check '
        'the roles in the model card',
    )
