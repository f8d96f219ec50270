# SPDX-License-Identifier: Apache-2.0
"""The bytes of a `sensor_msgs/Image` as a colour image, without a copy where none is needed.

The encoding names are those of `sensor_msgs/image_encodings.hpp`, and of `encoding_names` what that has no name for.
`step` is the length of one row in bytes with its padding. The planar formats carry more rows than the image has: NV12
and NV21 half as many again for the chroma (same step), NV24 twice as many again (its chroma rows are two steps long),
YUV420 and YV12 half as many again (their chroma rows are half a step long, as V4L2 has them).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.encoding_names import BAYER_PATTERNS, read_name
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.image.packed import PACKINGS, Packing, unpack_upper
from isaac_inference.ops.image.raw_image import RawImage


@dataclass(frozen=True)
class _Encoding:
    """What an encoding's name means.

    Attributes:
        channels: samples that a pixel takes in a row of the first plane.
        order: the order of the samples, when they are three colours already; else None.
        codes: OpenCV's conversion to each order, when they aren't.
        half_rows: rows in the data, in halves of the image's height.
        is_planar: whether the chroma samples have planes of their own, of half the step.
        even_wh: whether width and height must be even, because pixels share their colour.
        sample_bytes: 1, or 2 for 16-bit samples, of whose significant bits the upper 8 are used, or 4 for float ones.
        packing: how 10 or 12 bits follow each other without gaps, of which the upper 8 are used; else None.
        min_side: the smallest width and height that can be converted, in pixels.
    """

    channels: int
    order: ColorOrder | None = None
    codes: dict[ColorOrder, int] = field(default_factory=dict)
    half_rows: int = 2
    is_planar: bool = False
    even_wh: tuple[bool, bool] = (False, False)
    sample_bytes: int = 1
    packing: Packing | None = None
    min_side: int = 1

    def row_bytes(self, width: int) -> int:
        """Bytes of a row without padding."""
        samples = width * self.channels
        return samples * self.sample_bytes if self.packing is None else self.packing.row_bytes(samples)


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
_YVYU = _Encoding(2, codes=_codes('COLOR_YUV2{}_YVYU'), even_wh=(True, False))
_YUV420 = _Encoding(1, codes=_codes('COLOR_YUV2{}_I420'), half_rows=3, is_planar=True, even_wh=(True, True))
_YV12 = _Encoding(1, codes=_codes('COLOR_YUV2{}_YV12'), half_rows=3, is_planar=True, even_wh=(True, True))
_NV12 = _Encoding(1, codes=_codes('COLOR_YUV2{}_NV12'), half_rows=3, even_wh=(True, True))
_NV21 = _Encoding(1, codes=_codes('COLOR_YUV2{}_NV21'), half_rows=3, even_wh=(True, True))
_NV24 = _Encoding(1, half_rows=6)

# ROS names a Bayer pattern by its first two rows from the top-left corner, OpenCV (in the names that all 4.x
# have) by the 2x2 block one pixel further down and right: RGGB is 'BG'. It leaves images of less than 3x3
# pixels black.
_BAYER_CODES = {'rggb': 'BG', 'bggr': 'RG', 'gbrg': 'GR', 'grbg': 'GB'}
_BAYER = {
    pattern: _Encoding(1, codes=_codes(f'COLOR_Bayer{_BAYER_CODES[pattern]}2{{}}'), min_side=3)
    for pattern in BAYER_PATTERNS
}
_SENSORS = {'mono': _MONO, **{f'bayer_{pattern}': layout for pattern, layout in _BAYER.items()}}


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
    '8UC1': _MONO,
    **{f'{name}8': layout for name, layout in _SENSORS.items()},
    'uyvy': _UYVY,
    'yuv422': _UYVY,  # the deprecated name
    'yuyv': _YUYV,
    'yuv422_yuy2': _YUYV,  # the deprecated name
    'yvyu': _YVYU,
    'yuv420': _YUV420,
    'yv12': _YV12,
    'nv12': _NV12,
    'nv21': _NV21,
    'nv24': _NV24,
    'bgr16': _wide(_BGR),
    'rgb16': _wide(_RGB),
    '16UC3': _wide(_BGR),
    'bgra16': _wide(_BGRA),
    'rgba16': _wide(_RGBA),
    '16UC4': _wide(_BGRA),
    **{f'{name}16': _wide(layout) for name, layout in _SENSORS.items()},
}
PLAIN_ENCODINGS: frozenset[str] = frozenset(_ENCODINGS)
"""What `readable` makes of all others."""

_UNPACKED = {f'{name}{packing}': f'{name}8' for name in _SENSORS for packing in PACKINGS}
_ENCODINGS |= {
    f'{name}{suffix}': replace(layout, packing=packing)
    for name, layout in _SENSORS.items()
    for suffix, packing in PACKINGS.items()
}
_ENCODINGS['32FC3'] = replace(_BGR, sample_bytes=4)

SUPPORTED_ENCODINGS: frozenset[str] = frozenset(_ENCODINGS)
KNOWN = (
    f'{", ".join(sorted(PLAIN_ENCODINGS))}, 32FC3, and of mono and bayer_* the packed {", ".join(PACKINGS)}, in upper '
    'or lower case'
)
"""The encodings in words, for errors."""

_DEPTH = frozenset({'16UC1', '32FC1', '64FC1'})
_UNIT_FLOATS = 2.0  # float images whose values stay below are 0 to 1, with some overshoot; others 0 to 255
_SAMPLED = 8  # every so many values of a row and rows are looked at for the range of float ones

# BT.601, studio range, as OpenCV takes it for the other YUV formats; rows b, g, r; columns y, u, v, 1.
_YUV_TO_BGR = np.array(
    [[1.164, 2.018, 0.0, 0.0], [1.164, -0.391, -0.813, 0.0], [1.164, 0.0, 1.596, 0.0]], np.float64
) @ np.array([[1, 0, 0, -16], [0, 1, 0, -128], [0, 0, 1, -128], [0, 0, 0, 1]], np.float64)


def to_color(image: RawImage, wanted: ColorOrder) -> tuple[np.ndarray, ColorOrder]:
    """Reads image bytes as a colour image.

    `bgr8`, `rgb8` and `8UC3` come back as a view on the data: nothing is copied, channels are not swapped, and
    the order says whether that is still to be done (on the small image, where it is cheap). The view keeps the
    data alive and is valid until it is written to. Everything else is converted once, straight to the wanted
    order. Of samples of more than 8 bits the upper 8 of the significant bits are taken.

    Args:
        image: of an encoding in `SUPPORTED_ENCODINGS`, by any of its names.
        wanted: the order to convert to, where a conversion is needed.

    Returns:
        The (height, width, 3) uint8 image and the order of its channels.

    Raises:
        FrameError: 'unknown_encoding', 'depth_image', 'zero_size_image', 'image_too_small', 'odd_size', 'bad_step',
            'bad_data_type', 'bad_data_length' or 'conversion_failed'.

    Example: three pixels and a byte of padding.
        >>> gray = RawImage(bytes([0, 128, 255, 0]), 'mono8', height=1, width=3, step=4)
        >>> image, order = to_color(gray, ColorOrder.RGB)
        >>> image.tolist(), str(order)
        ([[[0, 0, 0], [128, 128, 128], [255, 255, 255]]], 'rgb')
    """
    image = readable(image)
    layout = _ENCODINGS[image.encoding]
    if layout is _NV24:
        return _nv24_to_color(image, wanted), wanted
    samples = _planes(image) if layout.is_planar else _view_samples(image, layout)
    if layout.order is not None:
        return samples, layout.order
    try:
        return cv2.cvtColor(samples, layout.codes[wanted]), wanted
    except cv2.error as error:
        raise FrameError(
            'conversion_failed',
            f'image: OpenCV could not convert {image.width}x{image.height} {image.encoding!r} to {wanted}: {error}',
        ) from error


def is_supported(encoding: str) -> bool:
    """Whether `to_color` reads images of this encoding, whichever way its name is written.

    Example:
        >>> is_supported('BGR8'), is_supported('BayerRG12p'), is_supported('32FC1')
        (True, True, False)
    """
    return read_name(encoding).encoding in _ENCODINGS


def has_wide_samples(encoding: str) -> bool:
    """Whether images of this encoding have samples in 16-bit words.

    Example:
        >>> has_wide_samples('Mono12'), has_wide_samples('mono12p')
        (True, False)
    """
    layout = _ENCODINGS.get(read_name(encoding).encoding)
    return layout is not None and layout.sample_bytes == 2


def wide_samples(image: RawImage) -> np.ndarray:
    """(height, samples in a row) uint16 in the image's byte order, a view; of a `readable` image that has such.

    Example:
        >>> wide_samples(RawImage(bytes([1, 0, 0, 1]), 'mono16', height=1, width=2, step=4)).tolist()
        [[1, 256]]
    """
    samples = image.width * _ENCODINGS[image.encoding].channels
    order = '>u2' if image.is_bigendian else '<u2'
    return np.ndarray((image.height, samples), order, image.data, 0, (image.step, 2))


def readable(image: RawImage) -> RawImage:
    """The image as `to_color` reads it, for those who read the bytes themselves: checked, of a `PLAIN_ENCODINGS`.

    The image itself where nothing is to be done. A name in another spelling is replaced, `step` 0 filled in where the
    data are just as long as rows without padding; packed samples become 8 bits, float ones too: values of 0 to 1, or
    of 0 to 255 where some are above 2; neither says its range.

    Raises:
        FrameError: as for `to_color`, without 'conversion_failed'.

    Example: two pixels of three bytes do not fit into rows of five.
        >>> readable(RawImage(bytes(12), 'RGB8', height=2, width=2, step=0)).step
        6
        >>> readable(RawImage(bytes(10), 'bgr8', height=2, width=2, step=5))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        isaac_inference.errors.FrameError: image step: got 5 bytes, expected 6 or more for 2 pixels of 'bgr8'...
    """
    name = read_name(image.encoding)
    layout = _ENCODINGS.get(name.encoding)
    if layout is None:
        raise _unreadable(image, name.encoding)
    _check_size(image, layout)
    step = image.step or _tight_step(image, layout)
    _check_bytes(image, layout, step)
    if layout.packing is not None:
        rows: np.ndarray = np.ndarray((image.height, step), np.uint8, image.data)
        upper = unpack_upper(rows, image.width, layout.packing)
        return RawImage.from_array(upper, _UNPACKED[name.encoding])
    if layout.sample_bytes == 4:
        return RawImage.from_array(_from_floats(image, layout, step), 'bgr8')
    bit_depth = image.bit_depth or name.bit_depth
    if (name.encoding, step, bit_depth) == (image.encoding, image.step, image.bit_depth):
        return image
    return replace(image, encoding=name.encoding, step=step, bit_depth=bit_depth)


def _unreadable(image: RawImage, encoding: str) -> FrameError:
    if encoding in _DEPTH:
        return FrameError(
            'depth_image',
            f'image encoding: got {image.encoding!r}, which is what depth cameras publish (mm or m); '
            'remap image to the colour topic, or, if this is a grey picture, have the driver call it mono16 or mono8',
        )
    return FrameError(
        'unknown_encoding',
        f'image encoding: got {image.encoding!r}, expected one of {KNOWN}; set the camera driver to one of these',
    )


def _tight_step(image: RawImage, layout: _Encoding) -> int:
    """The step that a driver has left at 0, where the data show that rows have no padding; else 0."""
    row_bytes = layout.row_bytes(image.width)
    return row_bytes if _byte_count(image.data) == row_bytes * _row_count(image, layout) else 0


def _row_count(image: RawImage, layout: _Encoding) -> int:
    """Rows of `step` bytes in the data."""
    return image.height * layout.half_rows // 2


def _view_samples(image: RawImage, layout: _Encoding) -> np.ndarray:
    """(rows, width[, channels]) uint8: a view of 8-bit samples, a copy of the upper 8 bits of 16-bit ones."""
    rows, width, channels, step = _row_count(image, layout), image.width, layout.channels, image.step
    shape = (rows, width) if channels == 1 else (rows, width, channels)
    if layout.sample_bytes == 1:
        strides = (step, 1) if channels == 1 else (step, channels, 1)
        return np.ndarray(shape, np.uint8, image.data, 0, strides)
    if image.bit_depth is not None and image.bit_depth < 16:
        words = wide_samples(image).astype(np.uint16, copy=False)
        return _upper_bits(words, image.bit_depth).reshape(shape)
    pairs: np.ndarray = np.ndarray((rows, width * channels, 2), np.uint8, image.data, 0, (step, 2, 1))
    return cv2.extractChannel(pairs, 0 if image.is_bigendian else 1).reshape(shape)


def _upper_bits(words: np.ndarray, bit_depth: int) -> np.ndarray:
    """min(words >> (bit_depth - 8), 255) as uint8, in one pass: OpenCV rounds to the nearest, so half a step less."""
    scale = 0.5 ** (bit_depth - 8)
    if words.strides[0] % words.itemsize:  # rows of an odd number of bytes, which OpenCV refuses
        words = np.ascontiguousarray(words)
    return cv2.convertScaleAbs(words, alpha=scale, beta=-0.5 + scale / 2)


def _from_floats(image: RawImage, layout: _Encoding, step: int) -> np.ndarray:
    """(height, width, channels) uint8 of float samples; NaN is black."""
    shape = (image.height, image.width, layout.channels)
    order = '>f4' if image.is_bigendian else '<f4'
    values: np.ndarray = np.ndarray(shape, order, image.data, 0, (step, layout.channels * 4, 4))
    looked_at = values[::_SAMPLED, ::_SAMPLED]
    is_unit = np.max(looked_at, where=np.isfinite(looked_at), initial=0.0) <= _UNIT_FLOATS
    scale = 255.0 if is_unit else 1.0
    shown = np.fmin(np.fmax(values, 0.0), np.float32(255.0 / scale))  # fmax takes 0 where the other is NaN
    return cv2.convertScaleAbs(shown.astype(np.float32, copy=False), alpha=scale)


def _planes(image: RawImage) -> np.ndarray:
    """(height * 3 / 2, width) uint8, the three planes of YUV420 without padding; a view where there is none."""
    height, width, step = image.height, image.width, image.step
    rows = height * 3 // 2
    if step == width:
        return np.ndarray((rows, width), np.uint8, image.data)
    luma: np.ndarray = np.ndarray((height, width), np.uint8, image.data, 0, (step, 1))
    chroma: np.ndarray = np.ndarray((height, width // 2), np.uint8, image.data, height * step, (step // 2, 1))
    return np.concatenate((luma.ravel(), chroma.ravel())).reshape(rows, width)


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


def _check_bytes(image: RawImage, layout: _Encoding, step: int) -> None:
    row_bytes = layout.row_bytes(image.width)
    if step < row_bytes or (step % 2 and layout.is_planar):
        raise FrameError(
            'bad_step',
            f'image step: got {step} bytes, expected {row_bytes} or more for {image.width} pixels of '
            f'{image.encoding!r}{", and an even number" if step >= row_bytes else ""}; set step to the length of a row '
            f'in bytes, padding included',
        )
    length, rows = _byte_count(image.data), _row_count(image, layout)
    if length != step * rows:
        raise FrameError(
            'bad_data_length',
            f'image data: got {length} bytes, expected {step * rows}, {rows} rows of {step} bytes of '
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
