# SPDX-License-Identifier: Apache-2.0
"""Thinned clouds: as many points as the voxels that were counted, and never many more than asked for."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.geometry import surface_normals
from isaac_inference.ops.geometry.surface_normals import small_gicp, thinned

RNG = np.random.default_rng(7)
CLOUDS = {
    'ball': RNG.normal(size=(5000, 3)) * 0.08 + (0.1, -0.2, 1.0),
    'wall': np.column_stack((RNG.uniform(-0.3, 0.3, (5000, 2)), np.full(5000, 0.9))),
    'far apart': RNG.uniform(-40.0, 40.0, (3000, 3)),  # too many voxels for a table
    'one': np.array([[0.1, 0.2, 0.3]]),
}


@pytest.mark.parametrize('voxel', [0.002, 0.007, 0.05])
@pytest.mark.parametrize('name', CLOUDS)
def test_voxels_are_counted_as_they_are_merged(name, voxel):
    merged = small_gicp().voxelgrid_sampling(CLOUDS[name], voxel).points()
    assert surface_normals._occupied(CLOUDS[name], voxel) == len(merged)


@pytest.mark.parametrize('name', ['ball', 'wall', 'one'])
def test_a_limit_is_kept_roughly(name):
    assert 1 <= len(thinned(CLOUDS[name], 0.002, 300)) <= 400
