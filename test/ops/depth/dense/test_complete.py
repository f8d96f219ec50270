# SPDX-License-Identifier: Apache-2.0
"""Filling holes: exact on planes, not across edges, nothing where nothing supports it; and on simulated faults."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.evaluation.depth.errors import depth_errors
from isaac_inference.ops.depth.dense.complete import CompletionSettings, complete_depth
from isaac_inference.sim.completion import completion_sample

GREY = np.full((60, 80, 3), 120, np.uint8)
ROWS, COLUMNS = np.mgrid[0:60, 0:80].astype(np.float32)


def test_a_slanted_plane_stays_a_plane() -> None:
    truth = 1.0 / (0.5 + 0.002 * COLUMNS + 0.001 * ROWS)  # of any plane the inverse depth is linear in the image
    measured = truth.copy()
    measured[20:36, 30:50] = np.nan
    measured[5, 5] = 0.0
    filled = complete_depth(measured, GREY)
    np.testing.assert_allclose(filled, truth, rtol=2e-3)
    np.testing.assert_array_equal(filled[:20], np.where(measured[:20] > 0, measured[:20], filled[:20]))


def two_surfaces() -> tuple[np.ndarray, np.ndarray]:
    """A near thing before a wall, each of its own colour."""
    truth, color = np.full((60, 80), 2.0, np.float32), GREY.copy()
    truth[:, 40:], color[:, 40:] = 1.0, (30, 60, 200)
    return truth, color


def test_a_hole_across_an_edge_is_filled_on_both_sides_of_it() -> None:
    truth, color = two_surfaces()
    measured = truth.copy()
    measured[20:40, 32:48] = np.nan
    filled = complete_depth(measured, color)
    known = np.isfinite(filled[20:40, 32:48])
    assert known.mean() > 0.7
    np.testing.assert_allclose(filled[20:40, 32:48][known], truth[20:40, 32:48][known], rtol=0.05)


def test_without_an_edge_in_the_image_what_lies_between_two_surfaces_stays_unknown() -> None:
    truth, _ = two_surfaces()
    measured = truth.copy()
    measured[20:40, 32:48] = np.nan
    filled = complete_depth(measured, GREY)
    assert np.isnan(filled[25:35, 38:42]).all()
    known = np.isfinite(filled)
    assert not ((filled[known] > 1.1) & (filled[known] < 1.85)).any()


def test_what_was_read_between_two_surfaces_is_filled_anew() -> None:
    truth, color = two_surfaces()
    measured = truth.copy()
    measured[:, 36:38] = 1.4
    filled = complete_depth(measured, color)
    np.testing.assert_allclose(filled[5:-5], truth[5:-5], rtol=0.05)
    kept = complete_depth(measured, color, CompletionSettings(refill_edges=False))
    np.testing.assert_array_equal(kept, measured)


def test_a_thing_that_no_reading_is_on_stays_unknown() -> None:
    color, measured = GREY.copy(), np.full((60, 80), 2.0, np.float32)
    color[24:36, 34:46], measured[22:38, 32:48] = (20, 20, 250), np.nan
    filled = complete_depth(measured, color)
    assert np.isnan(filled[27:33, 37:43]).all()
    assert np.isfinite(filled[22:38, 32]).all()


@pytest.mark.parametrize('reach', [3, 8])
def test_holes_are_filled_as_far_as_they_reach(reach: int) -> None:
    measured = np.full((60, 80), 2.0, np.float32)
    measured[10:50, 20:60] = np.nan
    filled = complete_depth(measured, GREY, CompletionSettings(max_reach=reach))
    assert (
        np.isfinite(filled[30, 20 : 20 + reach - 1]).all() and np.isnan(filled[30, 20 + reach + 1 : 59 - reach]).all()
    )


def test_images_of_all_or_nothing() -> None:
    whole, empty = np.full((60, 80), 2.0, np.float32), np.full((60, 80), np.nan, np.float32)
    np.testing.assert_array_equal(complete_depth(whole, GREY), whole)
    assert np.isnan(complete_depth(empty, GREY)).all()
    assert np.isnan(complete_depth(np.zeros_like(empty), GREY)).all()
    odd = np.full((7, 5), 1.0, np.float32)
    odd[3, 2] = np.nan
    np.testing.assert_allclose(complete_depth(odd, np.zeros((7, 5, 3), np.uint8)), 1.0, rtol=1e-5)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(FrameError, match='80x60 pixels, the image 80x59') as error:
        complete_depth(np.ones((60, 80), np.float32), GREY[1:])
    assert error.value.reason == 'completion_size'
    with pytest.raises(ConfigError):
        CompletionSettings(max_reach=0)


def test_simulated_faults_are_mended() -> None:
    """Seeds that nothing was chosen on; the camera's scale alone is off by 0.5 %."""
    found, read = [], []
    for seed in range(7800, 7806):
        sample = completion_sample(seed)
        filled = complete_depth(sample.measured, sample.color)
        holes = np.isnan(sample.measured) & np.isfinite(sample.truth)
        found.append((depth_errors(filled, sample.truth, holes), depth_errors(filled, sample.truth)))
        read.append(depth_errors(sample.measured, sample.truth))
    assert np.mean([hole.abs_rel for hole, _ in found]) < 0.012
    assert np.mean([hole.completeness for hole, _ in found]) > 0.65
    assert np.mean([every.rmse for _, every in found]) < 0.5 * np.mean([every.rmse for every in read])
    assert np.mean([every.abs_rel for _, every in found]) < np.mean([every.abs_rel for every in read])
