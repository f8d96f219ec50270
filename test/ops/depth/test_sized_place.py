# SPDX-License-Identifier: Apache-2.0
"""Where an object of known size is, by how far its visible side reaches."""

from __future__ import annotations

import numpy as np
import pytest
from support.scenes.ray_scene import CAMERA, box_around, cuboid, cylinder

from isaac_inference.ops.depth.box_sides import box_sides
from isaac_inference.ops.depth.depth_image import ray_grid
from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.depth.sized_place import (
    NO_MIDDLES,
    Reaches,
    SizedPlace,
    point_reaches,
    sized_place,
)
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.view_sphere import frame_towards

SIZE = np.array((0.16, 0.06, 0.22))
SETTINGS = DepthSettings()


def place(
    shown: np.ndarray, size: np.ndarray, shape: str, up: np.ndarray | None = None, bottom: float = 0.0,
    is_open: tuple[bool, bool, bool, bool] = (False, False, False, False),
) -> SizedPlace:  # fmt: skip
    """By exact points of all that is shown, its box, and the floor that is so far below the camera along `up`."""
    y, x = np.nonzero(np.isfinite(shown))
    z = shown[y, x]
    points = np.column_stack((ray_grid(CAMERA)[y, x] * z[:, None], z))
    middle = np.median(points, axis=0)
    view, pixel = frame_towards(middle), float(middle[2]) / CAMERA.focal
    box = box_around(np.isfinite(shown))
    bounds = box_sides(box, np.array(is_open), CAMERA, float(middle[2]), SETTINGS)
    cut = None
    if is_open[0]:
        cut = x < box[0] + 2
    reaches = point_reaches(points, cut, view, pixel, up).joined(bounds)
    if up is not None:
        floor = Reaches(-up[None], np.array((bottom,)), np.array((0.002,)), np.zeros(1, bool), floor=True)
        reaches = reaches.joined(floor)
    return sized_place(reaches, NO_MIDDLES, size, shape, middle, view, SETTINGS)


UP = np.array((0.0, -np.sin(0.6), -np.cos(0.6)))


def standing(yaw: float, size: np.ndarray = SIZE) -> Pose:
    x = np.array((1.0, 0.0, 0.0))
    upright = np.column_stack((x, np.cross(UP, x), UP))
    return Pose(upright @ so3_exp((0, 0, yaw)), np.array((0.03, -0.02, 0.8)))


@pytest.mark.parametrize('yaw', [0.0, 0.4, 0.8, 1.3])
def test_a_box_on_a_floor_is_where_it_is(yaw: float) -> None:
    pose = standing(yaw)
    bottom = float(-UP @ pose.translation + SIZE[2] / 2)
    found = place(cuboid(pose, SIZE), SIZE, 'cuboid', UP, bottom)
    np.testing.assert_allclose(found.center, pose.translation, atol=0.008)
    assert found.misfit < 0.35
    assert np.sqrt(np.diag(found.covariance)).max() < 0.012


def test_a_can_on_a_floor() -> None:
    pose = standing(0.0)
    size = np.array((0.07, 0.07, 0.12))
    bottom = float(-UP @ pose.translation + 0.06)
    found = place(cylinder(pose, 0.035, 0.12), size, 'cylinder', UP, bottom)
    np.testing.assert_allclose(found.center, pose.translation, atol=0.004)


def test_in_the_air_the_rotations_that_fit_are_in_the_covariance() -> None:
    errors, sigmas = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        pose = Pose(so3_exp(rng.normal(0.0, 1.5, 3)), np.array((*rng.uniform(-0.05, 0.05, 2), 0.9)))
        found = place(cuboid(pose, SIZE), SIZE, 'cuboid')
        errors.append(found.center - pose.translation)
        sigmas.append(np.sqrt(np.diag(found.covariance)))
    assert np.median(np.linalg.norm(errors, axis=1)) < 0.04  # of 0.28
    assert 0.9 <= np.mean(np.abs(errors) <= 2.0 * np.array(sigmas)) <= 1.0


def test_what_is_cut_off_may_reach_further() -> None:
    """A long box of which the left 40 % lie outside: without the open side its middle would be that of the rest."""
    size = np.array((0.30, 0.06, 0.10))
    pose = Pose(np.eye(3), np.array((0.0, 0.0, 0.8)))
    shown = cuboid(pose, size)
    shown[:, : int(box_around(np.isfinite(shown))[0] + 0.4 * 200)] = np.inf
    whole, part = (place(shown, size, 'cuboid', is_open=(left, False, False, False)) for left in (False, True))
    assert abs(part.center[0]) < 0.5 * abs(whole.center[0])
    assert abs(part.center[0]) < 2.0 * np.sqrt(part.covariance[0, 0])


def test_an_object_that_is_too_large_for_its_size_does_not_fit() -> None:
    pose = standing(0.4)
    bottom = float(-UP @ pose.translation + SIZE[2] / 2)
    shown = cuboid(pose, SIZE)
    fits, not_so = (place(shown, SIZE / scale, 'cuboid', UP, bottom).misfit for scale in (1.0, 2.5))
    assert fits < SETTINGS.max_misfit / 4
    assert not_so > SETTINGS.max_misfit
