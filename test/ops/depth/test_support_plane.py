# SPDX-License-Identifier: Apache-2.0
"""The plane that an object stands on."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.depth.support_plane import support_plane

SETTINGS = DepthSettings()
NORMAL = np.array((0.0, -0.6, -0.8))


def table(count: int, sigma: float, seed: int = 0) -> np.ndarray:
    """(count, 3) points of a plane 0.7 m away, with noise across it."""
    rng = np.random.default_rng(seed)
    first, second = np.array((1.0, 0.0, 0.0)), np.cross(NORMAL, (1.0, 0.0, 0.0))
    flat = rng.uniform(-0.3, 0.3, (count, 2))
    return -0.7 * NORMAL + flat[:, :1] * first + flat[:, 1:] * second + rng.normal(0.0, sigma, (count, 1)) * NORMAL


@pytest.mark.parametrize('other', [0.0, 0.4, 0.6])
def test_it_is_found_among_what_else_is_around(other: float) -> None:
    points = table(2000, 0.001)
    clutter = np.random.default_rng(1).uniform((-0.3, -0.3, 0.4), (0.3, 0.3, 0.6), (int(2000 * other / (1 - other)), 3))
    mixed = np.random.default_rng(2).permutation(np.concatenate((points, clutter)))
    plane = support_plane(mixed, SETTINGS)
    assert plane is not None
    assert plane.normal @ NORMAL > np.cos(np.radians(1.0))
    assert plane.offset == pytest.approx(-0.7, abs=0.002)


def test_height_is_towards_the_camera() -> None:
    plane = support_plane(table(500, 0.0), SETTINGS)
    assert plane is not None
    heights = plane.height(np.array((-0.7 * NORMAL, -0.7 * NORMAL + 0.05 * NORMAL)))
    np.testing.assert_allclose(heights, (0.0, 0.05), atol=1e-6)


def test_the_band_is_as_wide_as_the_noise_asks_for() -> None:
    """A spatula 9 mm thick stands out from a table that a good camera sees."""
    bands = []
    for sigma in (0.0002, 0.0015, 0.006):
        plane = support_plane(table(2000, sigma), SETTINGS)
        assert plane is not None
        bands.append(plane.band)
    assert bands[0] == pytest.approx(0.002, abs=1e-6)
    assert bands[1] == pytest.approx(0.0045, rel=0.2)
    assert bands[2] == pytest.approx(SETTINGS.support_band)


def test_scattered_points_are_no_plane() -> None:
    scattered = np.random.default_rng(0).uniform((-0.3, -0.3, 0.4), (0.3, 0.3, 1.2), (2000, 3))
    assert support_plane(scattered, SETTINGS) is None
    assert support_plane(scattered[:10], SETTINGS) is None
