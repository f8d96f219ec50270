# SPDX-License-Identifier: Apache-2.0
"""Resampling by a map: `cv2.remap` of the floating-point places, apart from the image's edge."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.remap import OUTSIDE, PixelMap, remap_into

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def remapped(places: np.ndarray, image: np.ndarray = IMAGE, nearest: bool = False) -> np.ndarray:
    out = np.full((*places.shape[:2], 3), 201, np.uint8)
    remap_into(image, PixelMap.of(places, (image.shape[1], image.shape[0]), nearest), out, 77)
    return out


def test_inside_it_is_opencv_s() -> None:
    places = np.random.default_rng(1).uniform((0, 0), (58, 38), (50, 70, 2)).astype(np.float32)
    expected = cv2.remap(IMAGE, places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    np.testing.assert_array_equal(remapped(places), expected)


def test_nearest() -> None:
    places = np.random.default_rng(2).uniform((0, 0), (59, 39), (50, 70, 2))
    expected = IMAGE[np.rint(places[..., 1]).astype(int), np.rint(places[..., 0]).astype(int)]
    np.testing.assert_array_equal(remapped(places, nearest=True), expected)


def test_the_edge_is_half_a_pixel_wide_and_beyond_it_is_nothing() -> None:
    x = np.array([-0.6, -0.5, -0.2, 0.0, 59.0, 59.4, 59.5, 59.6, np.nan])
    places = np.stack((x, np.full(len(x), 3.0)), axis=-1)[None]
    found = remapped(places)[0]
    left, right, nothing = IMAGE[3, 0], IMAGE[3, 59], np.full(3, 77)
    np.testing.assert_array_equal(found, [nothing, left, left, left, right, right, right, nothing, nothing])


def test_rows_apart_and_a_part_of_a_canvas() -> None:
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, :60] = IMAGE
    places = np.random.default_rng(3).uniform((0, 0), (59, 39), (20, 30, 2))
    canvas = np.zeros((40, 40, 3), np.uint8)
    remap_into(wide[:, :60], PixelMap.of(places, (60, 40)), canvas[5:25, 4:34], 0)
    np.testing.assert_array_equal(canvas[5:25, 4:34], remapped(places))
    canvas[5:25, 4:34] = 0
    assert not canvas.any()


def test_maps_in_larger_ones() -> None:
    made = PixelMap.of(np.random.default_rng(4).uniform((0, 0), (59, 39), (6, 8, 2)), (60, 40))
    large = made.around((10, 12), slice(2, 8), slice(3, 11))
    np.testing.assert_array_equal(large.whole[2:8, 3:11], made.whole)
    np.testing.assert_array_equal(large.part[2:8, 3:11], made.part)
    assert (large.whole[0] == OUTSIDE).all()
    assert not large.part[9].any()


def test_an_image_of_another_size_is_refused() -> None:
    made = PixelMap.of(np.zeros((2, 2, 2)), (60, 40))
    with pytest.raises(FrameError, match='make a map for every size') as caught:
        remap_into(IMAGE[:30], made, np.zeros((2, 2, 3), np.uint8), 0)
    assert caught.value.reason == 'resize_failed'


def test_places_are_16_bit_numbers() -> None:
    with pytest.raises(FrameError, match='at most 32766'):
        PixelMap.of(np.zeros((1, 1, 2)), (40000, 2))
