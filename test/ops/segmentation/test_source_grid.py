# SPDX-License-Identifier: Apache-2.0
"""From the network's cells to source pixels, against the definition, pixel by pixel, and against OpenCV."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.segmentation.bilinear import best_upsampled
from isaac_inference.ops.segmentation.source_grid import source_grid

FILL = 255
SIDES = st.integers(1, 60)


def cell_of(pixel, letterbox, axis, cells):
    """Where a source pixel's centre lies, in cells; None where the network did not see it."""
    begin, end, left, right = letterbox.axes[axis]
    if not begin <= pixel < end:
        return None
    on_input = left + (pixel - begin + 0.5) * (right - left) / (end - begin)
    return on_input * cells / letterbox.input_wh[axis]


@settings(deadline=None, max_examples=150)
@given(
    source=st.tuples(SIDES, SIDES),
    network=st.tuples(SIDES, SIDES),
    stride=st.sampled_from([1, 2, 4]),
    fit=st.sampled_from(['letterbox', 'stretch', 'crop']),
    anchor=st.sampled_from(['center', 'top_left']),
)
def test_each_pixel_has_the_value_of_the_cell_that_its_centre_lies_in(source, network, stride, fit, anchor):
    letterbox = Letterbox.between(source, (network[0] * stride, network[1] * stride), fit, anchor)
    width, height = network
    cells = np.arange(width * height, dtype=np.uint16).reshape(height, width)
    found = source_grid(letterbox, network).nearest(cells, 65535)
    assert found.shape == source[::-1]
    for y in range(0, source[1], 7):
        for x in range(0, source[0], 7):
            u, v = (cell_of(pixel, letterbox, axis, network[axis]) for axis, pixel in enumerate((x, y)))
            if u is None or v is None:
                assert found[y, x] == 65535
            elif min(abs(u - round(u)), abs(v - round(v))) > 1e-9:  # on the border of two cells either is right
                assert found[y, x] == cells[math.floor(v), math.floor(u)]


def test_padding_is_in_no_pixel():
    letterbox = Letterbox.between((100, 40), (64, 64))
    cells = np.full((64, 64), 9, np.uint8)
    cells[letterbox.region] = 1
    assert (source_grid(letterbox, (64, 64)).nearest(cells, FILL) == 1).all()


def test_what_was_cropped_away_is_unlabelled():
    letterbox = Letterbox.between((200, 100), (50, 50), 'crop')
    found = source_grid(letterbox, (50, 50)).nearest(np.ones((50, 50), np.uint8), FILL)
    assert (found[:, 50:150] == 1).all()
    assert (found[:, :50] == FILL).all()
    assert (found[:, 150:] == FILL).all()


@pytest.mark.parametrize('output', [(32, 64), (64, 16), (1, 64)])
def test_an_output_of_other_proportions_is_refused(output):
    with pytest.raises(FrameError, match='expected the same proportions') as caught:
        source_grid(Letterbox.between((640, 480), (64, 64)), output)
    assert caught.value.reason == 'bad_output_shape'


@pytest.mark.parametrize('output', [(33, 24), (32, 25), (65, 49), (1, 1), (128, 96)])
def test_rounded_sides_are_the_same_proportions(output):
    source_grid(Letterbox.between((640, 480), (256, 192)), output)


def test_a_letterbox_that_shows_nothing_is_refused():
    letterbox = Letterbox((10, 10), (64, 64), (0.01, 0.01), (3.0, 3.0))
    with pytest.raises(FrameError) as caught:
        source_grid(letterbox, (64, 64))
    assert caught.value.reason == 'bad_letterbox'


@pytest.mark.parametrize('fit', ['letterbox', 'stretch', 'crop'])
@pytest.mark.parametrize('source', [(320, 180), (61, 90), (33, 20), (500, 500)])
def test_bilinear_is_the_argmax_of_scores_that_opencv_upsampled(source, fit):
    rng = np.random.default_rng(5)
    letterbox = Letterbox.between(source, (64, 48), fit)
    planes = rng.standard_normal((6, 48, 64)).astype(np.float32)
    planes = np.stack([cv2.GaussianBlur(plane, (0, 0), 2) for plane in planes])
    grid = source_grid(letterbox, (64, 48))
    found = best_upsampled(planes, planes.argmax(axis=0).astype(np.uint8), grid, FILL)
    (x0, x1, *_), (y0, y1, *_) = letterbox.axes
    rows, columns = letterbox.region
    size = (x1 - x0, y1 - y0)
    shown = [np.ascontiguousarray(plane[rows, columns]) for plane in planes]
    truth = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in shown]).argmax(axis=0)
    assert (found[y0:y1, x0:x1] == truth).mean() > 0.9999
    assert np.count_nonzero(found == FILL) == source[0] * source[1] - size[0] * size[1]


def test_bilinear_of_one_row_and_one_column():
    for shape in ((2, 1, 5), (2, 5, 1), (2, 1, 1)):
        planes = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
        wh = (shape[2], shape[1])
        grid = source_grid(Letterbox.between((40, 40), wh, 'stretch'), wh)
        found = best_upsampled(planes, planes.argmax(axis=0).astype(np.uint8), grid, FILL)
        truth = np.stack([cv2.resize(plane, (40, 40), interpolation=cv2.INTER_LINEAR) for plane in planes])
        assert (found == truth.argmax(axis=0)).mean() > 0.99
