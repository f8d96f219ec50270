# SPDX-License-Identifier: Apache-2.0
"""From a camera image to a model's input tensors, as its card says."""

from __future__ import annotations

import numpy as np

from isaac_inference.models.card.card import ModelCard
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.stages.image.fitter import ImageFitter


class Preprocessor:
    """All input tensors of a model that sees one image. Not thread-safe: one per worker.

    Attributes:
        wanted: the tensor's colour order.
        rectifier: has the maps of the calibration that came last.
    """

    def __init__(self, card: ModelCard) -> None:
        self._fit = ImageFitter(card.image)
        self.wanted, self.rectifier = self._fit.wanted, self._fit.rectifier
        self._image = card.image.tensor.name
        self._constants = {item.tensor.name: item.constant(card.image.wh) for item in card.value_inputs}

    def __call__(
        self, image: np.ndarray, order: ColorOrder = ColorOrder.BGR, rectification: Rectification | None = None
    ) -> tuple[dict[str, np.ndarray], Letterbox]:
        """One image to tensors.

        Args:
            image, order, rectification: as of `ImageFitter`.

        Returns:
            The model's inputs by name, batch axis of 1 first, freshly allocated; and the letterbox that leads back, to
            pixels of the rectified image where there is a rectification.

        Raises:
            FrameError: the image has no pixels or OpenCV could not resize it.
        """
        tensor, letterbox = self._fit(image, order, rectification)
        tensors = {self._image: tensor}
        for name, value in self._constants.items():
            tensors[name] = value.copy()
        return tensors, letterbox
