# SPDX-License-Identifier: Apache-2.0
"""Which of the surfaces under a box are the object."""

from __future__ import annotations

import numpy as np
import pytest
from support.scenes.ray_scene import CAMERA, WH, box_around, cuboid, noisy, plane

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import region_points
from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.depth.surfaces import SeenObject, object_surface
from isaac_inference.ops.geometry.rigid import Pose, so3_exp

SIZE = np.array((0.16, 0.06, 0.22))
LONGEST = float(np.linalg.norm(SIZE))
FACING = Pose(so3_exp((np.pi / 2, 0, 0)), np.array((0.0, 0.0, 0.8)))
SHOWN = cuboid(FACING, SIZE)
BOX = box_around(np.isfinite(SHOWN))
WALL = np.minimum(SHOWN, 1.5)


def seen(depth: np.ndarray, longest: float | None = None, box: np.ndarray = BOX) -> SeenObject:
    region = region_points(noisy(depth), CAMERA, box, WH, margin=0.15, most=2500)
    return object_surface(region, box, WH, DepthSettings(), longest)


def share(found: SeenObject, low: float, high: float) -> float:
    """Of the object's points, those with a depth between the two."""
    z = found.points[:, 2]
    return float(np.mean((z > low) & (z < high)))


@pytest.mark.parametrize('longest', [LONGEST, None])
def test_the_object_before_a_wall(longest: float | None) -> None:
    found = seen(WALL, longest)
    assert share(found, 0.75, 0.79) == 1.0
    assert found.mask.sum() == pytest.approx(np.isfinite(SHOWN).sum() / 4, rel=0.05)
    assert not found.cut.any()
    assert not found.sides.any()


def test_what_goes_on_outside_the_box_is_not_the_object() -> None:
    """A pole before it: its two halves are found, with the edges where it hides them."""
    depth = WALL.copy()
    depth[:, 150:170] = 0.5
    found = seen(depth, LONGEST)
    assert share(found, 0.75, 0.79) == 1.0
    assert found.cut.any()
    assert not found.cut.all()


@pytest.mark.parametrize('longest', [LONGEST, None])
def test_near_and_far_wall_of_something_hollow_are_one_object(longest: float | None) -> None:
    depth = WALL.copy()
    rows = slice(int(BOX[1]), int(BOX[1] + 0.4 * (BOX[3] - BOX[1])))
    depth[rows] = np.where(np.isfinite(SHOWN[rows]), 0.87, depth[rows])  # the upper part shows the far wall
    found = seen(depth, longest)
    assert 0.3 < share(found, 0.86, 0.88) < 0.5
    assert share(found, 0.75, 0.88) == 1.0


@pytest.mark.parametrize('longest', [LONGEST, None])
def test_surfaces_too_far_apart_are_refused_and_both_are_named(longest: float | None) -> None:
    depth = WALL.copy()
    half = np.isfinite(SHOWN)
    half[:, 160:] = False
    depth[half] = 1.4
    with pytest.raises(FrameError, match=r'0\.77 m takes .* one behind it at 1\.4') as caught:
        seen(depth, longest)
    assert caught.value.reason == 'depth_ambiguous'
    assert ('0.28 m of the object' in str(caught.value)) == (longest is not None)


def test_of_two_surfaces_that_which_fills_the_box_is_the_object() -> None:
    """Something small in the very middle that hangs before it."""
    depth = WALL.copy()
    depth[95:145, 135:185] = 0.4
    assert share(seen(depth, LONGEST), 0.75, 0.79) == 1.0


def test_an_object_that_the_image_cuts_off_is_open_there() -> None:
    left = Pose(FACING.rotation, np.array((-0.25, 0.0, 0.8)))
    shown = cuboid(left, SIZE)
    box = box_around(np.isfinite(shown))
    found = seen(np.minimum(shown, 1.5), LONGEST, box)
    assert found.sides.tolist() == [True, False, False, False]
    columns = np.flatnonzero(found.cut.any(axis=0))
    assert len(columns) and columns.max() < 4


def test_a_thin_plate_on_a_table() -> None:
    """6 mm above it, seen at 45 degrees: less than the widest band that a plane may take."""
    up = np.array((0.0, -np.sqrt(0.5), -np.sqrt(0.5)))
    turn = np.column_stack(((1.0, 0.0, 0.0), np.cross(up, (1.0, 0.0, 0.0)), up))
    pose, size = Pose(turn, np.array((0.0, 0.0, 0.8))), np.array((0.2, 0.15, 0.006))
    shown = cuboid(pose, size)
    depth = np.minimum(shown, plane(pose.translation - 0.003 * up, up))
    region = region_points(noisy(depth, 0.0003), CAMERA, box_around(np.isfinite(shown)), WH, margin=0.2)
    box = box_around(np.isfinite(shown))
    found = object_surface(region, box, WH, DepthSettings(), float(np.linalg.norm(size)))
    truth = np.isfinite(shown)[region.pixels[:, 1], region.pixels[:, 0]]
    assert found.inside[truth].mean() > 0.9
    assert found.inside[~truth].mean() < 0.02
