# SPDX-License-Identifier: Apache-2.0
"""Fitting an image into the input, and the way back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.image.letterbox import Letterbox, new_canvas, resize_into
from isaac_inference.ops.image.options import Anchor, Fit, Rounding

SIZES = [(640, 640), (1280, 720), (720, 1280), (1920, 1080), (641, 479), (333, 777), (1, 1), (3, 2000)]
side = st.integers(1, 3000)
letterboxes = st.builds(
    Letterbox.between,
    st.tuples(side, side),
    st.tuples(st.integers(1, 1000), st.integers(1, 1000)),
    st.sampled_from(Fit),
    st.sampled_from(Anchor),
    st.sampled_from(Rounding),
)


def gradient(width: int, height: int) -> np.ndarray:
    """An image whose first two channels say where a pixel is, in parts of the side."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, width)[None, :]
    image[..., 1] = np.linspace(0, 255, height)[:, None]
    return image


@pytest.mark.parametrize(
    ('source', 'fit', 'anchor', 'scale', 'offset'),
    [
        ((640, 640), 'letterbox', 'center', (1, 1), (0, 0)),
        ((1280, 720), 'letterbox', 'center', (0.5, 0.5), (0, 140)),
        ((720, 1280), 'letterbox', 'center', (0.5, 0.5), (140, 0)),
        ((1280, 720), 'letterbox', 'top_left', (0.5, 0.5), (0, 0)),
        ((320, 160), 'letterbox', 'center', (2, 2), (0, 160)),  # scales up as well
        ((1280, 720), 'stretch', 'center', (0.5, 640 / 720), (0, 0)),
        ((1280, 640), 'crop', 'center', (1, 1), (-320, 0)),
        ((640, 1280), 'crop', 'center', (1, 1), (0, -320)),
        ((1280, 640), 'crop', 'top_left', (1, 1), (0, 0)),
        ((2560, 1280), 'crop', 'center', (0.5, 0.5), (-320, 0)),
    ],
)
def test_scale_and_offset(
    source: tuple[int, int], fit: str, anchor: str, scale: tuple[float, float], offset: tuple[float, float]
) -> None:
    letterbox = Letterbox.between(source, (640, 640), fit, anchor)
    assert letterbox.scale_xy == pytest.approx(scale)
    assert letterbox.offset_xy == pytest.approx(offset)


@pytest.mark.parametrize(
    ('source', 'rounding', 'resized', 'offset'),
    [
        # 640 / 1000 * 333 = 213.12: both give 213, and the odd pixel of padding goes to the bottom
        ((1000, 333), Rounding.FLOOR, (640, 213), (0, 213)),
        ((1000, 333), Rounding.NEAREST, (640, 213), (0, 213)),
        # 640 / 1000 * 334 = 213.76
        ((1000, 334), Rounding.FLOOR, (640, 213), (0, 213)),
        ((1000, 334), Rounding.NEAREST, (640, 214), (0, 213)),
        # 640 / 2000 * 1 = 0.32: at least one pixel
        ((2000, 1), Rounding.FLOOR, (640, 1), (0, 319)),
    ],
)
def test_rounding(
    source: tuple[int, int], rounding: Rounding, resized: tuple[int, int], offset: tuple[float, float]
) -> None:
    letterbox = Letterbox.between(source, (640, 640), rounding=rounding)
    assert letterbox.resized_wh == resized
    assert letterbox.offset_xy == offset


@pytest.mark.parametrize('source', SIZES)
@pytest.mark.parametrize('rounding', Rounding)
@pytest.mark.parametrize('input_wh', [(640, 640), (416, 416), (960, 544), (640, 480)])
def test_letterbox_size_follows_the_training_frameworks(
    source: tuple[int, int], rounding: Rounding, input_wh: tuple[int, int]
) -> None:
    ratio = min(input_wh[0] / source[0], input_wh[1] / source[1])
    to_whole = int if rounding is Rounding.FLOOR else round
    expected = tuple(max(1, to_whole(length * ratio)) for length in source)
    letterbox = Letterbox.between(source, input_wh, rounding=rounding)
    assert letterbox.resized_wh == expected
    padding = [(room - length) / 2 for room, length in zip(input_wh, expected, strict=True)]
    assert letterbox.offset_xy == tuple(round(pad - 0.1) for pad in padding)


@pytest.mark.parametrize('source', SIZES)
@pytest.mark.parametrize('fit', Fit)
@pytest.mark.parametrize('rounding', Rounding)
def test_boxes_come_back(source: tuple[int, int], fit: Fit, rounding: Rounding) -> None:
    letterbox = Letterbox.between(source, (640, 640), fit, rounding=rounding)
    corners = np.array([[0, 0], [source[0] / 3, source[1] / 5], [source[0] / 2, source[1] / 2], source], np.float32)
    boxes = np.concatenate((corners[:-1], corners[1:]), axis=1)
    on_input = letterbox.points_to_input(boxes.reshape(-1, 2)).reshape(-1, 4)
    np.testing.assert_allclose(letterbox.boxes_to_source(on_input), boxes, atol=0.01)


@given(letterbox=letterboxes, x=st.floats(-1, 2), y=st.floats(-1, 2))
def test_points_come_back(letterbox: Letterbox, x: float, y: float) -> None:
    points = np.array([[x * letterbox.source_wh[0], y * letterbox.source_wh[1]]])
    np.testing.assert_allclose(letterbox.points_to_source(letterbox.points_to_input(points)), points, atol=1e-6)


@given(letterbox=letterboxes)
def test_image_lies_inside_the_input(letterbox: Letterbox) -> None:
    begin = letterbox.points_to_input(np.zeros(2))
    end = letterbox.points_to_input(np.array(letterbox.source_wh, np.float64))
    shown = np.minimum(end, letterbox.input_wh) - np.maximum(begin, 0)
    np.testing.assert_allclose(shown, letterbox.resized_wh, atol=1e-6)
    assert min(letterbox.resized_wh) >= 1
    assert min(letterbox.scale_xy) > 0


@given(letterbox=letterboxes)
def test_array_round_trip(letterbox: Letterbox) -> None:
    assert Letterbox.from_array(letterbox.to_array()) == letterbox


@given(source=st.tuples(side, side), anchor=st.sampled_from(Anchor))
def test_a_mirrored_size_gives_a_mirrored_letterbox(source: tuple[int, int], anchor: Anchor) -> None:
    for fit in Fit:
        letterbox = Letterbox.between(source, (320, 320), fit, anchor)
        mirrored = Letterbox.between(source[::-1], (320, 320), fit, anchor)
        assert letterbox.scale_xy == mirrored.scale_xy[::-1]
        assert letterbox.offset_xy == mirrored.offset_xy[::-1]


@pytest.mark.parametrize(
    ('box', 'expected'),
    [
        ([0, 140, 640, 500], [0, 0, 1280, 720]),  # the whole image
        ([-10, 100, 700, 600], [0, 0, 1280, 720]),  # beyond it: clipped
        ([10, 0, 20, 100], [20, 0, 40, 0]),  # in the padding: no area is left
    ],
)
def test_boxes_are_clipped(box: list[float], expected: list[float]) -> None:
    letterbox = Letterbox.between((1280, 720), (640, 640))
    boxes = np.array([box], np.float32)
    assert letterbox.boxes_to_source(boxes).tolist() == [expected]
    assert letterbox.boxes_to_source(boxes).dtype == np.float32
    np.testing.assert_allclose(letterbox.boxes_to_source(boxes, clip=False), (boxes - [0, 140, 0, 140]) * 2)


def test_no_boxes() -> None:
    letterbox = Letterbox.between((1280, 720), (640, 640))
    assert letterbox.boxes_to_source(np.zeros((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize('fit', Fit)
@pytest.mark.parametrize('size', [(320, 240), (200, 301), (97, 400)])
def test_pixels_are_where_the_letterbox_says(fit: Fit, size: tuple[int, int]) -> None:
    letterbox = Letterbox.between(size, (256, 192), fit)
    canvas = new_canvas((256, 192), 0)
    resize_into(gradient(*size), letterbox, canvas)
    width, height = letterbox.resized_wh
    left, top = (max(0, int(offset)) for offset in letterbox.offset_xy)
    for column, row in [
        (width // 4, height // 4),
        (width // 2, height // 2),
        (width * 3 // 4, height * 2 // 3),
    ]:
        pixel = canvas[top + row, left + column].astype(float)
        x, y = letterbox.points_to_source(np.array([left + column + 0.5, top + row + 0.5]))
        expected = (x - 0.5) / (size[0] - 1) * 255, (y - 0.5) / (size[1] - 1) * 255
        assert pixel[:2] == pytest.approx(expected, abs=2)


def test_resize_into_is_the_bare_resize_and_leaves_the_padding() -> None:
    image = np.random.default_rng(0).integers(0, 256, (72, 128, 3), np.uint8)
    canvas = new_canvas((64, 64), (1, 2, 3))
    resize_into(image, Letterbox.between((128, 72), (64, 64)), canvas)
    np.testing.assert_array_equal(canvas[14:50], cv2.resize(image, (64, 36)))
    assert (canvas[:14] == (1, 2, 3)).all()
    assert (canvas[50:] == (1, 2, 3)).all()


def test_crop_is_the_bare_resize_of_the_middle() -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 300, 3), np.uint8)
    canvas = new_canvas((64, 64), 0)
    resize_into(image, Letterbox.between((300, 100), (64, 64), Fit.CROP), canvas)
    np.testing.assert_array_equal(canvas, cv2.resize(image[:, 100:200], (64, 64)))


def test_rows_may_be_padded_and_read_only() -> None:
    padded = np.random.default_rng(0).integers(0, 256, (40, 100, 3), np.uint8)
    padded.setflags(write=False)
    image = padded[:, :70]
    letterbox = Letterbox.between((70, 40), (32, 32))
    canvas, expected = new_canvas((32, 32), 0), new_canvas((32, 32), 0)
    resize_into(image, letterbox, canvas)
    resize_into(image.copy(), letterbox, expected)
    np.testing.assert_array_equal(canvas, expected)


@settings(max_examples=60)
@given(letterbox=letterboxes.filter(lambda letterbox: 1 < letterbox.source_wh[0] * letterbox.source_wh[1] < 200_000))
def test_resize_into_fills_just_its_region(letterbox: Letterbox) -> None:
    assume(letterbox.resized_wh != (1, 1))  # OpenCV 4.5 takes no single pixels
    canvas = new_canvas(letterbox.input_wh, 7)
    resize_into(np.full((letterbox.source_wh[1], letterbox.source_wh[0], 3), 200, np.uint8), letterbox, canvas)
    assert set(np.unique(canvas)) <= {7, 200}
    assert np.count_nonzero(canvas[..., 0] == 200) == letterbox.resized_wh[0] * letterbox.resized_wh[1]


@pytest.mark.parametrize('source', [(0, 480), (640, 0), (0, 0), (-1, 5)])
def test_zero_size_image(source: tuple[int, int]) -> None:
    with pytest.raises(FrameError, match=f'got {source[0]}x{source[1]} pixels, expected 1x1 or more') as caught:
        Letterbox.between(source, (640, 640))
    assert caught.value.reason == 'zero_size_image'


@pytest.mark.parametrize(
    ('options', 'error'),
    [
        ({'input_wh': (0, 640)}, r'input_wh: got \(0, 640\)'),
        ({'input_wh': (640, 640), 'fit': 'pad'}, "fit: got 'pad', expected one of letterbox, stretch, crop"),
        ({'input_wh': (640, 640), 'anchor': 'left'}, "anchor: got 'left', expected one of center, top_left"),
        ({'input_wh': (640, 640), 'rounding': 'up'}, "rounding: got 'up', expected one of floor, nearest"),
    ],
)
def test_wrong_options(options: dict, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        Letterbox.between((640, 480), **options)


GOOD = [1280.0, 720.0, 640.0, 640.0, 0.5, 0.5, 0.0, 140.0]


@pytest.mark.parametrize(
    ('array', 'error'),
    [
        (np.zeros(0), r'got float64 \(0,\), expected eight numbers'),
        (np.array(GOOD[:7]), r'got float64 \(7,\)'),
        (np.array([GOOD]), r'got float64 \(1, 8\)'),
        (np.array(GOOD).astype(str), 'expected eight numbers'),
        (np.array([*GOOD[:7], np.nan]), 'expected finite numbers'),
        (np.array([*GOOD[:4], np.inf, 0.5, 0, 0]), 'expected finite numbers'),
        (np.array([0, *GOOD[1:]]), 'got sizes'),
        (np.array([1280.5, *GOOD[1:]]), 'expected whole numbers of at least 1 pixel'),
        (np.array([*GOOD[:4], 0.0, 0.5, 0, 0]), 'expected more than 0'),
        (np.array([*GOOD[:4], 0.5, -0.5, 0, 0]), 'expected more than 0'),
        (np.array([*GOOD[:6], 640.0, 0.0]), 'outside the input'),
        (np.array([*GOOD[:6], 0.0, -360.0]), 'outside the input'),
    ],
)
def test_bad_arrays(array: np.ndarray, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        Letterbox.from_array(array)
    assert caught.value.reason == 'bad_letterbox'


@pytest.mark.parametrize(
    ('image', 'canvas', 'error'),
    [
        (np.zeros((71, 128, 3), np.uint8), new_canvas((64, 64), 0), 'image: got uint8'),
        (np.zeros((72, 128), np.uint8), new_canvas((64, 64), 0), r'image: got uint8 \(72, 128\)'),
        (np.zeros((72, 128, 3), np.float32), new_canvas((64, 64), 0), 'image: got float32'),
        (np.zeros((72, 128, 3), np.uint8), new_canvas((64, 32), 0), 'canvas: got uint8'),
    ],
)
def test_letterbox_of_another_size(image: np.ndarray, canvas: np.ndarray, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        resize_into(image, Letterbox.between((128, 72), (64, 64)), canvas)
    assert caught.value.reason == 'bad_letterbox'
