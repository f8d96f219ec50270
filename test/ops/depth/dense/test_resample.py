# SPDX-License-Identifier: Apache-2.0
"""The way from a network's map to the source image against a bilinear written out, in float64."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.dense.resample import depth_to_input, to_source, to_source_with_steps
from isaac_inference.ops.image.letterbox import Letterbox


def written_out(values: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    """Each source pixel's centre, its place in the map, and the four numbers around it inside the picture."""
    height, width = values.shape
    (x0, x1, left, right), (y0, y1, top, bottom) = letterbox.axes
    found = np.full(letterbox.source_wh[::-1], np.nan)
    per_x, per_y = width / letterbox.input_wh[0], height / letterbox.input_wh[1]
    low_x, high_x = int(left * per_x), int(np.ceil(right * per_x)) - 1
    low_y, high_y = int(top * per_y), int(np.ceil(bottom * per_y)) - 1
    for row in range(y0, y1):
        y = min(max((top + (row - y0 + 0.5) * (bottom - top) / (y1 - y0)) * per_y - 0.5, low_y), high_y)
        for column in range(x0, x1):
            x = min(max((left + (column - x0 + 0.5) * (right - left) / (x1 - x0)) * per_x - 0.5, low_x), high_x)
            i, j = int(y), int(x)
            k, m = min(i + 1, high_y), min(j + 1, high_x)
            top_row = values[i, j] + (values[i, m] - values[i, j]) * (x - j)
            bottom_row = values[k, j] + (values[k, m] - values[k, j]) * (x - j)
            found[row, column] = top_row + (bottom_row - top_row) * (y - i)
    return found


@pytest.mark.parametrize('fit', ['letterbox', 'stretch', 'crop'])
@pytest.mark.parametrize('anchor', ['center', 'top_left'])
@pytest.mark.parametrize('source_wh', [(50, 37), (37, 50), (120, 40), (16, 12)])
@pytest.mark.parametrize('cells', [(32, 24), (16, 12), (64, 48), (8, 6)])
def test_it_is_the_bilinear_written_out(
    source_wh: tuple[int, int], cells: tuple[int, int], fit: str, anchor: str
) -> None:
    values = np.random.default_rng(3).normal(5.0, 2.0, cells[::-1]).astype(np.float32)
    letterbox = Letterbox.between(source_wh, (32, 24), fit, anchor)
    found = to_source(values, letterbox)
    assert found.dtype == np.float32 and found.shape == source_wh[::-1]
    np.testing.assert_allclose(found, written_out(values, letterbox), rtol=0, atol=1e-4 * np.ptp(values))


def test_padding_never_mixes_in() -> None:
    letterbox = Letterbox.between((640, 200), (64, 64))
    values = np.full((64, 64), 1e6, np.float32)
    values[letterbox.region] = 1.0
    assert (to_source(values, letterbox) == 1.0).all()


def test_what_was_cropped_away_is_unknown() -> None:
    found = to_source(np.ones((32, 32), np.float32), Letterbox.between((100, 50), (32, 32), 'crop'))
    assert np.isnan(found[:, :25]).all() and np.isnan(found[:, 75:]).all() and (found[:, 25:75] == 1.0).all()


def test_other_proportions_are_refused() -> None:
    with pytest.raises(FrameError, match='got 24x32 numbers for an input of 32x24') as error:
        to_source(np.ones((32, 24), np.float32), Letterbox.between((50, 37), (32, 24)))
    assert error.value.reason == 'bad_output_shape'


def test_steps_stay_and_slopes_are_smooth() -> None:
    values = np.tile(np.linspace(2.0, 2.2, 20, dtype=np.float32), (10, 1))
    values[:, 10:] += 3.0
    letterbox = Letterbox.between((100, 50), (20, 10))
    found = to_source_with_steps(values, letterbox, relative=0.06)
    assert not ((found > 2.2) & (found < 5.1)).any()
    np.testing.assert_array_equal(found[:, :40], to_source(values, letterbox)[:, :40])
    assert len(np.unique(found[25, :40])) > 30


def test_unknown_numbers_do_not_spread() -> None:
    values = np.ones((10, 20), np.float32)
    values[5, 7] = np.nan
    found = to_source_with_steps(values, Letterbox.between((40, 20), (20, 10)), relative=0.06)
    np.testing.assert_array_equal(np.argwhere(np.isnan(found)), [[10, 14], [10, 15], [11, 14], [11, 15]])


def test_depth_on_the_input_is_padded_with_nothing() -> None:
    depth = np.arange(1.0, 33.0, dtype=np.float32).reshape(4, 8)
    made = depth_to_input(depth, Letterbox.between((8, 4), (8, 8)))
    np.testing.assert_array_equal(made[2:6], depth)
    assert np.isnan(made[:2]).all() and np.isnan(made[6:]).all()
    with pytest.raises(FrameError) as error:
        depth_to_input(depth, Letterbox.between((8, 8), (8, 8)))
    assert error.value.reason == 'bad_letterbox'


def test_depth_that_is_made_larger_stays_in_its_cells() -> None:
    depth = np.array([[1.0, 2.0], [np.nan, 4.0]], np.float32)
    made = depth_to_input(depth, Letterbox.between((2, 2), (6, 6)))
    np.testing.assert_array_equal(made, np.kron(depth, np.ones((3, 3), np.float32)))
