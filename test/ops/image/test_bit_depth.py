# SPDX-License-Identifier: Apache-2.0
"""What the range of 16-bit samples says of the camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isaac_inference.ops.image.bit_depth import BitDepth
from isaac_inference.ops.image.encodings import to_color
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.image.raw_image import RawImage

SCENE = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)


def image(level: int | np.ndarray, encoding: str = 'mono16', is_bigendian: bool = False) -> RawImage:
    samples = np.full((48, 64), level, np.uint16) if isinstance(level, int) else level.astype(np.uint16)
    raw = RawImage.from_array(samples.astype('>u2' if is_bigendian else '<u2').view(np.uint8), encoding)
    return replace(raw, width=64, is_bigendian=is_bigendian)


@pytest.mark.parametrize(
    ('largest', 'bits'),
    [(0, 10), (1, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 14), (16383, 14), (16384, 16), (65535, 16)],
)
@pytest.mark.parametrize('is_bigendian', [False, True])
def test_the_smallest_that_holds_the_largest_value(largest: int, bits: int, is_bigendian: bool) -> None:
    assert BitDepth()(image(largest, is_bigendian=is_bigendian)).bit_depth == bits


@pytest.mark.parametrize('bits', [10, 12, 14, 16])
@pytest.mark.parametrize('encoding', ['mono16', 'bayer_rggb16', 'bayer_gbrg16'])
def test_a_scene_of_any_bit_depth_looks_like_the_one_of_8_bits(bits: int, encoding: str) -> None:
    read = BitDepth()(image(SCENE.astype(np.uint16) << bits - 8, encoding))
    assert read.bit_depth == bits
    shown, _ = to_color(read, ColorOrder.BGR)
    expected, _ = to_color(RawImage.from_array(SCENE, encoding.replace('16', '8')), ColorOrder.BGR)
    np.testing.assert_array_equal(shown, expected)


def test_it_only_grows_until_the_encoding_changes() -> None:
    camera = BitDepth()
    assert [camera(image(level)).bit_depth for level in (900, 3000, 900, 60000, 900, 0)] == [10, 12, 12, 16, 16, 16]
    assert camera(image(900, 'bayer_rggb16')).bit_depth == 10


def test_samples_aligned_to_the_high_end_are_16_bits() -> None:
    assert BitDepth()(image(SCENE.astype(np.uint16) << 8)).bit_depth == 16


@pytest.mark.parametrize('place', [(2, 1), (2, 2), (3, 1), (3, 2)])
def test_each_colour_of_a_bayer_pattern_is_looked_at(place: tuple[int, int]) -> None:
    """A scene of one colour fills one sample in four."""
    mosaic = np.full((48, 64), 100, np.uint16)
    mosaic[place[0] % 2 :: 2, place[1] % 2 :: 2] = 3000
    assert BitDepth()(image(mosaic, 'bayer_rggb16')).bit_depth == 12


def test_counters_that_a_camera_writes_into_the_first_row_are_no_light() -> None:
    scene = np.full((48, 64), 3000, np.uint16)
    scene[0] = scene[-1] = 65535
    assert BitDepth()(image(scene)).bit_depth == 12


def test_padding_is_no_light() -> None:
    rows = np.full((48, 64 + 32), 65535, np.uint16)
    rows[:, :64] = 3000
    assert BitDepth()(replace(image(rows), width=64)).bit_depth == 12


def test_what_is_chosen_holds_and_what_it_does_not_hold_is_told() -> None:
    camera = BitDepth(12)
    assert camera(image(900)).bit_depth == 12
    assert not camera.is_exceeded
    assert camera(image(5000)).bit_depth == 12
    assert camera.is_exceeded
    assert camera.largest == 5000


def test_a_name_that_says_it_is_believed_but_for_one_who_knows_better() -> None:
    assert BitDepth()(image(900, 'mono12')).bit_depth == 12
    assert BitDepth(14)(image(900, 'mono12')).bit_depth == 14


@pytest.mark.parametrize('encoding', ['bgr8', 'mono8', '16UC1', '32FC1', 'thermal', ''])
def test_other_images_are_left_alone(encoding: str) -> None:
    raw = RawImage.from_array(SCENE, encoding)
    camera = BitDepth()
    assert camera(raw) is raw
    assert camera.value is None


@pytest.mark.parametrize('change', [{'step': 3}, {'height': 0}, {'width': 0}, {'data': b''}, {'height': 49}])
def test_what_cannot_be_read_is_left_to_the_reader(change: dict) -> None:
    raw = replace(image(900), **change)
    assert BitDepth()(raw) is raw


@pytest.mark.parametrize('size', [(1, 1), (6, 6), (7, 2), (1, 100)])
def test_small_images(size: tuple[int, int]) -> None:
    raw = RawImage.from_array(np.full(size, 3000, np.uint16), 'mono16')
    assert BitDepth()(raw).bit_depth == 12


@pytest.mark.parametrize('padding', [1, 2, 3])
@pytest.mark.parametrize('is_bigendian', [False, True])
@pytest.mark.parametrize('bits', [10, 12, 14, 16])
@pytest.mark.parametrize('encoding', ['mono16', 'bayer_rggb16'])
def test_padding_of_any_length_changes_nothing(bits: int, encoding: str, is_bigendian: bool, padding: int) -> None:
    tight = image(SCENE.astype(np.uint16) << bits - 8, encoding, is_bigendian)
    rows = np.frombuffer(tight.data, np.uint8).reshape(48, 128)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    raw = RawImage(padded.tobytes(), encoding, height=48, width=64, step=128 + padding, is_bigendian=is_bigendian)
    shown, _ = to_color(BitDepth()(raw), ColorOrder.BGR)
    expected, _ = to_color(BitDepth()(tight), ColorOrder.BGR)
    np.testing.assert_array_equal(shown, expected)
