# SPDX-License-Identifier: Apache-2.0
"""From an image and the boxes of people in it to one batch of crops, as a top-down model's card says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isaac_inference.models.card.card import ModelCard
from isaac_inference.ops.image.crop import crop_into, crop_of
from isaac_inference.ops.image.letterbox import Letterbox, new_canvas
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.stages.image.fitter import tensor_writers


class Cropper:
    """Crops, colour order, normalisation and layout for one top-down model. Not thread-safe: one per worker.

    A crop keeps the aspect ratio whatever the card's `fit` says, which is of whole images.

    Args:
        card: of the top-down model.
        enlarged: factor on the boxes' sides.

    Attributes:
        wanted: the tensor's colour order.
    """

    def __init__(self, card: ModelCard, enlarged: float) -> None:
        self.wanted = card.image.preprocess.color
        self._card, self._enlarged = card, enlarged
        self._canvas = new_canvas(card.image.wh, card.image.preprocess.pad_value)
        self._writers = tensor_writers(card.image)
        self._shape, self._dtype = card.image.shape(), np.dtype(card.image.tensor.dtype)

    def __call__(
        self, image: np.ndarray, order: ColorOrder, boxes: Sequence[Sequence[float]] | np.ndarray
    ) -> tuple[dict[str, np.ndarray], list[Letterbox]]:
        """One image's crops.

        Args:
            image: (H, W, 3) uint8, rows may be padded (strided).
            order: the image's colour order.
            boxes: (x_min, y_min, x_max, y_max) each, in px of the image; at least one.

        Returns:
            The model's inputs by name, one row for each box, freshly allocated; and what leads each row back to the
            image.

        Raises:
            FrameError: 'empty_crop', as of `crop_of`, or 'resize_failed'.
        """
        source_wh, spec = (image.shape[1], image.shape[0]), self._card.image.preprocess
        crops = [crop_of(box, source_wh, self._card.image.wh, self._enlarged) for box in boxes]
        tensor = self._new_tensor(len(crops))
        for row, crop in enumerate(crops):
            crop_into(image, crop, self._canvas, spec.pad_value, spec.interpolation)
            self._writers[order].write(self._canvas, tensor[row : row + 1])
        return self._inputs(tensor), crops

    def nothing(self) -> dict[str, np.ndarray]:
        """The model's inputs of an image without people: no rows."""
        return self._inputs(self._new_tensor(0))

    def _new_tensor(self, count: int) -> np.ndarray:
        shape = self._shape if len(self._shape) == 3 else self._shape[1:]  # without a batch axis: fed row by row
        return np.empty((count, *shape), self._dtype)

    def _inputs(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        beside = {item.tensor.name: item.constant(self._card.image.wh, len(tensor)) for item in self._card.value_inputs}
        return {self._card.image.tensor.name: tensor, **beside}
