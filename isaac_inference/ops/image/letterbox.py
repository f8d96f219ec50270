# SPDX-License-Identifier: Apache-2.0
"""How an image is fitted into a model's input, and the exact way back.

Coordinates are continuous and measured from pixel edges: pixel i covers [i, i + 1), an image of width w spans
[0, w]. `cv2.resize` samples at pixel centres, which in these coordinates is a plain multiplication.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.image.options import Anchor, Fit, Interpolation, Rounding, option

_INTERPOLATIONS = {
    Interpolation.LINEAR: cv2.INTER_LINEAR,
    Interpolation.NEAREST: cv2.INTER_NEAREST,
    Interpolation.AREA: cv2.INTER_AREA,
    Interpolation.CUBIC: cv2.INTER_CUBIC,
}


@dataclass(frozen=True)
class Letterbox:
    """The map from source image to model input: `input = source * scale + offset`, for x and y each.

    The scales are those of the whole pixels that were really written, so both directions are exact.

    Attributes:
        source_wh: the image's (width, height) in pixels.
        input_wh: the model input's (width, height) in pixels.
        scale_xy: input pixels per source pixel along x and y; positive.
        offset_xy: where the source's top-left corner lies on the input, in pixels; negative when cropped.
    """

    source_wh: tuple[int, int]
    input_wh: tuple[int, int]
    scale_xy: tuple[float, float]
    offset_xy: tuple[float, float]

    @classmethod
    def between(
        cls,
        source_wh: tuple[int, int],
        input_wh: tuple[int, int],
        fit: Fit | str = Fit.LETTERBOX,
        anchor: Anchor | str = Anchor.CENTER,
        rounding: Rounding | str = Rounding.NEAREST,
    ) -> Letterbox:
        """Fits an image of `source_wh` into `input_wh`, both (width, height) in pixels.

        Raises:
            FrameError: 'zero_size_image'.
            ConfigError: an input without pixels, or an unknown option.

        Example: half the size, and the 280 rows that are left are shared by top and bottom.
            >>> letterbox = Letterbox.between((1280, 720), (640, 640))
            >>> letterbox.scale_xy, letterbox.offset_xy, letterbox.resized_wh
            ((0.5, 0.5), (0.0, 140.0), (640, 360))
        """
        fit, anchor = option(Fit, fit, 'letterbox fit'), option(Anchor, anchor, 'letterbox anchor')
        rounding = option(Rounding, rounding, 'letterbox rounding')
        _check_sizes(source_wh, input_wh)
        if fit is Fit.STRETCH:
            return cls(source_wh, input_wh, _ratios(input_wh, source_wh), (0.0, 0.0))
        if fit is Fit.CROP:
            return _fit_crop(source_wh, input_wh, anchor, rounding)
        return _fit_letterbox(source_wh, input_wh, anchor, rounding)

    @property
    def axes(self) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """For x and y, whole pixels: source begin and end, and the input begin and end it is resized to."""
        x, y = (
            _axis_ranges(*axis)
            for axis in zip(self.source_wh, self.input_wh, self.scale_xy, self.offset_xy, strict=True)
        )
        return x, y

    @property
    def region(self) -> tuple[slice, slice]:
        """(rows, columns) of the input that show the image; padding lies around them."""
        (_, _, left, right), (_, _, top, bottom) = self.axes
        return slice(top, bottom), slice(left, right)

    @property
    def resized_wh(self) -> tuple[int, int]:
        """(width, height) in pixels of the part of the input that shows the image; the rest is padding."""
        (_, _, left, right), (_, _, top, bottom) = self.axes
        return right - left, bottom - top

    def points_to_input(self, points: np.ndarray) -> np.ndarray:
        """Source pixels to input pixels; points (..., 2) as (x, y), floating types stay.

        Example:
            >>> Letterbox.between((1280, 720), (640, 640)).points_to_input(np.array([100, 50])).tolist()
            [50.0, 165.0]
        """
        points = _as_floating(points)
        return points * np.asarray(self.scale_xy, points.dtype) + np.asarray(self.offset_xy, points.dtype)

    def points_to_source(self, points: np.ndarray) -> np.ndarray:
        """Input pixels to source pixels, not clipped; points (..., 2) as (x, y), floating types stay.

        Example:
            >>> Letterbox.between((1280, 720), (640, 640)).points_to_source(np.array([50, 165])).tolist()
            [100.0, 50.0]
        """
        points = _as_floating(points)
        return (points - np.asarray(self.offset_xy, points.dtype)) / np.asarray(self.scale_xy, points.dtype)

    def boxes_to_source(self, boxes: np.ndarray, clip: bool = True) -> np.ndarray:
        """Boxes on the input to boxes on the source image.

        Args:
            boxes: (N, 4) float32, (x_min, y_min, x_max, y_max) in input pixels.
            clip: cut at the image's edges; a box that lies wholly in the padding then has no area.

        Returns:
            (N, 4) float32, (x_min, y_min, x_max, y_max) in source pixels.

        Example: the box reaches 10 input pixels into the padding, where the image has none.
            >>> box = np.array([[0, 130, 100, 200]], np.float32)
            >>> Letterbox.between((1280, 720), (640, 640)).boxes_to_source(box).tolist()
            [[0.0, 0.0, 200.0, 120.0]]
        """
        offset, scale = np.asarray(self.offset_xy * 2, np.float32), np.asarray(self.scale_xy * 2, np.float32)
        source = (boxes - offset) / scale
        if clip:
            np.clip(source, 0.0, np.asarray(self.source_wh * 2, np.float32), out=source)
        return source.astype(np.float32, copy=False)

    def rotated_to_source(self, boxes: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotated boxes on the input to rotated boxes on the source image.

        They are not clipped: what an image's edge leaves of a rotated rectangle is no rectangle.

        Where both scales are equal, the result is exact and the angles stay. Else (a stretched image) a rotated
        rectangle becomes a parallelogram: its two edges are mapped exactly, and the result is the rectangle about the
        same centre with the lengths of these edges and the direction of the longer one, a little larger than the
        parallelogram.

        Args:
            boxes: (N, 4) float32, (x_min, y_min, x_max, y_max) in input pixels before the turn.
            angles: (N,) float32, rad, clockwise in the image.

        Returns:
            The same of the source image.

        Example: the input shows the image at half its height and its full width.
            >>> letterbox = Letterbox.between((64, 128), (64, 64), 'stretch')
            >>> quarter = np.array([np.pi / 2], np.float32)
            >>> boxes, angles = letterbox.rotated_to_source(np.array([[10, 20, 30, 24]], np.float32), quarter)
            >>> boxes.round(3).tolist(), (angles / quarter).round(3).tolist()
            ([[0.0, 42.0, 40.0, 46.0]], [1.0])
        """
        scale_x, scale_y = self.scale_xy
        if scale_x == scale_y:
            return self.boxes_to_source(boxes, clip=False), angles
        boxes = boxes.astype(np.float64)
        center = self.points_to_source((boxes[:, :2] + boxes[:, 2:]) / 2)
        size = boxes[:, 2:] - boxes[:, :2]
        cos, sin = np.cos(angles, dtype=np.float64), np.sin(angles, dtype=np.float64)
        width_dir = np.stack((cos / scale_x, sin / scale_y), axis=1)
        height_dir = np.stack((-sin / scale_x, cos / scale_y), axis=1)
        lengths = size * np.stack((np.hypot(*width_dir.T), np.hypot(*height_dir.T)), axis=1)
        # by how much each edge turns; both by the same where the scales are equal
        turns = (
            np.arctan2(width_dir[:, 1] * cos - width_dir[:, 0] * sin, width_dir[:, 0] * cos + width_dir[:, 1] * sin),
            np.arctan2(
                -height_dir[:, 0] * cos - height_dir[:, 1] * sin, height_dir[:, 1] * cos - height_dir[:, 0] * sin
            ),
        )
        turn = np.where(lengths[:, 0] >= lengths[:, 1], *turns)
        source = np.concatenate((center - lengths / 2, center + lengths / 2), axis=1)
        return source.astype(np.float32), (angles + turn).astype(np.float32)

    def to_array(self) -> np.ndarray:
        """(8,) float64: source w, h, input w, h, scale x, y, offset x, y; what travels with the tensors.

        Example:
            >>> Letterbox.between((1280, 720), (640, 640)).to_array().tolist()
            [1280.0, 720.0, 640.0, 640.0, 0.5, 0.5, 0.0, 140.0]
        """
        return np.array((*self.source_wh, *self.input_wh, *self.scale_xy, *self.offset_xy), np.float64)

    @classmethod
    def from_array(cls, array: np.ndarray) -> Letterbox:
        """Reads what `to_array` wrote, and trusts none of it.

        Raises:
            FrameError: 'bad_letterbox', when it isn't eight finite numbers with whole positive sizes and
                positive scales, or when they put the image outside the input.

        Example:
            >>> letterbox = Letterbox.between((1280, 720), (640, 640))
            >>> Letterbox.from_array(letterbox.to_array()) == letterbox
            True
        """
        values = np.asarray(array)
        if values.shape != (8,) or values.dtype.kind not in 'fiu':
            raise _bad_letterbox(f'got {values.dtype} {values.shape}, expected eight numbers')
        if not np.isfinite(values).all():
            raise _bad_letterbox(f'got {values.tolist()}, expected finite numbers')
        sizes, scale, offset = values[:4].tolist(), values[4:6].tolist(), values[6:].tolist()
        if any(size < 1 or size != int(size) for size in sizes):
            raise _bad_letterbox(f'got sizes {sizes}, expected whole numbers of at least 1 pixel')
        if min(scale) <= 0.0:
            raise _bad_letterbox(f'got scale {scale}, expected more than 0')
        for o, s, side, room in zip(offset, scale, sizes[:2], sizes[2:], strict=True):
            if not (o < room and o + s * side > 0.0):
                raise _bad_letterbox(f'got offset {offset} and scale {scale}, which put the image outside the input')
        width, height, input_width, input_height = (int(size) for size in sizes)
        return cls(
            (width, height),
            (input_width, input_height),
            (float(scale[0]), float(scale[1])),
            (float(offset[0]), float(offset[1])),
        )


def new_canvas(input_wh: tuple[int, int], pad_value: int | Sequence[int]) -> np.ndarray:
    """An (H, W, 3) uint8 canvas for `resize_into`, filled with the pad value (one, or one per channel).

    Example:
        >>> new_canvas((2, 1), 114).tolist()
        [[[114, 114, 114], [114, 114, 114]]]
    """
    canvas = np.empty((input_wh[1], input_wh[0], 3), np.uint8)
    canvas[:] = pad_value
    return canvas


def resize_into(
    image: np.ndarray,
    letterbox: Letterbox,
    canvas: np.ndarray,
    interpolation: Interpolation = Interpolation.LINEAR,
) -> None:
    """Resizes the image straight into its place on the canvas; the padding around it is left as it is.

    Refill the canvas when the letterbox changes, or the last image's edge stays in the padding.

    Args:
        image: (H, W, 3) uint8; rows may be further apart than their length, and aren't copied for that.
        letterbox: between this image's and this canvas's size.
        canvas: (input height, input width, 3) uint8, written in place; the caller keeps it.
        interpolation: how the new pixels are computed.

    Raises:
        FrameError: 'bad_letterbox' when the sizes aren't those of the letterbox, 'resize_failed' when OpenCV
            gives up.

    Example: a white image of 4x2 pixels on an input of 2x2, which has room for one row of padding.
        >>> canvas = new_canvas((2, 2), 0)
        >>> resize_into(np.full((2, 4, 3), 255, np.uint8), Letterbox.between((4, 2), (2, 2)), canvas)
        >>> canvas[..., 0].tolist()
        [[255, 255], [0, 0]]
    """
    _check_image(image, letterbox.source_wh, 'image')
    _check_image(canvas, letterbox.input_wh, 'canvas')
    (x0, x1, left, right), (y0, y1, top, bottom) = letterbox.axes
    size = (right - left, bottom - top)
    target = canvas[top:bottom, left:right]
    try:
        cv2.resize(image[y0:y1, x0:x1], size, dst=target, interpolation=_INTERPOLATIONS[interpolation])
    except cv2.error as error:
        raise FrameError(
            'resize_failed', f'image: OpenCV could not resize {letterbox.source_wh} to {size} pixels: {error}'
        ) from error


def _fit_letterbox(
    source_wh: tuple[int, int], input_wh: tuple[int, int], anchor: Anchor, rounding: Rounding
) -> Letterbox:
    ratio = min(_ratios(input_wh, source_wh))
    resized = tuple(_whole(side * ratio, room, rounding) for side, room in zip(source_wh, input_wh, strict=True))
    # An odd rest puts one pixel more at the right and bottom, as Ultralytics' round(rest / 2 - 0.1) does.
    rest = tuple(room - side for side, room in zip(resized, input_wh, strict=True))
    offset = (float(rest[0] // 2), float(rest[1] // 2)) if anchor is Anchor.CENTER else (0.0, 0.0)
    return Letterbox(source_wh, input_wh, _ratios(resized, source_wh), offset)


def _fit_crop(source_wh: tuple[int, int], input_wh: tuple[int, int], anchor: Anchor, rounding: Rounding) -> Letterbox:
    """Cuts first and resizes what is left: the same picture as the other way round, for less work."""
    ratio = max(_ratios(input_wh, source_wh))
    cut = tuple(_whole(room / ratio, side, rounding) for side, room in zip(source_wh, input_wh, strict=True))
    start = tuple(
        (side - part) // 2 if anchor is Anchor.CENTER else 0 for side, part in zip(source_wh, cut, strict=True)
    )
    scale = _ratios(input_wh, cut)
    return Letterbox(source_wh, input_wh, scale, (-start[0] * scale[0], -start[1] * scale[1]))


def _axis_ranges(source: int, room: int, scale: float, offset: float) -> tuple[int, int, int, int]:
    begin, end = max(0, round(offset)), min(room, round(offset + scale * source))
    return round((begin - offset) / scale), round((end - offset) / scale), begin, end


def _whole(length: float, limit: int, rounding: Rounding) -> int:
    """A length in whole pixels, at least 1 and at most `limit`."""
    return max(1, min(limit, round(length) if rounding is Rounding.NEAREST else int(length)))


def _ratios(numerator: Sequence[int], denominator: Sequence[int]) -> tuple[float, float]:
    return numerator[0] / denominator[0], numerator[1] / denominator[1]


def _as_floating(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points)
    return points if points.dtype.kind == 'f' else points.astype(np.float64)


def _check_sizes(source_wh: tuple[int, int], input_wh: tuple[int, int]) -> None:
    if min(source_wh) < 1:
        raise FrameError(
            'zero_size_image',
            f'image: got {source_wh[0]}x{source_wh[1]} pixels, expected 1x1 or more; check the camera driver',
        )
    if min(input_wh) < 1:
        raise ConfigError(
            f'input_wh: got {input_wh}, expected a width and height of 1 or more; use what the model takes'
        )


def _check_image(image: np.ndarray, size_wh: tuple[int, int], name: str) -> None:
    if image.shape != (size_wh[1], size_wh[0], 3) or image.dtype != np.uint8:
        raise FrameError(
            'bad_letterbox',
            f'{name}: got {image.dtype} {image.shape}, expected uint8 {(size_wh[1], size_wh[0], 3)}; '
            f'make a letterbox for every new size',
        )


def _bad_letterbox(what: str) -> FrameError:
    return FrameError(
        'bad_letterbox',
        f'letterbox array: {what}; it holds source w, h, input w, h, scale x, y, offset x, y, '
        f'as preprocessing writes it',
    )
