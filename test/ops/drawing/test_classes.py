# SPDX-License-Identifier: Apache-2.0
"""Classes on a picture: colours that stay, what is left alone, edges and the legend."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.drawing.boxes import class_color
from isaac_inference.ops.drawing.classes import draw_classes

NAMES = {0: 'background', 1: 'road', 2: 'person'}


def drawn(mask, names=NAMES, legend=False, grey=100):
    picture = np.full((*mask.shape, 3), grey, np.uint8)
    draw_classes(picture, mask, names, legend)
    return picture


def halves(first, second, dtype=np.uint8):
    mask = np.full((200, 300), first, dtype)
    mask[:, 150:] = second
    return mask


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_each_class_has_the_color_of_its_name(dtype):
    picture = drawn(halves(1, 2, dtype))
    for column, name in ((50, 'road'), (250, 'person')):
        np.testing.assert_allclose(picture[100, column], 0.55 * np.array(class_color(name)) + 45, atol=1.5)
    other_ids = drawn(halves(7, 2, dtype), {7: 'road', 2: 'person'})
    np.testing.assert_array_equal(other_ids[100, 50], picture[100, 50])


@pytest.mark.parametrize('left', [0, 9, 255])
def test_background_unlabelled_pixels_and_those_without_a_name_stay(left):
    picture = drawn(halves(left, 2))
    assert (picture[:, :150] == 100).all()
    assert (picture[100, 250] != 100).any()


def test_two_classes_are_parted_by_a_darker_line():
    picture = drawn(halves(1, 2))
    assert picture[100, 149].sum() < 0.6 * picture[100, 50].sum()
    assert (picture[100, 145] == picture[100, 50]).all()


def test_the_legend_names_what_is_there_with_its_share():
    mask = halves(0, 2)
    mask[0, 0] = 1
    picture = drawn(mask, legend=True)
    assert (picture[-30:, :60] != 100).any()
    assert (picture[:100, :140] == 100)[2:, 2:].all()
    with_none = drawn(np.full((200, 300), 255, np.uint8), legend=True)
    assert (with_none == 100).all()


def test_more_classes_than_there_is_room_for_are_left_out():
    mask = np.arange(60 * 60, dtype=np.uint16).reshape(60, 60) % 50
    drawn(mask, {number: f'class {number}' for number in range(50)}, legend=True)
