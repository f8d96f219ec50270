# SPDX-License-Identifier: Apache-2.0
"""Drawing masks on an image, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.drawing.boxes import class_color
from isaac_inference.ops.masks.masks import Masks

_STRENGTH = 0.45  # of the colour over the picture


def fill_masks(image: np.ndarray, masks: Masks, names: Sequence[str]) -> None:
    """Fill masks with their classes' colours, through which the picture is seen, and draw their outlines, in place.

    Args:
        image: (H, W, 3) uint8 BGR, writable.
        masks: N masks in pixels of the image.
        names: N class names, which determine the colours.

    Raises:
        FrameError: 'mask_size', they are of an image of another size.

    Example: the inside is mixed, the outline is the colour itself.
        >>> image = np.zeros((8, 8, 3), np.uint8)
        >>> fill_masks(image, Masks((8, 8), np.array([[1, 1]]), (np.ones((5, 5), np.bool_),)), ['mug'])
        >>> image[0, 0].tolist(), image[1, 1].tolist(), image[3, 3].tolist()
        ([0, 0, 0], [60, 242, 156], [27, 109, 70])
    """
    if masks.source_wh != (image.shape[1], image.shape[0]):
        raise FrameError(
            'mask_size',
            f'masks: got those of {masks.source_wh[0]}x{masks.source_wh[1]} pixels, expected '
            f'{image.shape[1]}x{image.shape[0]}, the size of the picture',
        )
    for crop, (left, top), name in zip(masks.crops, masks.corners.tolist(), names, strict=True):
        if not crop.any():
            continue
        shown = np.ascontiguousarray(crop).view(np.uint8)
        region = image[top : top + crop.shape[0], left : left + crop.shape[1]]
        color = class_color(name)
        ink = np.empty_like(region)
        ink[:] = color
        cv2.copyTo(cv2.addWeighted(region, 1.0 - _STRENGTH, ink, _STRENGTH, 0.0), shown, region)
        outlines, _ = cv2.findContours(shown, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(region, outlines, -1, color, 1)
