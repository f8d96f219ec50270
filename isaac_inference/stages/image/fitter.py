# SPDX-License-Identifier: Apache-2.0
"""From a camera image to the tensor of one image input, as a model's card says."""

from __future__ import annotations

import numpy as np

from isaac_inference.models.card.inputs import ImageInput
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ops.image.letterbox import Letterbox, new_canvas, resize_into
from isaac_inference.ops.image.options import ColorOrder, TensorLayout
from isaac_inference.ops.image.preprocess import TensorWriter
from isaac_inference.ops.image.remap import remap_into
from isaac_inference.stages.image.rectifier import Rectifier


def tensor_writers(image: ImageInput) -> dict[ColorOrder, TensorWriter]:
    """By the colour order of an image, what writes it into the input as the card says; for one worker."""
    spec = image.preprocess
    return {
        order: TensorWriter(
            swap=order is not spec.color, scale=spec.scale, mean=spec.mean, std=spec.std, layout=image.layout
        )
        for order in ColorOrder
    }


class ImageFitter:
    """Letterbox, colour order, normalisation and layout for one image input. Not thread-safe: one per worker.

    Args:
        image: the input; it takes one image of three channels.

    Attributes:
        wanted: the tensor's colour order.
        rectifier: has the maps of the calibration that came last.
    """

    def __init__(self, image: ImageInput) -> None:
        spec = image.preprocess
        self.wanted = spec.color
        self._image = image
        self._canvas = new_canvas(image.wh, spec.pad_value)
        self._letterbox: Letterbox | None = None
        self.rectifier = Rectifier(spec)
        self._writers = tensor_writers(image)
        self._shape, self._dtype = image.shape(), np.dtype(image.tensor.dtype)

    def __call__(
        self, image: np.ndarray, order: ColorOrder = ColorOrder.BGR, rectification: Rectification | None = None
    ) -> tuple[np.ndarray, Letterbox]:
        """One image to its tensor.

        Args:
            image: (H, W, 3) uint8, rows may be padded (strided).
            order: the image's colour order.
            rectification: of images of that size; None takes the image as it is. Its maps are made when it is first
                seen, which takes some ten milliseconds.

        Returns:
            The tensor, batch axis of 1 first where the input has one, freshly allocated; and the letterbox that leads
            back, to pixels of the rectified image where there is a rectification.

        Raises:
            FrameError: the image has no pixels or OpenCV could not resize it.
        """
        if rectification is None:
            letterbox = self.letterbox_for((image.shape[1], image.shape[0]))
            self._show(image, letterbox)
        else:
            letterbox = self.letterbox_for((rectification.rectified.width, rectification.rectified.height))
            self._show_rectified(image, letterbox, rectification)
        return self._tensor(letterbox, self._writers[order]), letterbox

    def letterbox_for(self, source_wh: tuple[int, int]) -> Letterbox:
        """How an image of (width, height) px is fitted into the input; the same one until another size comes."""
        if self._letterbox is None or self._letterbox.source_wh != source_wh:
            spec = self._image.preprocess
            self._letterbox = Letterbox.between(source_wh, self._image.wh, spec.fit, spec.anchor, spec.rounding)
        return self._letterbox

    def _show(self, image: np.ndarray, letterbox: Letterbox) -> None:
        resize_into(image, letterbox, self._canvas, self._image.preprocess.interpolation)

    def _show_rectified(self, image: np.ndarray, letterbox: Letterbox, rectification: Rectification) -> None:
        if not self.rectifier.in_one_step:
            self._show(self.rectifier.picture(image, rectification), letterbox)
            return
        pixel_map = self.rectifier.input_map(rectification, letterbox)
        remap_into(image, pixel_map, self._canvas[letterbox.region], self._image.preprocess.pad_value)

    def _tensor(self, letterbox: Letterbox, writer: TensorWriter) -> np.ndarray:
        """The canvas as a tensor; its padding is filled in rather than converted pixel by pixel."""
        rows, columns = letterbox.region
        tensor = np.empty(self._shape if len(self._shape) == 4 else (1, *self._shape), self._dtype)
        shown = tensor[..., rows, columns] if self._image.layout == TensorLayout.NCHW else tensor[:, rows, columns]
        writer.write(self._canvas[rows, columns], shown)
        writer.fill_around(tensor, rows, columns, self._image.preprocess.pad_value)
        return tensor.reshape(self._shape)
