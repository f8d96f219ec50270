# SPDX-License-Identifier: Apache-2.0
"""Points on the ground: projected into the picture and found again; feet of obstacles."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.ground.rays import PixelRays, feet, ground_depth

PLAIN = CameraModel(160, 120, np.array([[100.0, 0, 79.5], [0, 100, 59.5], [0, 0, 1]]))
BENT = CameraModel(160, 120, PLAIN.K, (-0.2, 0.03, 0.001, -0.001, 0.0), 'plumb_bob')
FORWARD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # optical axes in a base frame: z forward, x right


def mounted(height=0.8, pitch=0.4, roll=0.05, x=0.3):
    """A camera on a robot that looks forward and down by `pitch`, rad."""
    tilt = so3_exp((0.0, pitch, 0.0)) @ so3_exp((roll, 0.0, 0.0))
    return Pose(tilt @ FORWARD, np.array((x, 0.1, height)))


@pytest.mark.parametrize('camera', [PLAIN, BENT], ids=['plain', 'bent'])
@pytest.mark.parametrize('stride', [1, 3, 8])
def test_ground_points_lie_on_the_ground_and_project_back(camera, stride):
    T_base_camera, rays = mounted(), PixelRays.of(camera, stride)
    depth = ground_depth(rays, T_base_camera, 5.0)
    known = np.isfinite(depth)
    assert known.mean() > 0.4
    points, found = rays.points(depth, np.ones_like(known))
    np.testing.assert_array_equal(found, known)
    assert len(points) == np.count_nonzero(known)
    base = T_base_camera.apply(points)
    np.testing.assert_allclose(base[:, 2], 0.0, atol=1e-4)
    assert np.hypot(*(base - T_base_camera.translation)[:, :2].T).max() <= 5.0 + 1e-3
    rows, columns = np.nonzero(known)
    expected = np.stack((rays.columns[columns], rays.rows[rows]), axis=1)
    np.testing.assert_allclose(camera.project(points), expected, atol=0.02)


def test_rays_above_the_horizon_meet_no_ground():
    rays = PixelRays.of(PLAIN)
    depth = ground_depth(rays, mounted(pitch=0.0, roll=0.0), 1e9)
    assert np.isnan(depth[:60]).all()
    assert np.isfinite(depth[60:]).all()
    assert np.isnan(ground_depth(rays, mounted(pitch=-1.2, roll=0.0), 1e9)).all()  # looks at the sky


@pytest.mark.parametrize('height', [0.0, -0.2])
def test_a_camera_on_or_below_the_ground_is_refused(height):
    with pytest.raises(FrameError, match='base_footprint') as caught:
        ground_depth(PixelRays.of(PLAIN, 8), mounted(height=height), 5.0)
    assert caught.value.reason == 'camera_below_ground'


def test_the_last_row_is_always_looked_at():
    for stride in range(1, 9):
        assert PixelRays.of(PLAIN, stride).rows[-1] == 119


def test_depth_of_another_size_is_that_under_the_pixel():
    rays = PixelRays.of(PLAIN, 4)
    small = np.arange(60 * 80).reshape(60, 80)
    expected = small.repeat(2, axis=0).repeat(2, axis=1)[np.ix_(rays.rows, rays.columns)]
    np.testing.assert_array_equal(rays.sampled_from(small, (160, 120)), expected)
    large = np.arange(240 * 320).reshape(240, 320)
    taken = rays.sampled_from(large, (160, 120))
    np.testing.assert_array_equal(taken, large[np.ix_(rays.rows * 2 + 1, rays.columns * 2 + 1)])


def test_pixels_without_depth_give_no_points():
    rays = PixelRays.of(PLAIN, 4)
    depth = np.full(rays.directions.shape[:2], np.nan, np.float32)
    depth[3, 5] = 2.0
    points, found = rays.points(depth, np.ones_like(depth, bool))
    assert np.argwhere(found).tolist() == [[3, 5]]
    np.testing.assert_allclose(points, [rays.directions[3, 5] * 2.0])
    assert not len(rays.points(depth, np.zeros_like(depth, bool))[0])


def test_feet_are_where_an_obstacle_meets_the_ground_below_it():
    ids = np.array(
        [
            [0, 2, 2, 1, 0],
            [2, 2, 2, 1, 0],
            [1, 2, 0, 2, 0],
            [1, 2, 1, 1, 2],
        ]
    )  # 1 is ground, 2 an obstacle, 0 neither
    expected = [
        [False] * 5,
        [False] * 5,
        [True, False, False, False, False],  # and none under the third column: below it is what nobody knows
        [False, True, False, True, True],  # the second and last column are cut by the picture's edge
    ]
    np.testing.assert_array_equal(feet(ids == 2, ids == 1), expected)
