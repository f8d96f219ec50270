# SPDX-License-Identifier: Apache-2.0
"""Message bytes to colour images, checked pixel by pixel."""

from __future__ import annotations

import array
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.encodings import PACKED, PACKED_16, YUV, row_bytes, row_count

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.encodings import SUPPORTED_ENCODINGS, to_color
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.image.raw_image import RawImage

BGR, RGB = ColorOrder.BGR, ColorOrder.RGB
BAYER = {'bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8'}


def random_bytes(encoding: str, width: int, height: int, step: int | None = None, seed: int = 0) -> np.ndarray:
    step = row_bytes(encoding, width) if step is None else step
    return np.random.default_rng(seed).integers(0, 256, step * row_count(encoding, height), np.uint8)


def as_bgr(image: np.ndarray, order: ColorOrder) -> np.ndarray:
    return image if order is BGR else image[..., ::-1]


def raw(
    data: Any, encoding: str, width: int, height: int, step: int | None = None, is_bigendian: bool = False
) -> RawImage:
    return RawImage(data, encoding, height, width, row_bytes(encoding, width) if step is None else step, is_bigendian)


def read(data: Any, encoding: str, width: int, height: int, wanted: ColorOrder = BGR, **options: Any) -> np.ndarray:
    """The image in BGR, whatever was asked for."""
    image, order = to_color(raw(data, encoding, width, height, **options), wanted)
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
    return as_bgr(image, order)


def yuv_pixel(y: int, u: int, v: int) -> list[float]:
    """BT.601, studio range, to b, g, r."""
    luma = 1.164 * max(0, y - 16)
    blue = luma + 2.018 * (u - 128)
    green = luma - 0.391 * (u - 128) - 0.813 * (v - 128)
    red = luma + 1.596 * (v - 128)
    return [min(255.0, max(0.0, value)) for value in (blue, green, red)]


def packed_pixel(data: np.ndarray, names: str, step: int, x: int, y: int) -> list[int]:
    start = y * step + x * len(names)
    pixel = dict(zip(names, data[start : start + len(names)].tolist(), strict=True))
    return [pixel['m']] * 3 if 'm' in pixel else [pixel[name] for name in 'bgr']


def yuv_sample(data: np.ndarray, encoding: str, width: int, height: int, step: int, x: int, y: int) -> list[float]:
    """One pixel of a YUV image by the layout in the kernel's V4L2 documentation."""
    even = x - x % 2
    if encoding in ('uyvy', 'yuv422'):
        quad = data[y * step + even * 2 :][:4].tolist()
        return yuv_pixel(quad[1 + 2 * (x % 2)], quad[0], quad[2])
    if encoding in ('yuyv', 'yuv422_yuy2'):
        quad = data[y * step + even * 2 :][:4].tolist()
        return yuv_pixel(quad[2 * (x % 2)], quad[1], quad[3])
    luma = int(data[y * step + x])
    if encoding == 'nv24':
        first, second = data[height * step + y * 2 * step + 2 * x :][:2].tolist()
    else:
        first, second = data[height * step + y // 2 * step + even :][:2].tolist()
    return yuv_pixel(luma, second, first) if encoding == 'nv21' else yuv_pixel(luma, first, second)


@pytest.mark.parametrize('encoding', sorted(PACKED))
@pytest.mark.parametrize('wanted', ColorOrder)
@pytest.mark.parametrize('padding', [0, 5])
def test_packed(encoding: str, wanted: ColorOrder, padding: int) -> None:
    width, height = 5, 3
    step = row_bytes(encoding, width) + padding
    data = random_bytes(encoding, width, height, step)
    image = read(data, encoding, width, height, step=step, wanted=wanted)
    for y in range(height):
        for x in range(width):
            assert image[y, x].tolist() == packed_pixel(data, PACKED[encoding], step, x, y)


@pytest.mark.parametrize('encoding', sorted(PACKED_16))
@pytest.mark.parametrize('is_bigendian', [False, True])
def test_16_bit_keeps_the_upper_byte(encoding: str, is_bigendian: bool) -> None:
    width, height, names = 4, 3, PACKED_16[encoding]
    samples = np.random.default_rng(0).integers(0, 65536, height * width * len(names), np.uint16)
    data = samples.astype('>u2' if is_bigendian else '<u2').view(np.uint8)
    image = read(data, encoding, width, height, is_bigendian=is_bigendian)
    upper = (samples >> 8).astype(np.uint8)
    for y in range(height):
        for x in range(width):
            assert image[y, x].tolist() == packed_pixel(upper, names, width * len(names), x, y)


@pytest.mark.parametrize('encoding', sorted(YUV))
@pytest.mark.parametrize('wanted', ColorOrder)
@pytest.mark.parametrize('padding', [0, 6])
def test_yuv(encoding: str, wanted: ColorOrder, padding: int) -> None:
    width, height = 6, 4
    step = row_bytes(encoding, width) + padding
    data = random_bytes(encoding, width, height, step)
    image = read(data, encoding, width, height, step=step, wanted=wanted)
    expected = [[yuv_sample(data, encoding, width, height, step, x, y) for x in range(width)] for y in range(height)]
    np.testing.assert_allclose(image, expected, atol=2)


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('depth', [8, 16])
@pytest.mark.parametrize('wanted', ColorOrder)
@pytest.mark.parametrize('size', [(8, 6), (7, 5), (3, 3)])
def test_bayer_patterns(pattern: str, depth: int, wanted: ColorOrder, size: tuple[int, int]) -> None:
    """A mosaic of one colour comes back as that colour, which no other pattern and no other order does."""
    width, height = size
    color = {'r': 200, 'g': 120, 'b': 40}
    mosaic = np.zeros((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            mosaic[y, x] = color[pattern[2 * (y % 2) + x % 2]]
    data = mosaic if depth == 8 else mosaic.astype('<u2') * 256
    image = read(data.ravel().view(np.uint8), f'bayer_{pattern}{depth}', width, height, wanted=wanted)
    assert (image == (40, 120, 200)).all()


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', '8UC3'])
@pytest.mark.parametrize('wanted', ColorOrder)
@pytest.mark.parametrize('padding', [0, 7])
def test_three_channels_are_a_view(encoding: str, wanted: ColorOrder, padding: int) -> None:
    data = random_bytes(encoding, 4, 3, 12 + padding)
    image, order = to_color(raw(data, encoding, 4, 3, 12 + padding), wanted)
    assert np.shares_memory(image, data)
    assert order is (RGB if encoding == 'rgb8' else BGR)


@pytest.mark.parametrize('encoding', sorted(SUPPORTED_ENCODINGS - {'bgr8', 'rgb8', '8UC3', 'bgr16', 'rgb16'}))
@pytest.mark.parametrize('wanted', ColorOrder)
def test_everything_else_comes_in_the_wanted_order(encoding: str, wanted: ColorOrder) -> None:
    source = raw(random_bytes(encoding, 4, 4), encoding, 4, 4)
    image, order = to_color(source, wanted)
    other, _ = to_color(source, RGB if wanted is BGR else BGR)
    assert order is wanted
    np.testing.assert_array_equal(image, other[..., ::-1])


@pytest.mark.parametrize(
    'wrap', [lambda data: array.array('B', data.tobytes()), bytes, bytearray, memoryview, lambda data: data]
)
@pytest.mark.parametrize('encoding', ['bgr8', 'mono8', 'mono16', 'nv24'])
def test_kinds_of_buffers(wrap: Any, encoding: str) -> None:
    data = random_bytes(encoding, 4, 2)
    np.testing.assert_array_equal(read(wrap(data), encoding, 4, 2), read(data, encoding, 4, 2))


@settings(max_examples=200)
@given(
    encoding=st.sampled_from(sorted(SUPPORTED_ENCODINGS)),
    half_width=st.integers(2, 12),
    half_height=st.integers(2, 9),
    padding=st.integers(0, 40),
    seed=st.integers(0, 1000),
)
def test_padding_changes_nothing(encoding: str, half_width: int, half_height: int, padding: int, seed: int) -> None:
    width, height, tight = 2 * half_width, 2 * half_height, row_bytes(encoding, 2 * half_width)
    step = tight + padding
    rows, plane = row_count(encoding, height), height
    padded = random_bytes(encoding, width, height, step, seed).reshape(rows, step)
    if encoding == 'nv24':  # the rows of the chroma plane are two steps long
        chroma = padded[plane:].reshape(plane, 2 * step)[:, : 2 * tight]
        packed = np.concatenate((padded[:plane, :tight].ravel(), chroma.ravel()))
    else:
        packed = padded[:, :tight].ravel()
    np.testing.assert_array_equal(
        read(padded.ravel(), encoding, width, height, step=step), read(packed, encoding, width, height)
    )


@settings(max_examples=500)
@given(
    encoding=st.sampled_from([*sorted(SUPPORTED_ENCODINGS), '', '32FC1', 'BGR8']),
    width=st.integers(0, 9),
    height=st.integers(0, 9),
    step=st.integers(0, 80),
    length=st.one_of(st.none(), st.integers(0, 700)),
    is_bigendian=st.booleans(),
)
def test_malformed_messages_are_frame_errors(
    encoding: str, width: int, height: int, step: int, length: int | None, is_bigendian: bool
) -> None:
    """Whatever arrives is an image of the size it says or one clear error."""
    count = step * row_count(encoding, height) if length is None else length
    try:
        read(bytes(count), encoding, width, height, step=step, is_bigendian=is_bigendian)
    except FrameError as error:
        assert error.reason in {
            'unknown_encoding',
            'zero_size_image',
            'image_too_small',
            'odd_size',
            'bad_step',
            'bad_data_length',
        }


@pytest.mark.parametrize(
    ('change', 'reason', 'error'),
    [
        ({'encoding': '32FC1'}, 'unknown_encoding', "got '32FC1', expected one of 8UC1, .*yuyv"),
        ({'encoding': ''}, 'unknown_encoding', "got ''"),
        ({'width': 0}, 'zero_size_image', 'got 0x4 pixels, expected at least 1x1'),
        ({'height': 0}, 'zero_size_image', 'got 6x0 pixels'),
        ({'step': 0}, 'bad_step', "got 0 bytes, expected 18 or more for 6 pixels of 'bgr8'"),
        ({'step': 17}, 'bad_step', 'got 17 bytes, expected 18'),
        ({'step': 19}, 'bad_data_length', 'got 72 bytes, expected 76, 4 rows of 19 bytes'),
        ({'height': 5}, 'bad_data_length', 'got 72 bytes, expected 90'),
        ({'height': 3}, 'bad_data_length', 'got 72 bytes, expected 54'),
        ({'data': b''}, 'bad_data_length', 'got 0 bytes, expected 72'),
        ({'data': [0] * 72}, 'bad_data_type', 'got list, expected contiguous bytes'),
        ({'data': np.zeros(72, np.float32)}, 'bad_data_type', 'got ndarray'),
        ({'data': np.zeros(144, np.uint8)[::2]}, 'bad_data_type', 'contiguous'),
        (
            {'encoding': 'yuyv', 'width': 9, 'step': 18},
            'odd_size',
            "9x4 pixels of 'yuyv', expected an even width,",
        ),
        ({'encoding': 'nv12', 'height': 3}, 'odd_size', 'expected an even width and height'),
        ({'encoding': 'bayer_rggb8', 'height': 2}, 'image_too_small', 'expected at least 3 a side'),
    ],
)
def test_errors_say_what_arrived(change: dict, reason: str, error: str) -> None:
    image = replace(RawImage(bytes(72), 'bgr8', height=4, width=6, step=18), **change)
    with pytest.raises(FrameError, match=error) as caught:
        to_color(image, BGR)
    assert caught.value.reason == reason


def test_an_odd_size_is_fine_where_no_pixels_share_their_colour() -> None:
    for encoding in ('nv24', 'bayer_gbrg8', 'rgba8', 'mono8'):
        read(random_bytes(encoding, 5, 3), encoding, 5, 3)
    read(random_bytes('yuyv', 4, 3), 'yuyv', 4, 3)  # an odd height doesn't matter to it
