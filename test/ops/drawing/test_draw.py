# SPDX-License-Identifier: Apache-2.0
"""Drawing: colours that stay, boxes where they belong, captions inside the image."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from support.waiting import LIMIT_S

from isaac_inference.ops.drawing.boxes import class_color, draw_boxes, draw_caption

GRAY = 128
RED = (0, 0, 255)


def canvas(width=320, height=240):
    return np.full((height, width, 3), GRAY, np.uint8)


def touched(image):
    """(x0, y0, x1, y1) of what was drawn on, ends included."""
    rows, columns = np.nonzero((image != GRAY).any(axis=2))
    return columns.min(), rows.min(), columns.max(), rows.max()


def assert_color(image, x, y, name):
    """The pixel has the class's colour, a little of the background mixed in by smooth lines."""
    np.testing.assert_allclose(image[y, x].astype(int), class_color(name), atol=16)


def draw_one(image, box, name='cup', text='cup 0.90'):
    draw_boxes(image, np.array([box], np.float32), [name], [text])
    return image


def test_a_class_has_one_colour_in_every_process():
    code = (
        "from isaac_inference.ops.drawing.boxes import class_color; print(class_color('person'), class_color('Straße'))"
    )
    other = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=LIMIT_S)
    assert other.stdout.strip() == f'{class_color("person")} {class_color("Straße")}'


def test_classes_differ_in_colour_and_can_be_seen():
    colors = [class_color(name) for name in ('person', 'car', 'dog', 'class_0', 'class_1', 'class_10')]
    assert len(set(colors)) == len(colors)
    assert all(max(color) > 200 and all(0 <= channel <= 255 for channel in color) for color in colors)


def test_a_box_is_drawn_around_its_corners_in_its_class_s_colour():
    image = draw_one(canvas(), (100.4, 120.0, 199.6, 180.0))
    for x, y in ((100, 150), (200, 150), (150, 180)):
        assert_color(image, x, y, 'cup')
    assert (image[130:170, 110:190] == GRAY).all(), 'the inside stays as it is'


def test_a_rotated_box_is_drawn_along_its_edges():
    image = canvas()
    box = np.array([[100, 140, 200, 160]], np.float32)
    draw_boxes(image, box, ['cup'], [''], np.array([np.pi / 2]))
    for x, y in ((140, 150), (160, 150), (150, 200)):
        assert_color(image, x, y, 'cup')
    assert (image[145:155, 100:130] == GRAY).all(), 'where the upright box would be'


def test_every_box_is_drawn():
    image = canvas()
    draw_boxes(image, np.array([[10, 100, 60, 150], [200, 100, 250, 150]], np.float32), ['cup', 'can'], ['a', 'b'])
    assert_color(image, 10, 125, 'cup')
    assert_color(image, 200, 125, 'can')


def test_without_boxes_nothing_is_drawn():
    image = canvas()
    draw_boxes(image, np.empty((0, 4), np.float32), [], [])
    assert (image == GRAY).all()


@pytest.mark.parametrize(
    'box', [(-50, -50, 20, 20), (300, 200, 900, 900), (-10, 100, 330, 110), (5000, 5000, 6000, 6000)]
)
def test_a_box_may_lie_partly_or_wholly_outside(box):
    assert draw_one(canvas(), box).shape == (240, 320, 3)


def test_lines_are_thicker_on_larger_images():
    small, large = draw_one(canvas(), (100, 100, 200, 200)), draw_one(canvas(1920, 1440), (100, 100, 600, 600))
    assert (small[150, 90:110] != GRAY).any(axis=1).sum() < (large[350, 80:120] != GRAY).any(axis=1).sum()


def test_names_and_texts_must_match_the_boxes():
    with pytest.raises(ValueError, match='zip'):
        draw_boxes(canvas(), np.zeros((2, 4), np.float32), ['cup'], ['a', 'b'])


def test_a_caption_stands_above_its_anchor():
    image = canvas()
    draw_caption(image, 'cup 0.90', (100, 120), RED)
    x0, y0, _, y1 = touched(image)
    assert (x0, y1) == (100, 120)
    assert 90 < y0 < 115


def test_a_caption_without_room_above_stands_below():
    image = canvas()
    draw_caption(image, 'cup 0.90', (100, 3), RED)
    _, y0, _, y1 = touched(image)
    assert y0 >= 3
    assert y1 < 40


@pytest.mark.parametrize('anchor', [(0, 0), (319, 0), (0, 239), (319, 239), (-20, 100), (300, 100)])
def test_a_caption_stays_inside_the_image_from_side_to_side(anchor):
    whole, here = canvas(), canvas()
    draw_caption(whole, 'cup 0.90', (100, 120), RED)
    draw_caption(here, 'cup 0.90', anchor, RED)
    width = touched(whole)[2] - touched(whole)[0]
    assert touched(here)[2] - touched(here)[0] in (width - 1, width)


@pytest.mark.parametrize(('color', 'ink'), [((255, 255, 255), 0), ((200, 200, 200), 0), ((90, 0, 0), 255)])
def test_the_letters_stand_out_from_their_strip(color, ink):
    image = canvas()
    draw_caption(image, 'MMMM', (100, 120), color)
    x0, y0, x1, y1 = touched(image)
    strip = image[y0 : y1 + 1, x0 : x1 + 1]
    assert np.abs(strip.astype(int) - ink).min() < 60


@pytest.mark.parametrize('size', [(1, 1), (8, 6), (20, 200)])
def test_an_image_smaller_than_a_caption_takes_what_fits(size):
    image = draw_one(canvas(*size), (0, 0, size[0], size[1]))
    assert image.shape == (size[1], size[0], 3)
