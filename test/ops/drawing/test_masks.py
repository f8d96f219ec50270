# SPDX-License-Identifier: Apache-2.0
"""Masks are filled in their classes' colours where they are, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.drawing.boxes import class_color
from isaac_inference.ops.drawing.masks import fill_masks
from isaac_inference.ops.masks.masks import Masks


def test_only_a_mask_s_pixels_change_and_the_picture_is_seen_through_it() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    crop = np.zeros((20, 30), np.bool_)
    crop[3:15, 4:25] = True
    crop[6:9, 10:14] = False  # a hole
    masks = Masks((60, 40), np.array([[5, 10]]), (crop,))
    drawn = picture.copy()
    fill_masks(drawn, masks, ['mug'])
    whole = masks.full(0)
    np.testing.assert_array_equal(drawn[~whole], picture[~whole])
    inner = whole.copy()
    for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
        inner &= np.roll(whole, shift, axis)
    mixed = 0.55 * picture[inner] + 0.45 * np.array(class_color('mug'))
    assert np.abs(drawn[inner] - mixed).max() <= 1.0
    assert (drawn[whole & ~inner] == class_color('mug')).all(axis=1).mean() > 0.95


def test_each_has_its_own_colour_at_the_image_s_edges_too_and_empty_ones_none() -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    full, none = np.ones((5, 5), np.bool_), np.zeros((5, 5), np.bool_)
    masks = Masks((20, 20), np.array([[0, 0], [15, 15], [8, 8], [0, 0]]), (full, full, none, none[:0, :0]))
    fill_masks(picture, masks, ['mug', 'can', 'mug', 'can'])
    assert tuple(picture[0, 0]) == class_color('mug')
    assert tuple(picture[19, 19]) == class_color('can')
    assert not picture[7:14, 7:14].any()


def test_masks_of_another_image_are_refused() -> None:
    with pytest.raises(FrameError, match='got those of 40x20 pixels, expected 20x40') as error:
        fill_masks(np.zeros((40, 20, 3), np.uint8), Masks.empty((40, 20)), [])
    assert error.value.reason == 'mask_size'
