# SPDX-License-Identifier: Apache-2.0
"""A part of an image as a model's input: the box of one object, enlarged, its aspect ratio kept, padded at borders.

The geometry is a `Letterbox` whose image reaches beyond the input, so what leads whole images back to source pixels
leads crops back too, exactly: nothing is rounded to whole pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import Interpolation

# OpenCV's transform cannot average over more pixels than are around one place: what shrinks is averaged before it
_INTERPOLATIONS = {
    Interpolation.LINEAR: cv2.INTER_LINEAR,
    Interpolation.NEAREST: cv2.INTER_NEAREST,
    Interpolation.AREA: cv2.INTER_LINEAR,
    Interpolation.CUBIC: cv2.INTER_CUBIC,
}
_MARGIN = 3  # px of the source beyond what is shown, that interpolation looks at


def crop_of(
    box: Sequence[float], source_wh: tuple[int, int], input_wh: tuple[int, int], enlarged: float = 1.0
) -> Letterbox:
    """The crop of an image about a box.

    The box is enlarged about its centre, and then widened or heightened to the input's aspect ratio, so that nothing is
    stretched and what is added is the image around it. This is how top-down keypoint networks are trained.

    Args:
        box: (x_min, y_min, x_max, y_max) in source px, 0 at the image's edge; it may reach beyond the image.
        source_wh: the image's (width, height) in px.
        input_wh: the model input's.
        enlarged: factor on the box's sides.

    Returns:
        The map `input = source * scale + offset`, with one scale for both axes.

    Raises:
        FrameError: 'empty_crop', the box has no area, is not finite, or lies outside of the image.
        ConfigError: the factor is not positive.

    Example: a box half as wide as high, for a square input of 64 px: 20 px of the image fill it.
        >>> made = crop_of((100, 50, 110, 70), (640, 480), (64, 64))
        >>> made.scale_xy, made.points_to_source(np.array([[0.0, 0.0], [64.0, 64.0]])).tolist()
        ((3.2, 3.2), [[95.0, 50.0], [115.0, 70.0]])
    """
    if not (math.isfinite(enlarged) and enlarged > 0):
        raise ConfigError(f'enlarged: got {enlarged}, expected a factor above 0, such as 1.25')
    x0, y0, x1, y1 = (float(value) for value in box)
    width, height = source_wh
    shown = min(x1, width) - max(x0, 0.0), min(y1, height) - max(y0, 0.0)  # NaN fails both comparisons below
    if not (min(shown) > 0 and max(x1 - x0, y1 - y0) < math.inf):
        raise FrameError(
            'empty_crop',
            f'box ({x0:.1f}, {y0:.1f}) to ({x1:.1f}, {y1:.1f}) shows nothing of an image of {width}x{height} px; was '
            'it found in an image of another size?',
        )
    scale = min(input_wh[0] / (x1 - x0), input_wh[1] / (y1 - y0)) / enlarged
    center = (x0 + x1) / 2, (y0 + y1) / 2
    offset = input_wh[0] / 2 - center[0] * scale, input_wh[1] / 2 - center[1] * scale
    return Letterbox(source_wh, input_wh, (scale, scale), offset)


def crop_into(
    image: np.ndarray,
    crop: Letterbox,
    canvas: np.ndarray,
    pad_value: int,
    interpolation: Interpolation = Interpolation.LINEAR,
) -> None:
    """Writes what a crop shows of an image; what lies beyond the image has the pad value.

    Args:
        image: (H, W, 3) uint8; rows may be further apart than their length.
        crop: of this image, into this canvas.
        canvas: (input height, input width, 3) uint8, written in place.
        pad_value: 0..255, of all three channels.
        interpolation: how new pixels are computed; 'area' averages where the crop shrinks the image to half or less.

    Raises:
        FrameError: 'resize_failed' when OpenCV gives up.

    Example: the right half of an image of 4x2 px, and as much beyond its edge.
        >>> image, canvas = np.full((2, 4, 3), 200, np.uint8), np.zeros((2, 4, 3), np.uint8)
        >>> crop_into(image, crop_of((2, 0, 6, 2), (4, 2), (4, 2)), canvas, 7)
        >>> canvas[0, :, 0].tolist()
        [200, 200, 7, 7]
    """
    scale, (offset_x, offset_y) = crop.scale_xy[0], crop.offset_xy
    x0, x1 = _span(crop.source_wh[0], crop.input_wh[0], scale, offset_x)
    y0, y1 = _span(crop.source_wh[1], crop.input_wh[1], scale, offset_y)
    part, shrunk = image[y0:y1, x0:x1], 1
    try:
        if interpolation is Interpolation.AREA and scale <= 0.5:
            part, shrunk = _averaged(part, math.floor(1 / scale))
        # centres of the canvas's pixels to those of the part: `source = (input - offset) / scale`, between edges
        step = 1 / (scale * shrunk)
        start = [(0.5 - offset) * step - begin / shrunk - 0.5 for offset, begin in ((offset_x, x0), (offset_y, y0))]
        cv2.warpAffine(
            part,
            np.array([[step, 0.0, start[0]], [0.0, step, start[1]]]),
            crop.input_wh,
            dst=canvas,
            flags=_INTERPOLATIONS[interpolation] | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(pad_value, pad_value, pad_value),
        )
    except cv2.error as error:
        raise FrameError(
            'resize_failed', f'image: OpenCV could not crop {crop.source_wh} to {crop.input_wh} px: {error}'
        ) from error


def _span(source: int, room: int, scale: float, offset: float) -> tuple[int, int]:
    """The whole pixels of the source that the input shows, and those that are looked at beside them."""
    begin, end = -offset / scale, (room - offset) / scale
    margin = _MARGIN + 1 / scale
    return max(0, math.floor(begin - margin)), min(source, math.ceil(end + margin))


def _averaged(part: np.ndarray, factor: int) -> tuple[np.ndarray, int]:
    """A part of an image at 1 / factor of its size, each pixel the mean of factor**2; and the factor.

    Columns and rows beyond the last whole pixel are repeated, so that it is filled.
    """
    rest = [-side % factor for side in part.shape[:2]]
    if any(rest):
        part = cv2.copyMakeBorder(part, 0, rest[0], 0, rest[1], cv2.BORDER_REPLICATE)
    size = part.shape[1] // factor, part.shape[0] // factor
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA)), factor
