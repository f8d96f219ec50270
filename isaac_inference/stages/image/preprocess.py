# SPDX-License-Identifier: Apache-2.0
"""From a camera image to a model's input tensors, as its card says."""

from __future__ import annotations

import numpy as np

from isaac_inference.models.card.card import ModelCard
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ops.image.letterbox import Letterbox, new_canvas, resize_into
from isaac_inference.ops.image.options import ColorOrder, TensorLayout
from isaac_inference.ops.image.preprocess import TensorWriter
from isaac_inference.ops.image.remap import remap_into
from isaac_inference.stages.image.rectifier import Rectifier


def tensor_writers(card: ModelCard) -> dict[ColorOrder, TensorWriter]:
    """By the colour order of an image, what writes it into the model's input as the card says; for one worker."""
    spec = card.image.preprocess
    return {
        order: TensorWriter(
            swap=order is not spec.color, scale=spec.scale, mean=spec.mean, std=spec.std, layout=card.image.layout
        )
        for order in ColorOrder
    }


class Preprocessor:
    """Letterbox, colour order, normalisation and layout for one model. Not thread-safe: one per worker.

    Attributes:
        wanted: the tensor's colour order.
        rectifier: has the maps of the calibration that came last.
    """

    def __init__(self, card: ModelCard) -> None:
        spec = card.image.preprocess
        self.wanted = spec.color
        self._card = card
        self._canvas = new_canvas(card.image.wh, spec.pad_value)
        self._letterbox: Letterbox | None = None
        self.rectifier = Rectifier(spec)
        self._writers = tensor_writers(card)
        self._shape, self._dtype = card.image.shape(), np.dtype(card.image.tensor.dtype)
        self._constants = {item.tensor.name: item.constant(card.image.wh) for item in card.value_inputs}

    def __call__(
        self, image: np.ndarray, order: ColorOrder = ColorOrder.BGR, rectification: Rectification | None = None
    ) -> tuple[dict[str, np.ndarray], Letterbox]:
        """One image to tensors.

        Args:
            image: (H, W, 3) uint8, rows may be padded (strided).
            order: the image's colour order.
            rectification: of images of that size; None takes the image as it is. Its maps are made when it is first
                seen, which takes some ten milliseconds.

        Returns:
            The model's inputs by name, batch axis of 1 first, freshly allocated; and the letterbox that leads back, to
            pixels of the rectified image where there is a rectification.

        Raises:
            FrameError: the image has no pixels or OpenCV could not resize it.
        """
        if rectification is None:
            letterbox = self._letterbox_for((image.shape[1], image.shape[0]))
            self._show(image, letterbox)
        else:
            letterbox = self._letterbox_for((rectification.rectified.width, rectification.rectified.height))
            self._show_rectified(image, letterbox, rectification)
        tensor = self._tensor(letterbox, self._writers[order])
        tensors = {self._card.image.tensor.name: tensor}
        for name, value in self._constants.items():
            tensors[name] = value.copy()
        return tensors, letterbox

    def _show(self, image: np.ndarray, letterbox: Letterbox) -> None:
        resize_into(image, letterbox, self._canvas, self._card.image.preprocess.interpolation)

    def _show_rectified(self, image: np.ndarray, letterbox: Letterbox, rectification: Rectification) -> None:
        if not self.rectifier.in_one_step:
            self._show(self.rectifier.picture(image, rectification), letterbox)
            return
        pixel_map = self.rectifier.input_map(rectification, letterbox)
        remap_into(image, pixel_map, self._canvas[letterbox.region], self._card.image.preprocess.pad_value)

    def _tensor(self, letterbox: Letterbox, writer: TensorWriter) -> np.ndarray:
        """The canvas as a tensor; its padding is filled in rather than converted pixel by pixel."""
        rows, columns = letterbox.region
        tensor = np.empty(self._shape if len(self._shape) == 4 else (1, *self._shape), self._dtype)
        shown = tensor[..., rows, columns] if self._card.image.layout == TensorLayout.NCHW else tensor[:, rows, columns]
        writer.write(self._canvas[rows, columns], shown)
        writer.fill_around(tensor, rows, columns, self._card.image.preprocess.pad_value)
        return tensor.reshape(self._shape)

    def _letterbox_for(self, source_wh: tuple[int, int]) -> Letterbox:
        if self._letterbox is None or self._letterbox.source_wh != source_wh:
            spec = self._card.image.preprocess
            self._letterbox = Letterbox.between(source_wh, self._card.image.wh, spec.fit, spec.anchor, spec.rounding)
        return self._letterbox
