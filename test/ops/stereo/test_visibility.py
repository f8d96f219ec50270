# SPDX-License-Identifier: Apache-2.0
"""What the right camera cannot see, by the disparities of the left one."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.stereo.visibility import hidden_in_right
from isaac_inference.sim.stereo import stereo_sample


@pytest.mark.parametrize('seed', [7800, 7801, 7802])
def test_true_disparities_show_what_is_hidden(seed: int) -> None:
    sample = stereo_sample(seed)
    known = np.isfinite(sample.disparity)
    hidden = hidden_in_right(sample.disparity)
    truly = known & ~sample.visible
    assert truly.mean() > 0.03
    assert (hidden & truly).sum() > 0.95 * truly.sum()
    assert (hidden & sample.visible).sum() < 0.002 * sample.visible.sum()
    assert not hidden[~known].any()


def test_matches_outside_of_the_right_image_are_hidden() -> None:
    disparity = np.full((4, 10), 3.0, np.float32)
    np.testing.assert_array_equal(hidden_in_right(disparity), np.arange(10)[None].repeat(4, 0) < 3)
    np.testing.assert_array_equal(hidden_in_right(-disparity), np.arange(10)[None].repeat(4, 0) > 6)


def test_a_surface_that_recedes_steeply_hides_nothing_of_itself() -> None:
    steep = (40.0 - 0.6 * np.arange(60, dtype=np.float32))[None].repeat(3, 0)
    assert not hidden_in_right(steep)[:, 45:].any()


def test_nothing_known_is_nothing_hidden() -> None:
    assert not hidden_in_right(np.full((5, 6), np.nan, np.float32)).any()
