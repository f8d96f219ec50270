# SPDX-License-Identifier: Apache-2.0
"""compressedDepth and RVL against an encoder written after their description, and against files of bytes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.rvl import compressed_depth, encode_rvl

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.compressed_depth import decode_compressed_depth
from isaac_inference.ops.depth.rvl import decode_rvl

RNG = np.random.default_rng(0)
MILLIMETRES = RNG.integers(300, 9000, (48, 64)).astype(np.uint16)
MILLIMETRES[RNG.random((48, 64)) < 0.2] = 0
METRES = (MILLIMETRES / 1000).astype(np.float32)
METRES[MILLIMETRES == 0] = np.nan


def octets(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


@settings(max_examples=300, deadline=None)
@given(
    hnp.arrays(
        np.uint16,
        st.integers(1, 200),
        elements=st.one_of(st.just(0), st.integers(0, 65535), st.integers(1000, 1010)),
    )
)
def test_rvl_gives_back_what_was_encoded(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_rvl(octets(encode_rvl(pixels)), pixels.size), pixels)


@pytest.mark.parametrize(
    ('word', 'pixels'),
    [
        (0x40000000, [0, 0, 0, 0]),  # 4 zeros, no others
        (0x02A11000, [5, 4]),  # no zeros, 2 others: 5 as 10, which is 0b1010 and 0b0001, then -1 as 1
        (0x11812000, [0, 4, 0, 0]),  # 1 zero, 1 other: 4 as 8, which is 0b1000 and 0b0001; 2 zeros, no others
    ],
)
def test_rvl_by_hand(word: int, pixels: list[int]) -> None:
    assert decode_rvl(octets(word.to_bytes(4, 'little')), len(pixels)).tolist() == pixels


@pytest.mark.parametrize(
    ('data', 'count', 'error'),
    [
        (b'', 4, 'the data end after 0 of 4 pixels'),
        (b'\0\0\0', 4, 'the data end after 0'),
        (encode_rvl(np.full(100, 700, np.uint16))[:16], 100, 'the data end before 100 pixels'),
        (encode_rvl(np.full(100, 700, np.uint16)), 60, 'got 100 pixels'),
        (b'\xff' * 64, 100, 'the data end after 0|more than 32 bits'),
        (b'\xff' * 8 + b'\0' * 8, 100, 'more than 32 bits'),
        (bytes(400), 100, 'the data end after'),
    ],
)
def test_damaged_rvl(data: bytes, count: int, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        decode_rvl(octets(data), count)
    assert caught.value.reason == 'bad_compressed_depth'


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 500))
def test_any_bytes_are_an_image_or_one_error(data: bytes, count: int) -> None:
    try:
        assert decode_rvl(octets(data), count).shape == (count,)
    except FrameError as error:
        assert error.reason == 'bad_compressed_depth'


@pytest.mark.parametrize('codec', ['png', 'rvl'])
@pytest.mark.parametrize('encoding', ['16UC1', 'mono16'])
def test_16_bits_are_lossless(codec: str, encoding: str) -> None:
    depth, found = decode_compressed_depth(
        octets(compressed_depth(MILLIMETRES, codec)), f'{encoding}; compressedDepth {codec}'
    )
    assert (found, depth.dtype) == (encoding, np.uint16)
    np.testing.assert_array_equal(depth, MILLIMETRES)


@pytest.mark.parametrize('codec', ['png', 'rvl'])
def test_metres_come_back_from_inverse_depth(codec: str) -> None:
    depth, found = decode_compressed_depth(octets(compressed_depth(METRES, codec)), f'32FC1; compressedDepth {codec}')
    assert (found, depth.dtype) == ('32FC1', np.float32)
    np.testing.assert_array_equal(np.isnan(depth), np.isnan(METRES))
    near = METRES < 2.0  # a step of inverse depth is d * d / 10100 long
    np.testing.assert_allclose(depth[near], METRES[near], atol=4e-4)
    np.testing.assert_allclose(depth, METRES, atol=0.01)


@pytest.mark.parametrize(
    ('stated_format', 'header'),
    [
        ('16UC1; compressedDepth', 12),  # before there was a choice
        ('16UC1;compressedDepth png', 12),
        ('16uc1; compressedDepth png ', 12),
        ('16UC1; compressedDepth png', 0),  # drivers that leave the header out
        ('16UC1; png compressed ', 0),  # the plugin 'compressed'
        ('16UC1; png compressed 16UC1', 0),
    ],
)
def test_other_ways_to_say_png(stated_format: str, header: int) -> None:
    data = octets(bytes(header) + cv2.imencode('.png', MILLIMETRES)[1].tobytes())
    depth, encoding = decode_compressed_depth(data, stated_format)
    assert encoding == '16UC1'
    np.testing.assert_array_equal(depth, MILLIMETRES)


@pytest.mark.parametrize(
    'stated_format',
    [
        '',
        'jpeg',
        'png',
        '16UC1',
        '16UC1; jpeg compressed mono8',
        'bgr8; compressedDepth png',
        '16UC1; compressedDepth lz',
    ],
)
def test_other_formats_are_named(stated_format: str) -> None:
    with pytest.raises(FrameError, match='expected .16UC1; compressedDepth png') as caught:
        decode_compressed_depth(octets(compressed_depth(MILLIMETRES, 'png')), stated_format)
    assert caught.value.reason == 'depth_format'


@pytest.mark.parametrize(
    ('data', 'stated_format', 'error'),
    [
        (b'', '16UC1; compressedDepth png', 'shorter than the header'),
        (bytes(12), '16UC1; compressedDepth png', 'shorter than the header'),
        (bytes(20), '16UC1; compressedDepth png', 'got no picture'),
        (
            bytes(12) + cv2.imencode('.png', np.zeros((4, 4), np.uint8))[1].tobytes(),
            '16UC1; compressedDepth png',
            'uint8',
        ),
        (
            bytes(12) + cv2.imencode('.png', np.zeros((4, 4, 3), np.uint16))[1].tobytes(),
            '16UC1; compressedDepth png',
            '4, 3',
        ),
        (cv2.imencode('.png', np.zeros((4, 4), np.uint16))[1].tobytes(), '32FC1; compressedDepth png', 'no header'),
        (bytes(16), '16UC1; compressedDepth rvl', 'got no picture'),
        (bytes(20), '16UC1; compressedDepth rvl', 'got no picture'),
        (bytes(12) + b'\xff' * 8 + bytes(100), '16UC1; compressedDepth rvl', 'got no picture'),
        (compressed_depth(MILLIMETRES, 'rvl')[:200], '16UC1; compressedDepth rvl', 'the data end'),
    ],
)
def test_damaged_messages(data: bytes, stated_format: str, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        decode_compressed_depth(octets(data), stated_format)
    assert caught.value.reason == 'bad_compressed_depth'
