# SPDX-License-Identifier: Apache-2.0
"""Drivable ground and obstacles in metres against a scene that is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from support.scenes.flat_ground import BOX, CAMERA, ROAD, Box, flat_ground, mounted

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.ground.occupancy import GridSpec
from isaac_inference.stages.segmentation.ground import ClassKinds, Ground, GroundFinder, GroundSettings

GRID = GridSpec(0.1, (6.0, 4.0), (0.0, -2.0))
CRATE = Box(near=2.0, far=2.6, left=0.4, right=-0.3, height=0.5)
KINDS = ClassKinds([ROAD], [BOX])
MOUNTED = mounted()
SCENE = flat_ground(MOUNTED, CRATE)


def finder(**changed) -> GroundFinder:
    return GroundFinder(GroundSettings(GRID, **{'stride': 2, 'max_range': 5.0, **changed}))


def by_depth(scene=SCENE, T=MOUNTED, **changed) -> Ground:
    return finder(**changed).by_depth(scene.mask, KINDS, CAMERA, DepthImage(scene.depth, 1.0), T)


def on_plane(scene=SCENE, T=MOUNTED, **changed) -> Ground:
    return finder(**changed).on_plane(scene.mask, KINDS, CAMERA, T)


def in_base(points) -> np.ndarray:
    return MOUNTED.apply(points.xyz.astype(np.float64))


@pytest.mark.parametrize('find', [by_depth, on_plane])
def test_drivable_points_are_on_the_road(find):
    ground = find()
    base = in_base(ground.drivable)
    assert len(base) > 500
    np.testing.assert_allclose(base[:, 2], 0.0, atol=2e-3)
    assert np.abs(base[:, 1]).max() < 1.5
    assert (ground.drivable.class_ids == ROAD).all()
    is_under = (base[:, 0] > 2.0) & (base[:, 0] < 2.6) & (base[:, 1] > -0.3) & (base[:, 1] < 0.4)
    assert not is_under.any()


def test_with_depth_all_that_is_seen_of_an_obstacle_has_a_place():
    base = in_base(by_depth().obstacles)
    on_front = np.abs(base[:, 0] - 2.0) < 5e-3
    on_top = np.abs(base[:, 2] - 0.5) < 5e-3
    assert (on_front | on_top).all()
    assert on_front.sum() > 50
    assert on_top.sum() > 20


def test_without_depth_an_obstacle_is_where_it_stands_on_the_ground():
    ground = on_plane()
    base = in_base(ground.obstacles)
    assert len(base) > 5
    assert (ground.obstacles.class_ids == BOX).all()
    np.testing.assert_allclose(base[:, 0], 2.0, atol=0.08)  # a row is some cm long there, and every second is taken
    assert (base[:, 1] > -0.35).all() and (base[:, 1] < 0.45).all()


@pytest.mark.parametrize('find', [by_depth, on_plane])
def test_the_grid_is_free_occupied_or_unknown_as_the_scene_is(find):
    grid = find().grid
    x, y, _ = GRID.centres().reshape(*grid.shape, 3).transpose(2, 0, 1)
    is_road = (np.abs(y) < 1.4) & (x > 0.9) & (x < 1.8)
    assert (grid[is_road & (np.abs(y) < 0.5)] == 0).mean() > 0.95
    assert not (grid[is_road] == 100).any()
    front = (np.abs(x - 2.0) < 0.06) & (y > -0.25) & (y < 0.35)
    assert (grid[front] == 100).mean() > 0.4  # the edge is on the border of two rows of cells
    occupied = np.argwhere(grid == 100)
    assert len(occupied)
    assert (np.abs(x[grid == 100] - 2.3) < 0.45).all()
    assert (np.abs(y[grid == 100] - 0.05) < 0.5).all()
    shadow = (x > 3.0) & (x < 4.5) & (np.abs(y) < 0.2)  # behind the box
    assert (grid[shadow] == -1).all()
    assert (grid[np.abs(y) > 1.6] == -1).all()  # grass is neither


def test_a_range_cuts_everything():
    for find in (by_depth, on_plane):
        ground = find(max_range=1.5)
        assert np.linalg.norm(in_base(ground.drivable) - MOUNTED.translation, axis=1).max() < 1.75
        assert not len(ground.obstacles.xyz)
        assert not (ground.grid == 100).any()


def test_what_the_robot_goes_below_stays_out_of_the_grid():
    high = by_depth(max_height=0.45)
    assert (high.grid == 100).sum() < (by_depth().grid == 100).sum()
    assert len(high.obstacles.xyz) == len(by_depth().obstacles.xyz)


def test_an_obstacle_that_the_picture_s_edge_cuts_is_as_near_as_that_edge():
    scene = flat_ground(MOUNTED, Box(near=0.5, far=0.8, left=0.4, right=-0.4, height=0.3))
    assert scene.mask[-1, 80] == BOX
    base = in_base(on_plane(scene).obstacles)
    edge = in_base(on_plane(flat_ground(MOUNTED)).drivable)[:, 0].min()
    assert base[:, 0].min() == pytest.approx(edge, abs=0.02)


def test_nothing_that_drives_and_nothing_that_stands_is_an_empty_cloud():
    sky = flat_ground(mounted(pitch=-1.2))
    for ground in (on_plane(sky, mounted(pitch=-1.2)), by_depth(sky, None)):
        assert ground.drivable.xyz.shape == ground.obstacles.xyz.shape == (0, 3)
    assert by_depth(sky, None).grid is None


def test_depth_of_half_the_size_and_in_millimetres():
    depth = DepthImage(np.nan_to_num(SCENE.depth[::2, ::2] * 1000).astype(np.uint16), 0.001)
    ground = finder().by_depth(SCENE.mask, KINDS, CAMERA, depth, MOUNTED)
    assert (np.abs(in_base(ground.drivable)[:, 2]) < 0.05).mean() > 0.97  # but at the box's edges


def test_holes_of_depth_are_no_points():
    holed = SCENE.depth.copy()
    holed[:, ::3] = np.nan
    ground = finder(stride=1).by_depth(SCENE.mask, KINDS, CAMERA, DepthImage(holed, 1.0), MOUNTED)
    assert np.isfinite(ground.drivable.xyz).all()
    assert len(ground.drivable.xyz) < 0.7 * len(by_depth(stride=1).drivable.xyz)


@pytest.mark.parametrize(
    ('call', 'reason'),
    [
        (lambda: finder().on_plane(SCENE.mask[:60], KINDS, CAMERA, MOUNTED), 'camera_info_size'),
        (lambda: on_plane(T=mounted(height=-0.1)), 'camera_below_ground'),
        (
            lambda: finder().by_depth(SCENE.mask, KINDS, CAMERA, DepthImage(SCENE.depth[:60], 1.0), MOUNTED),
            'depth_unregistered',
        ),
    ],
)
def test_what_cannot_be_used_is_refused(call, reason):
    with pytest.raises(FrameError) as caught:
        call()
    assert caught.value.reason == reason


def test_a_camera_that_moves_is_not_taken_for_the_one_before():
    one = finder()
    first = one.on_plane(SCENE.mask, KINDS, CAMERA, MOUNTED)
    lower = mounted(height=0.35)
    second = one.on_plane(SCENE.mask, KINDS, CAMERA, lower)
    assert not np.array_equal(first.grid, second.grid)
    fresh = finder().on_plane(SCENE.mask, KINDS, CAMERA, lower)
    np.testing.assert_array_equal(second.drivable.xyz, fresh.drivable.xyz)
    np.testing.assert_array_equal(second.grid, fresh.grid)
