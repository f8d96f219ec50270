# SPDX-License-Identifier: Apache-2.0
"""The maps by which images of one camera are rectified for one model, made once a calibration."""

from __future__ import annotations

import numpy as np

from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import Interpolation
from isaac_inference.ops.image.remap import PixelMap, remap_into


class Rectifier:
    """Makes and keeps the maps of the newest `Rectification`. Not thread-safe: one per worker.

    'linear' and 'nearest' go from the raw image to the model's input in one step, which resamples once instead of
    twice and touches only those pixels that the input has. 'area' and 'cubic' look at more pixels than are around one
    place, so there the image is rectified first.

    Args:
        spec: how an image becomes the model's input.
    """

    def __init__(self, spec: PreprocessSpec) -> None:
        self.in_one_step = spec.interpolation in (Interpolation.LINEAR, Interpolation.NEAREST)
        self._nearest = spec.interpolation is Interpolation.NEAREST
        self._pad_value = spec.pad_value
        self._of: Rectification | None = None
        self._image: PixelMap | None = None
        self._input: tuple[Letterbox, PixelMap] | None = None

    def picture(self, image: np.ndarray, rectification: Rectification) -> np.ndarray:
        """The whole rectified image; what the camera does not see has the model's pad value.

        Args:
            image: (H, W, 3) uint8, raw.
            rectification: of images of that size.

        Returns:
            (h, w, 3) uint8, freshly allocated, in the same colour order.

        Raises:
            FrameError: 'resize_failed'.
        """
        flat = rectification.rectified
        out: np.ndarray = np.empty((flat.height, flat.width, 3), np.uint8)
        remap_into(image, self.image_map(rectification), out, self._pad_value)
        return out

    def image_map(self, rectification: Rectification) -> PixelMap:
        """The map of the whole rectified image."""
        self._follow(rectification)
        if self._image is None:
            flat, raw = rectification.rectified, rectification.raw
            places = rectification.raw_pixels(np.arange(flat.width), np.arange(flat.height))
            self._image = PixelMap.of(places, (raw.width, raw.height))
        return self._image

    def input_map(self, rectification: Rectification, letterbox: Letterbox) -> PixelMap:
        """The map of that region of the model's input that shows the image; `letterbox` is of the rectified one."""
        self._follow(rectification)
        if self._input is None or self._input[0] != letterbox:
            raw = rectification.raw
            # centres of the input's pixels as the letterbox has it, from edges, in the rectified image
            x, y = (
                (np.arange(begin, end) + 0.5 - offset) / scale - 0.5
                for (_, _, begin, end), scale, offset in zip(
                    letterbox.axes, letterbox.scale_xy, letterbox.offset_xy, strict=True
                )
            )
            made = PixelMap.of(rectification.raw_pixels(x, y), (raw.width, raw.height), self._nearest)
            self._input = letterbox, made
        return self._input[1]

    def _follow(self, rectification: Rectification) -> None:
        if rectification is not self._of:
            self._of, self._image, self._input = rectification, None, None
