# SPDX-License-Identifier: Apache-2.0
"""Depth in colours: near is red, unknown is grey, and the scale says which is which."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.drawing.depth import color_map

DEPTH = np.linspace(0.5, 3.0, 480, dtype=np.float32)[:, None].repeat(640, axis=1)


def is_red(pixel: np.ndarray) -> bool:
    return int(pixel[2]) > 1.5 * max(int(pixel[0]), int(pixel[1]))


def is_blue(pixel: np.ndarray) -> bool:
    return int(pixel[0]) > 1.2 * max(int(pixel[1]), int(pixel[2]))


def test_near_is_red_and_far_is_blue_whichever_is_larger() -> None:
    picture = color_map(DEPTH, limits=(0.5, 3.0))
    assert is_red(picture[3, 10]) and is_blue(picture[455, 10])
    inverse = color_map(1.0 / DEPTH, '1/m', near_is_large=True)
    assert is_red(inverse[3, 10]) and is_blue(inverse[455, 10])


def test_the_scale_has_the_nearest_at_the_bottom() -> None:
    picture = color_map(DEPTH)
    column = picture[:, 640 - 10 - 6]
    assert is_red(column[425]) and is_blue(column[60])
    assert (picture[48:432, 560:610].reshape(-1, 3) == 40).all(axis=1).sum() > 100  # the captions


def test_unknown_is_grey_and_does_not_change_the_colours() -> None:
    holes = DEPTH.copy()
    holes[:, 100:110], holes[5, 5] = np.nan, np.inf
    picture = color_map(holes, limits=(0.5, 3.0))
    assert (picture[:, 100:110] == 40).all() and (picture[5, 5] == 40).all()
    np.testing.assert_array_equal(picture[:, 120:400], color_map(DEPTH, limits=(0.5, 3.0))[:, 120:400])


@pytest.mark.parametrize('values', [np.full((480, 640), np.nan), np.full((480, 640), 2.0), np.zeros((10, 12))])
def test_images_of_nothing_of_one_value_and_without_room(values: np.ndarray) -> None:
    picture = color_map(values.astype(np.float32))
    assert picture.shape == (*values.shape, 3) and picture.dtype == np.uint8
