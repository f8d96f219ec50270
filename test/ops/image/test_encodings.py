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
from support.encodings import PACKED, PACKED_16, PLANAR, YUV, row_bytes, row_count

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.encodings import SUPPORTED_ENCODINGS, is_supported, to_color
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.image.raw_image import RawImage

BGR, RGB = ColorOrder.BGR, ColorOrder.RGB
THREE_COLORS = {'bgr8', 'rgb8', '8UC3', 'bgr16', 'rgb16', '16UC3', '32FC3'}
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
    if encoding == 'yvyu':
        quad = data[y * step + even * 2 :][:4].tolist()
        return yuv_pixel(quad[2 * (x % 2)], quad[3], quad[1])
    luma = int(data[y * step + x])
    if encoding in PLANAR:
        first, second = (
            int(data[height * step + (height // 2 * plane + y // 2) * (step // 2) + x // 2]) for plane in (0, 1)
        )
        return yuv_pixel(luma, *((first, second) if encoding == 'yuv420' else (second, first)))
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


@pytest.mark.parametrize('encoding', sorted(SUPPORTED_ENCODINGS - THREE_COLORS))
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
    step = tight + padding - (padding % 2 if encoding in PLANAR else 0)
    rows, plane = row_count(encoding, height), height
    padded = random_bytes(encoding, width, height, step, seed).reshape(rows, step)
    if encoding == 'nv24':  # the rows of the chroma plane are two steps long
        chroma = padded[plane:].reshape(plane, 2 * step)[:, : 2 * tight]
        packed = np.concatenate((padded[:plane, :tight].ravel(), chroma.ravel()))
    elif encoding in PLANAR:  # those of the two planes here are half as long
        chroma = padded[plane:].reshape(plane, step // 2)[:, : tight // 2]
        packed = np.concatenate((padded[:plane, :tight].ravel(), chroma.ravel()))
    else:
        packed = padded[:, :tight].ravel()
    np.testing.assert_array_equal(
        read(padded.ravel(), encoding, width, height, step=step), read(packed, encoding, width, height)
    )


@settings(max_examples=500)
@given(
    encoding=st.sampled_from([*sorted(SUPPORTED_ENCODINGS), '', '32FC1', '64FC3', 'BGR8', 'Mono12']),
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
            'depth_image',
            'zero_size_image',
            'image_too_small',
            'odd_size',
            'bad_step',
            'bad_data_length',
        }


@pytest.mark.parametrize(
    ('change', 'reason', 'error'),
    [
        ({'encoding': '64FC3'}, 'unknown_encoding', "got '64FC3', expected one of 16UC3, .*yuyv"),
        ({'encoding': '32FC1'}, 'depth_image', "got '32FC1', which is what depth cameras publish"),
        ({'encoding': '16uc1'}, 'depth_image', "got '16uc1', .* remap image to the colour topic, .*mono16"),
        ({'encoding': ''}, 'unknown_encoding', "got ''"),
        ({'width': 0}, 'zero_size_image', 'got 0x4 pixels, expected at least 1x1'),
        ({'height': 0}, 'zero_size_image', 'got 6x0 pixels'),
        ({'step': 0, 'height': 3}, 'bad_step', "got 0 bytes, expected 18 or more for 6 pixels of 'bgr8'"),
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
        ({'encoding': 'yuv420', 'step': 7, 'data': bytes(42)}, 'bad_step', 'got 7 bytes, .* and an even number'),
        ({'encoding': 'bayer_rggb12p', 'step': 8}, 'bad_step', "expected 9 or more for 6 pixels of 'bayer_rggb12p'"),
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


@pytest.mark.parametrize(
    ('name', 'same_as'),
    [
        ('RGB8', 'rgb8'),
        ('BGR8', 'bgr8'),
        ('MONO8', 'mono8'),
        ('8uc3', '8UC3'),
        ('Mono16', 'mono16'),
        ('RGB8Packed', 'rgb8'),
        ('BayerRG8', 'bayer_rggb8'),
        ('BayerBG8', 'bayer_bggr8'),
        ('BayerGB16', 'bayer_gbrg16'),
        ('BayerGR12p', 'bayer_grbg12p'),
        ('BayerRG12Packed', 'bayer_rggb12packed'),
        ('bayer_rggb12_packed', 'bayer_rggb12packed'),
        ('BAYER_RGGB8', 'bayer_rggb8'),
        ('I420', 'yuv420'),
        ('YUYV', 'yuyv'),
        ('yuy2', 'yuyv'),
        ('NV12', 'nv12'),
    ],
)
def test_other_spellings_and_the_cameras_own_names(name: str, same_as: str) -> None:
    assert is_supported(name)
    data = random_bytes(same_as, 6, 4)
    image, order = to_color(raw(data, name, 6, 4, row_bytes(same_as, 6)), BGR)
    expected, expected_order = to_color(raw(data, same_as, 6, 4), BGR)
    assert order is expected_order
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize('encoding', sorted(SUPPORTED_ENCODINGS))
def test_a_step_of_0_means_rows_without_padding(encoding: str) -> None:
    data = random_bytes(encoding, 6, 4)
    np.testing.assert_array_equal(read(data, encoding, 6, 4, step=0), read(data, encoding, 6, 4))
    with pytest.raises(FrameError) as caught:
        read(np.append(data, 0).astype(np.uint8), encoding, 6, 4, step=0)
    assert caught.value.reason == 'bad_step', 'the data do not tell how long a row is'


def wide(samples: np.ndarray, encoding: str, is_bigendian: bool, **fields: Any) -> RawImage:
    """An image of 16-bit samples, (H, W) or (H, W, C)."""
    data = np.ascontiguousarray(samples).astype('>u2' if is_bigendian else '<u2').view(np.uint8)
    return replace(RawImage.from_array(data, encoding), width=samples.shape[1], is_bigendian=is_bigendian, **fields)


@pytest.mark.parametrize('bit_depth', range(9, 17))
@pytest.mark.parametrize('is_bigendian', [False, True])
def test_of_fewer_significant_bits_the_upper_8_are_taken(bit_depth: int, is_bigendian: bool) -> None:
    """Every value: it is cut, not rounded, and one that has more bits than that is white, not wrapped around."""
    samples = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image, _ = to_color(wide(samples, 'mono16', is_bigendian, bit_depth=bit_depth), BGR)
    np.testing.assert_array_equal(image[..., 0], np.minimum(samples >> (bit_depth - 8), 255))


@pytest.mark.parametrize(('name', 'bit_depth'), [('mono10', 10), ('Mono12', 12), ('mono14', 14), ('mono16', 16)])
def test_a_name_that_says_the_bit_depth_is_believed(name: str, bit_depth: int) -> None:
    samples = np.random.default_rng(0).integers(0, 1 << bit_depth, (4, 6), np.uint16)
    image, _ = to_color(wide(samples, name, False), BGR)
    np.testing.assert_array_equal(image[..., 0], samples >> (bit_depth - 8))
    image, _ = to_color(wide(samples, name, False, bit_depth=16), BGR)
    np.testing.assert_array_equal(image[..., 0], samples >> 8)


@pytest.mark.parametrize('packing', ['10p', '12p', '10packed', '12packed'])
@pytest.mark.parametrize('width', [3, 4, 5, 6, 7, 64])
@pytest.mark.parametrize('padding', [0, 5])
def test_samples_without_gaps_between_them(packing: str, width: int, padding: int) -> None:
    bits = int(packing[:2])
    samples = np.random.default_rng(0).integers(0, 1 << bits, (4, width))
    rows = np.full((4, row_bytes(f'mono{packing}', width) + padding), 0xAA, np.uint8)
    for row, values in zip(rows, samples.tolist(), strict=True):
        length = len(row) - padding
        if packing.endswith('p'):  # GenICam: a stream of bits, each sample's lowest one first
            row[:length] = list(
                sum(value << index * bits for index, value in enumerate(values)).to_bytes(length, 'little')
            )
        else:  # GigE Vision: upper 8 bits, low bits of two samples, upper 8 bits
            for index, value in enumerate(values):
                row[index // 2 * 3 + index % 2 * 2] = value >> bits - 8
    expected = (samples >> bits - 8).astype(np.uint8)
    for name, plain in ((f'mono{packing}', 'mono8'), (f'bayer_grbg{packing}', 'bayer_grbg8')):
        image = read(rows.ravel(), name, width, 4, step=rows.shape[1])
        np.testing.assert_array_equal(image, read(expected.ravel(), plain, width, 4))


@pytest.mark.parametrize('is_bigendian', [False, True])
@pytest.mark.parametrize('full', [1.0, 255.0])
def test_float_colours_are_0_to_1_or_0_to_255(full: float, is_bigendian: bool) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.float32)
    values = levels / 255 * np.float32(full)
    values[0, 0], values[0, 1] = (np.nan, -np.inf, -1.0), (np.inf, 1e9, full * 1.5)
    expected = levels.astype(np.uint8)
    expected[0, 0], expected[0, 1] = 0, 255
    data = values.astype('>f4' if is_bigendian else '<f4').view(np.uint8)
    image = read(data.ravel(), '32FC3', 30, 20, step=360, is_bigendian=is_bigendian)
    np.testing.assert_array_equal(image, expected)
