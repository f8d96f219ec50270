# SPDX-License-Identifier: Apache-2.0
"""The bytes of a `sensor_msgs/Image` as a colour image, without a copy where none is needed.

The encoding names are those of `sensor_msgs/image_encodings.hpp`. `step` is the length of one row in bytes
with its padding. The semi-planar formats carry more rows than the image has: NV12 and NV21 half as many again
for the chroma (same step), NV24 twice as many again (its chroma rows are two steps long).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.image.raw_image import RawImage


@dataclass(frozen=True)
class _Encoding:
    """What an encoding's name means.

    Attributes:
        channels: samples that a pixel takes in a row of the first plane.
        order: the order of the samples, when they are three colours already; else None.
        codes: OpenCV's conversion to each order, when they aren't.
        half_rows: rows in the data, in halves of the image's height.
        even_wh: whether width and height must be even, because pixels share their colour.
        sample_bytes: 1, or 2 for 16-bit samples, of which the upper 8 bits are used.
        min_side: the smallest width and height that can be converted, in pixels.
    """

    channels: int
    order: ColorOrder | None = None
    codes: dict[ColorOrder, int] = field(default_factory=dict)
    half_rows: int = 2
    even_wh: tuple[bool, bool] = (False, False)
    sample_bytes: int = 1
    min_side: int = 1


def _codes(name: str) -> dict[ColorOrder, int]:
    """OpenCV's conversion codes by their name, in which `{}` stands for the order converted to."""
    return {order: getattr(cv2, name.format(order.name)) for order in ColorOrder}


_BGR = _Encoding(3, ColorOrder.BGR)
_RGB = _Encoding(3, ColorOrder.RGB)
_MONO = _Encoding(1, codes=_codes('COLOR_GRAY2{}'))
_BGRA = _Encoding(4, codes=_codes('COLOR_BGRA2{}'))
_RGBA = _Encoding(4, codes=_codes('COLOR_RGBA2{}'))
_UYVY = _Encoding(2, codes=_codes('COLOR_YUV2{}_UYVY'), even_wh=(True, False))
_YUYV = _Encoding(2, codes=_codes('COLOR_YUV2{}_YUY2'), even_wh=(True, False))
_NV12 = _Encoding(1, codes=_codes('COLOR_YUV2{}_NV12'), half_rows=3, even_wh=(True, True))
_NV21 = _Encoding(1, codes=_codes('COLOR_YUV2{}_NV21'), half_rows=3, even_wh=(True, True))
_NV24 = _Encoding(1, half_rows=6)

# ROS names a Bayer pattern by its first two rows from the top-left corner, OpenCV (in the names that all 4.x
# have) by the 2x2 block one pixel further down and right: RGGB is 'BG'. It leaves images of less than 3x3
# pixels black.
_RGGB = _Encoding(1, codes=_codes('COLOR_BayerBG2{}'), min_side=3)
_BGGR = _Encoding(1, codes=_codes('COLOR_BayerRG2{}'), min_side=3)
_GBRG = _Encoding(1, codes=_codes('COLOR_BayerGR2{}'), min_side=3)
_GRBG = _Encoding(1, codes=_codes('COLOR_BayerGB2{}'), min_side=3)


def _wide(encoding: _Encoding) -> _Encoding:
    """The same layout with 16-bit samples."""
    return replace(encoding, sample_bytes=2)


_ENCODINGS: dict[str, _Encoding] = {
    'bgr8': _BGR,
    'rgb8': _RGB,
    '8UC3': _BGR,  # OpenCV's own order, since the name says none
    'bgra8': _BGRA,
    'rgba8': _RGBA,
    '8UC4': _BGRA,
    'mono8': _MONO,
    '8UC1': _MONO,
    'bayer_rggb8': _RGGB,
    'bayer_bggr8': _BGGR,
    'bayer_gbrg8': _GBRG,
    'bayer_grbg8': _GRBG,
    'uyvy': _UYVY,
    'yuv422': _UYVY,  # the deprecated name
    'yuyv': _YUYV,
    'yuv422_yuy2': _YUYV,  # the deprecated name
    'nv12': _NV12,
    'nv21': _NV21,
    'nv24': _NV24,
    'mono16': _wide(_MONO),
    'bgr16': _wide(_BGR),
    'rgb16': _wide(_RGB),
    'bgra16': _wide(_BGRA),
    'rgba16': _wide(_RGBA),
    'bayer_rggb16': _wide(_RGGB),
    'bayer_bggr16': _wide(_BGGR),
    'bayer_gbrg16': _wide(_GBRG),
    'bayer_grbg16': _wide(_GRBG),
}

SUPPORTED_ENCODINGS: frozenset[str] = frozenset(_ENCODINGS)

# BT.601, studio range, as OpenCV takes it for the other YUV formats; rows b, g, r; columns y, u, v, 1.
_YUV_TO_BGR = np.array(
    [[1.164, 2.018, 0.0, 0.0], [1.164, -0.391, -0.813, 0.0], [1.164, 0.0, 1.596, 0.0]], np.float64
) @ np.array([[1, 0, 0, -16], [0, 1, 0, -128], [0, 0, 1, -128], [0, 0, 0, 1]], np.float64)


def to_color(image: RawImage, wanted: ColorOrder) -> tuple[np.ndarray, ColorOrder]:
    """Reads image bytes as a colour image.

    `bgr8`, `rgb8` and `8UC3` come back as a view on the data: nothing is copied, channels are not swapped, and
    the order says whether that is still to be done (on the small image, where it is cheap). The view keeps the
    data alive and is valid until it is written to. Everything else is converted once, straight to the wanted
    order. 16-bit samples are cut to their upper 8 bits.

    Args:
        image: of an encoding in `SUPPORTED_ENCODINGS`.
        wanted: the order to convert to, where a conversion is needed.

    Returns:
        The (height, width, 3) uint8 image and the order of its channels.

    Raises:
        FrameError: 'unknown_encoding', 'zero_size_image', 'image_too_small', 'odd_size', 'bad_step',
            'bad_data_type', 'bad_data_length' or 'conversion_failed'.

    Example: three pixels and a byte of padding.
        >>> gray = RawImage(bytes([0, 128, 255, 0]), 'mono8', height=1, width=3, step=4)
        >>> image, order = to_color(gray, ColorOrder.RGB)
        >>> image.tolist(), str(order)
        ([[[0, 0, 0], [128, 128, 128], [255, 255, 255]]], 'rgb')
    """
    check_image(image)
    layout = _ENCODINGS[image.encoding]
    if layout is _NV24:
        return _nv24_to_color(image, wanted), wanted
    samples = _view_samples(image, layout)
    if layout.order is not None:
        return samples, layout.order
    try:
        return cv2.cvtColor(samples, layout.codes[wanted]), wanted
    except cv2.error as error:
        raise FrameError(
            'conversion_failed',
            f'image: OpenCV could not convert {image.width}x{image.height} {image.encoding!r} to {wanted}: {error}',
        ) from error


def check_image(image: RawImage) -> None:
    """What `to_color` checks before it reads a byte; for those who read the bytes themselves.

    Raises:
        FrameError: as for `to_color`, without 'conversion_failed'.

    Example: two pixels of three bytes do not fit into rows of five.
        >>> check_image(RawImage(bytes(10), 'bgr8', height=2, width=2, step=5))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        isaac_inference.errors.FrameError: image step: got 5 bytes, expected 6 or more for 2 pixels of 'bgr8'...
    """
    layout = _ENCODINGS.get(image.encoding)
    if layout is None:
        raise FrameError(
            'unknown_encoding',
            f'image encoding: got {image.encoding!r}, expected one of {", ".join(sorted(SUPPORTED_ENCODINGS))}; '
            f'set the camera driver to one of these',
        )
    _check_size(image, layout)
    _check_bytes(image, layout)


def _row_count(image: RawImage, layout: _Encoding) -> int:
    """Rows of `step` bytes in the data."""
    return image.height * layout.half_rows // 2


def _view_samples(image: RawImage, layout: _Encoding) -> np.ndarray:
    """(rows, width[, channels]) uint8: a view of 8-bit samples, a copy of the upper bytes of 16-bit ones."""
    rows, width, channels, step = _row_count(image, layout), image.width, layout.channels, image.step
    shape = (rows, width) if channels == 1 else (rows, width, channels)
    if layout.sample_bytes == 1:
        strides = (step, 1) if channels == 1 else (step, channels, 1)
        return np.ndarray(shape, np.uint8, image.data, 0, strides)
    pairs: np.ndarray = np.ndarray((rows, width * channels, 2), np.uint8, image.data, 0, (step, 2, 1))
    return cv2.extractChannel(pairs, 0 if image.is_bigendian else 1).reshape(shape)


def _nv24_to_color(image: RawImage, wanted: ColorOrder) -> np.ndarray:
    """Luma plane, then interleaved u and v at full resolution; OpenCV has no code for it."""
    height, width, step = image.height, image.width, image.step
    luma: np.ndarray = np.ndarray((height, width), np.uint8, image.data, 0, (step, 1))
    chroma: np.ndarray = np.ndarray((height, width, 2), np.uint8, image.data, height * step, (2 * step, 2, 1))
    matrix = _YUV_TO_BGR if wanted is ColorOrder.BGR else _YUV_TO_BGR[::-1]
    # as OpenCV does, nothing is darker than black, which is 16
    return cv2.transform(cv2.merge([np.maximum(luma, 16), chroma]), np.ascontiguousarray(matrix))


def _check_size(image: RawImage, layout: _Encoding) -> None:
    height, width = image.height, image.width
    if height < 1 or width < 1:
        raise FrameError(
            'zero_size_image',
            f'image: got {width}x{height} pixels, expected at least 1x1; check the camera driver',
        )
    if min(height, width) < layout.min_side:
        raise FrameError(
            'image_too_small',
            f'image: got {width}x{height} pixels of {image.encoding!r}, expected at least {layout.min_side} a side',
        )
    if (layout.even_wh[0] and width % 2) or (layout.even_wh[1] and height % 2):
        needed = 'an even width and height' if layout.even_wh[1] else 'an even width'
        raise FrameError(
            'odd_size',
            f'image: got {width}x{height} pixels of {image.encoding!r}, expected {needed}, for neighbours '
            f'share their colour; crop the image by a pixel or publish rgb8',
        )


def _check_bytes(image: RawImage, layout: _Encoding) -> None:
    row_bytes = image.width * layout.channels * layout.sample_bytes
    if image.step < row_bytes:
        raise FrameError(
            'bad_step',
            f'image step: got {image.step} bytes, expected {row_bytes} or more for {image.width} pixels of '
            f'{image.encoding!r}; set step to the length of a row in bytes, padding included',
        )
    length, rows = _byte_count(image.data), _row_count(image, layout)
    if length != image.step * rows:
        raise FrameError(
            'bad_data_length',
            f'image data: got {length} bytes, expected {image.step * rows}, {rows} rows of {image.step} bytes of '
            f'{image.encoding!r}; check height and step against the data',
        )


def _byte_count(data: Any) -> int:
    try:
        view = memoryview(data)
    except TypeError:
        view = None
    if view is None or view.itemsize != 1 or not view.c_contiguous:
        raise FrameError(
            'bad_data_type',
            f'image data: got {type(data).__name__}, expected contiguous bytes, such as array("B") or uint8',
        )
    return view.nbytes
