# SPDX-License-Identifier: Apache-2.0
"""Crops: what each pixel of the input shows, whatever the box, and what is beyond the image."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.image.crop import crop_into, crop_of
from isaac_inference.ops.image.letterbox import Letterbox, new_canvas
from isaac_inference.ops.image.options import Interpolation

SOURCE = (200, 120)  # width, height
INPUT = (48, 64)
BOXES = {
    'inside': (40.0, 20.0, 70.5, 80.25),
    'at the left': (0.0, 30.0, 21.0, 70.0),
    'at the bottom right': (170.0, 90.0, 200.0, 120.0),
    'tiny': (100.25, 50.5, 101.5, 53.0),
    'flat': (10.0, 50.0, 190.0, 53.0),
    'high': (90.0, 0.0, 94.0, 120.0),
    'whole': (0.0, 0.0, 200.0, 120.0),
    'huge': (-300.0, -200.0, 500.0, 330.0),
}


def ramp(axis: int) -> np.ndarray:
    """An image whose value is the x or y of its pixels' centres, doubled: exact between them."""
    rows, columns = np.mgrid[: SOURCE[1], : SOURCE[0]]
    return np.repeat((columns if axis == 0 else rows)[..., None], 3, axis=2).astype(np.uint8)


def centers(crop: Letterbox) -> tuple[np.ndarray, np.ndarray]:
    """Where in the source the centres of the input's pixels are: x and y, from edges."""
    rows, columns = np.mgrid[: INPUT[1], : INPUT[0]]
    places = crop.points_to_source(np.stack((columns, rows), axis=-1) + 0.5)
    return places[..., 0], places[..., 1]


@pytest.mark.parametrize('box', BOXES.values(), ids=BOXES)
@pytest.mark.parametrize('interpolation', [Interpolation.LINEAR, Interpolation.CUBIC, Interpolation.AREA])
@pytest.mark.parametrize('axis', [0, 1])
def test_a_pixel_shows_what_the_geometry_says(box, interpolation, axis):
    crop = crop_of(box, SOURCE, INPUT, 1.25)
    canvas = new_canvas(INPUT, 0)
    crop_into(ramp(axis), crop, canvas, 7, interpolation)
    x, y = centers(crop)
    reach = max(2.0, 1.0 / crop.scale_xy[0])  # px of the source that a pixel of the input mixes
    inside = (x > reach) & (x < SOURCE[0] - reach) & (y > reach) & (y < SOURCE[1] - reach)
    assert inside.any()
    shown = canvas[..., 0].astype(float) + 0.5
    rounded = 1.1 if interpolation is Interpolation.AREA else 0.6  # values are whole numbers, of means once more
    assert np.abs(shown - (x, y)[axis])[inside].max() <= rounded


@pytest.mark.parametrize('box', BOXES.values(), ids=BOXES)
def test_beyond_the_image_there_is_padding(box):
    crop = crop_of(box, SOURCE, INPUT, 1.25)
    canvas = new_canvas(INPUT, 0)
    crop_into(np.full((SOURCE[1], SOURCE[0], 3), 200, np.uint8), crop, canvas, 7)
    x, y = centers(crop)
    reach = 1.0 / crop.scale_xy[0]
    far = (x < -reach) | (x > SOURCE[0] + reach) | (y < -reach) | (y > SOURCE[1] + reach)
    well_inside = (x > 1) & (x < SOURCE[0] - 1) & (y > 1) & (y < SOURCE[1] - 1)
    assert (canvas[far] == 7).all()
    assert (canvas[well_inside] == 200).all()


@pytest.mark.parametrize('box', BOXES.values(), ids=BOXES)
@pytest.mark.parametrize('enlarged', [1.0, 1.25, 2.0])
def test_a_crop_keeps_the_aspect_ratio_holds_the_box_and_is_centred_on_it(box, enlarged):
    crop = crop_of(box, SOURCE, INPUT, enlarged)
    assert crop.scale_xy[0] == crop.scale_xy[1]
    (x0, y0), (x1, y1) = crop.points_to_source(np.array([(0.0, 0.0), INPUT]))
    sides = np.array([x1 - x0, y1 - y0])
    wanted = np.array([box[2] - box[0], box[3] - box[1]]) * enlarged
    assert (sides >= wanted - 1e-9).all()
    assert np.isclose(sides, wanted).any()  # no larger than that needs
    np.testing.assert_allclose([(x0 + x1) / 2, (y0 + y1) / 2], [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])


def test_it_travels_as_a_letterbox():
    crop = crop_of(BOXES['at the bottom right'], SOURCE, INPUT, 1.25)
    assert Letterbox.from_array(crop.to_array()) == crop


def test_points_come_back_exactly():
    rng = np.random.default_rng(7)
    for box in BOXES.values():
        crop = crop_of(box, SOURCE, INPUT, 1.25)
        points = rng.uniform(-50, 250, (40, 2))
        np.testing.assert_allclose(crop.points_to_source(crop.points_to_input(points)), points, atol=1e-9)


def test_shrinking_by_area_averages():
    """A fine checkerboard is gray from afar; without averaging it is whatever pixel is met."""
    rows, columns = np.mgrid[:1024, :1024]
    board = np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    crop, canvas = crop_of((0, 0, 1024, 1024), (1024, 1024), (64, 64)), new_canvas((64, 64), 0)
    crop_into(board, crop, canvas, 7, Interpolation.AREA)
    assert np.abs(canvas[2:-2, 2:-2].astype(int) - 127).max() <= 1


def test_rows_may_be_padded():
    wide = np.random.default_rng(3).integers(0, 255, (SOURCE[1], SOURCE[0] + 13, 3), np.uint8)
    crop = crop_of(BOXES['inside'], SOURCE, INPUT)
    one, other = new_canvas(INPUT, 0), new_canvas(INPUT, 0)
    crop_into(wide[:, : SOURCE[0]], crop, one, 7)
    crop_into(wide[:, : SOURCE[0]].copy(), crop, other, 7)
    assert (one == other).all()


def test_a_part_of_an_image_beyond_opencv_s_limit():
    """OpenCV transforms images of up to 32767 px a side; a crop looks at its part alone."""
    image = np.full((8, 40000, 3), 50, np.uint8)
    image[:, 39900:] = 200
    canvas = new_canvas(INPUT, 0)
    crop_into(image, crop_of((39950, 0, 39956, 8), (40000, 8), INPUT), canvas, 7)
    assert (canvas == 200).any() and not (canvas == 50).any()


@pytest.mark.parametrize(
    'box',
    [
        (200.0, 10.0, 220.0, 40.0),
        (-30.0, 10.0, 0.0, 40.0),
        (10.0, 120.0, 20.0, 140.0),
        (10.0, 10.0, 10.0, 20.0),
        (20.0, 10.0, 10.0, 20.0),
        (float('nan'), 0.0, 10.0, 10.0),
        (0.0, 0.0, float('inf'), 10.0),
    ],
    ids=['right', 'left', 'below', 'no width', 'turned', 'nan', 'infinite'],
)
def test_what_shows_nothing_is_refused(box):
    with pytest.raises(FrameError, match=r'box \(.*shows nothing of an image of 200x120 px') as caught:
        crop_of(box, SOURCE, INPUT)
    assert caught.value.reason == 'empty_crop'


@pytest.mark.parametrize('enlarged', [0.0, -1.0, float('nan'), float('inf')])
def test_a_factor_that_is_none_is_refused(enlarged):
    with pytest.raises(ConfigError, match=r'enlarged: got .*expected a factor above 0'):
        crop_of(BOXES['inside'], SOURCE, INPUT, enlarged)
