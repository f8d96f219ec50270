# SPDX-License-Identifier: Apache-2.0
"""The occupancy grid: its order, its edges, and which cells a camera sees."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.ground.occupancy import GridSpec, GroundView, occupancy

SPEC = GridSpec(0.1, (3.0, 2.0), (-0.5, -1.0))
CAMERA = CameraModel(64, 48, np.array([[50.0, 0, 31.5], [0, 50, 23.5], [0, 0, 1]]))
DOWN = Pose(np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]]), np.array([1.0, 0.0, 2.0]))  # the picture's top is forward


def test_each_centre_is_in_its_own_cell():
    assert SPEC.cells == (30, 20)
    np.testing.assert_array_equal(SPEC.cell_of(SPEC.centres()), np.arange(600))


def test_x_comes_first_and_the_origin_is_the_first_corner():
    centres = SPEC.centres()
    np.testing.assert_allclose(centres[0], (-0.45, -0.95, 0.0))
    np.testing.assert_allclose(centres[1], (-0.35, -0.95, 0.0))
    np.testing.assert_allclose(centres[30], (-0.45, -0.85, 0.0))


def test_points_outside_are_in_no_cell():
    points = np.array([[-0.51, 0, 0], [2.51, 0, 0], [0, -1.01, 0], [0, 1.01, 0], [np.nan, 0, 0], [0, np.inf, 0]])
    assert not len(SPEC.cell_of(points))
    assert SPEC.cell_of(np.array([[-0.5, -1.0, 7.0]])).tolist() == [0]


def test_occupied_wins_and_the_rest_is_unknown():
    grid = occupancy(SPEC, np.array([0, 1, 1, 31]), np.array([1]))
    assert grid.shape == (20, 30)
    assert grid.dtype == np.int8
    assert (grid[0, 0], grid[0, 1], grid[1, 1], grid[5, 5]) == (0, 100, 0, -1)


def test_a_view_has_the_pixels_in_which_the_cells_are_seen():
    view = GroundView.of(SPEC, CAMERA, DOWN, 10.0)
    ids = np.zeros((48, 64), np.uint8)
    ids[:24] = 1  # in front of the camera
    seen = np.zeros(600, int)
    seen[view.cells] = ids.reshape(-1)[view.pixels] + 1
    x, y, _ = SPEC.centres().T
    inside = (np.abs(x - 1.0) < 0.96) & (np.abs(y) < 1.25)
    np.testing.assert_array_equal(seen.astype(bool), inside)
    np.testing.assert_array_equal(seen == 2, inside & (x > 1.0))


def test_far_cells_and_those_behind_the_camera_are_not_seen():
    assert len(GroundView.of(SPEC, CAMERA, DOWN, 0.3).cells) < len(GroundView.of(SPEC, CAMERA, DOWN, 10.0).cells)
    up = Pose(np.eye(3), np.array([1.0, 0.0, 2.0]))
    assert not len(GroundView.of(SPEC, CAMERA, up, 10.0).cells)


@pytest.mark.parametrize(
    'spec', [GridSpec(0.0, (1, 1), (0, 0)), GridSpec(0.1, (0, 1), (0, 0)), GridSpec(1e-3, (9, 9), (0, 0))]
)
def test_grids_that_cannot_be_are_refused(spec):
    with pytest.raises(ConfigError, match='grid'):
        _ = spec.cells
