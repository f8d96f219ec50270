# SPDX-License-Identifier: Apache-2.0
"""Scenes whose depth has holes: as exact as they say, and the holes are where a depth camera has them."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.sim.completion import completion_sample
from isaac_inference.sim.depth_scenes import NO_FAULTS


@pytest.mark.parametrize('seed', range(7820, 7824))
def test_what_is_read_is_near_the_truth_and_some_is_missing(seed: int) -> None:
    sample = completion_sample(seed)
    holes = np.isnan(sample.measured)
    assert 0.02 < holes.mean() < 0.3
    off = np.abs(sample.measured - sample.truth) / sample.truth
    assert np.nanmedian(off) < 0.02
    assert sample.color.shape == (480, 640, 3) and np.isfinite(sample.truth).mean() > 0.9


def test_without_faults_only_patches_are_missing() -> None:
    sample = completion_sample(7830, faults=NO_FAULTS)
    known = np.isfinite(sample.measured)
    np.testing.assert_allclose(sample.measured[known], sample.truth[known], rtol=1e-5)


def test_equal_arguments_make_equal_samples() -> None:
    first, again = completion_sample(7831), completion_sample(7831)
    np.testing.assert_array_equal(first.measured, again.measured)
    np.testing.assert_array_equal(first.color, again.color)
