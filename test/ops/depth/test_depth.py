# SPDX-License-Identifier: Apache-2.0
"""Depth images' units and holes, and the points under a box."""

from __future__ import annotations

import numpy as np
import pytest
from support.scenes.ray_scene import CAMERA, WH, K, box_around, cuboid, noisy, plane

from isaac_inference.errors import FrameError
from isaac_inference.models import ObjectSpec
from isaac_inference.ops.depth.depth_image import (
    DepthImage,
    color_pixels,
    region_points,
)
from isaac_inference.ops.depth.foreground import foreground_mask
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.stages.poses import DepthView, Observed
from isaac_inference.stages.poses.by_depth import DepthMethod

SIZE = np.array((0.16, 0.06, 0.22))
FACING = Pose(so3_exp((np.pi / 2, 0, 0)), np.array((0.02, 0.01, 0.8)))  # its 16 x 22 side towards the camera


def metres_of(image, encoding, unit_scale=None):
    return DepthImage.check(image, encoding, unit_scale).metres()


def reason(call, *args, **kwargs) -> str:
    with pytest.raises(FrameError) as caught:
        call(*args, **kwargs)
    return caught.value.reason


def test_millimetres_and_metres_are_the_same_and_holes_are_nan():
    metres = np.array([[0.5, 1.25], [np.nan, 2.0]], np.float32)
    millimetres = np.array([[500, 1250], [0, 2000]], np.uint16)
    for encoding in ('16UC1', 'mono16'):
        np.testing.assert_allclose(metres_of(millimetres, encoding), metres, rtol=1e-6)
    np.testing.assert_array_equal(metres_of(metres, '32FC1'), metres)
    assert metres_of(millimetres, '16UC1').dtype == np.float32


@pytest.mark.parametrize('hole', [0.0, -1.0, np.nan, np.inf, -np.inf])
def test_float_holes(hole):
    assert np.isnan(metres_of(np.array([[hole, 1.0]], np.float32), '32FC1')).tolist() == [[True, False]]


def test_saturated_16_bit_is_a_hole():
    assert np.isnan(metres_of(np.array([[65535, 1000]], np.uint16), '16UC1')).tolist() == [[True, False]]


def test_the_unit_can_be_said():
    assert metres_of(np.array([[2000]], np.uint16), '16UC1', 0.0001)[0, 0] == pytest.approx(0.2)
    assert metres_of(np.array([[800.0]], np.float32), '32FC1', 0.001)[0, 0] == pytest.approx(0.8)
    assert reason(metres_of, np.ones((2, 2), np.uint16), '16UC1', -1.0) == 'depth_unit'


@pytest.mark.parametrize(
    ('image', 'encoding'),
    [
        (np.ones((2, 2), np.uint16), 'bgr8'),
        (np.ones((2, 2), np.float32), '16UC1'),
        (np.ones((2, 2), np.uint16), '32FC1'),
        (np.ones((2, 2, 3), np.uint16), '16UC1'),
    ],
)
def test_wrong_encoding(image, encoding):
    assert reason(metres_of, image, encoding) == 'depth_encoding'


@pytest.mark.parametrize(
    ('image', 'encoding'),
    [
        (np.zeros((40, 40), np.uint16), '16UC1'),
        (np.zeros((40, 40), np.float32), '32FC1'),
        (np.full((40, 40), np.nan, np.float32), '32FC1'),
    ],
)
def test_nothing_in_it(image, encoding):
    assert reason(DepthImage.check, image, encoding) == 'depth_empty'


def test_one_reading_anywhere_is_not_nothing():
    image = np.zeros((100, 100), np.uint16)
    image[37, 61] = 900
    assert np.nansum(metres_of(image, '16UC1')) == pytest.approx(0.9)


def test_float_millimetres_are_named_and_the_parameter_too():
    image = np.full((20, 20), 900.0, np.float32)
    assert metres_of(image / 1000, '32FC1')[0, 0] == pytest.approx(0.9)
    with pytest.raises(FrameError, match='depth_unit_scale: 0.001') as caught:
        metres_of(image, '32FC1')
    assert caught.value.reason == 'depth_unit'


def test_points_lie_on_the_plane_that_was_seen_and_know_their_pixels():
    normal = np.array((0.2, -0.3, -1.0))
    depth = plane((0, 0, 1.0), normal).astype(np.float32)
    region = region_points(depth, CAMERA, np.array((100.0, 50, 140, 90)), WH)
    assert region.points.dtype == np.float32
    assert region.points.shape == (1600, 3) and region.area == 1600
    np.testing.assert_allclose((region.points - (0, 0, 1.0)) @ normal, 0.0, atol=1e-6)
    assert region.pixels.min(axis=0).tolist() == [100, 50] and region.pixels.max(axis=0).tolist() == [139, 89]
    np.testing.assert_allclose(CAMERA.project(region.points), region.pixels, atol=1e-3)


def test_distortion_is_undone():
    camera = CameraModel(320, 240, K, (-0.2, 0.05, 0.001, -0.001), 'plumb_bob')
    depth = plane((0, 0, 1.0), (0.2, 0, -1.0), camera).astype(np.float32)
    region = region_points(depth, camera, np.array((0.0, 0, 60, 60)), WH)
    np.testing.assert_allclose((region.points - (0, 0, 1.0)) @ (0.2, 0, -1.0), 0.0, atol=1e-5)
    np.testing.assert_allclose(camera.project(region.points), region.pixels, atol=0.02)


def placed(depth, box=None, size=SIZE, camera=CAMERA, encoding='32FC1'):
    """The pose by depth alone of the object under a box, whose size the card has or has not."""
    box = box_around(np.isfinite(cuboid(FACING, SIZE))) if box is None else box
    method = DepthMethod({'box': ObjectSpec('box', size)})
    view = DepthView(DepthImage.check(depth, encoding), camera)
    return method.estimate(Observed('box', 0.9, np.asarray(box, float)), CAMERA, view).pose


@pytest.mark.parametrize('wh', [(160, 120), (640, 480), (200, 240)])
def test_depth_of_another_resolution_gives_the_same_position(wh):
    camera = CAMERA.resized(*wh)
    depth = np.minimum(cuboid(FACING, SIZE, camera), 1.5).astype(np.float32)
    box = box_around(np.isfinite(cuboid(FACING, SIZE)))  # in colour pixels
    region = region_points(depth, camera, box, WH)
    np.testing.assert_allclose(placed(depth, box, camera=camera).translation, FACING.translation, atol=0.004)
    assert color_pixels(region.pixels, wh, WH).min(axis=0) == pytest.approx(box[:2], abs=2)


def test_a_mask_is_in_colour_pixels():
    depth = np.ones((120, 160), np.float32)
    mask = np.zeros((240, 320), np.uint8)
    mask[100:120, 60:80] = 1
    region = region_points(depth, CAMERA.resized(160, 120), np.array((0.0, 0, 320, 240)), WH, mask)
    assert region.pixels.min(axis=0).tolist() == [30, 50] and region.pixels.max(axis=0).tolist() == [39, 59]
    assert reason(region_points, depth, CAMERA.resized(160, 120), np.array((0.0, 0, 9, 9)), WH, mask.T) == 'mask_size'


def test_a_margin_is_returned_but_not_inside():
    depth = np.ones((240, 320), np.float32)
    region = region_points(depth, CAMERA, np.array((100.0, 100, 120, 120)), WH, margin=0.5)
    assert (len(region.points), int(region.inside.sum()), region.area) == (1600, 400, 400)
    assert region.pixels[region.inside].min(axis=0).tolist() == [100, 100]


def test_of_a_large_box_every_nth_pixel_is_looked_at():
    depth = plane((0, 0, 1.0), (0.2, -0.3, -1.0)).astype(np.float32)
    box = np.array((10.0, 20, 250, 200))
    every, some = (region_points(depth, CAMERA, box, WH, margin=0.1, most=most) for most in (None, 2500))
    assert (every.step, some.step) == (1, 4)
    assert some.area == len(some.points[some.inside]) == pytest.approx(every.area / 16, rel=0.05)
    places = {tuple(pixel): point for pixel, point in zip(every.pixels.tolist(), every.points, strict=True)}
    for pixel, point in zip(some.pixels.tolist(), some.points, strict=True):
        np.testing.assert_array_equal(point, places[tuple(pixel)])
    inside = some.pixels[some.inside]
    assert inside.min() >= 10 and (inside.min(axis=0) <= (13, 23)).all() and (inside.max(axis=0) >= (246, 196)).all()


def test_margins_of_width_and_height_may_differ():
    depth = np.ones((240, 320), np.float32)
    region = region_points(depth, CAMERA, np.array((100.0, 100, 140, 120)), WH, margin=np.array((0.25, 0.5)))
    assert np.ptp(region.pixels, axis=0).tolist() == [59, 39]


def test_boxes_at_and_beyond_the_border():
    depth = np.ones((240, 320), np.float32)
    assert len(region_points(depth, CAMERA, np.array((-50.0, -50, 10, 10)), WH).points) == 100
    assert len(region_points(depth, CAMERA, np.array((-1e30, -1e30, 1e30, 1e30)), WH).points) == 320 * 240
    assert len(region_points(depth, CAMERA, np.array((10.6, 10.6, 10.9, 10.9)), WH).points) == 1
    for box in ((330.0, 0, 340, 10), (-20.0, 0, 0, 10), (0.0, 240, 10, 260)):
        assert reason(region_points, depth, CAMERA, np.array(box), WH) == 'box_outside'
    for box in ((5.0, 0, 5, 10), (10.0, 0, 5, 10), (np.nan, 0, 5, 10)):
        assert reason(region_points, depth, CAMERA, np.array(box), WH) == 'bad_box'


def test_intrinsics_of_another_size_are_refused():
    box = np.array((0.0, 0, 9, 9))
    assert reason(region_points, np.ones((120, 160), np.float32), CAMERA, box, WH) == 'camera_info_size'


def seen(pose=FACING, sigma=0.002, holes=0.3, wall=1.5, margin=0.0):
    shown = cuboid(pose, SIZE)
    depth = noisy(np.minimum(shown, wall), sigma, holes)
    return depth, region_points(depth, CAMERA, box_around(np.isfinite(shown)), WH, margin=margin)


def test_position_with_noise_holes_and_background():
    depth, _ = seen()
    np.testing.assert_allclose(placed(depth).translation, FACING.translation, atol=0.004)


def test_without_a_size_the_position_is_that_of_the_visible_face():
    depth, _ = seen()
    assert placed(depth, size=None).translation[2] == pytest.approx(0.8 - 0.03, abs=0.004)


def test_a_turned_object_before_a_wall_and_on_a_table():
    pose = Pose(so3_exp((0.35, 0, 0)) @ so3_exp((np.pi / 2, 0, 0)) @ so3_exp((0, 0, 0.6)), np.array((0.0, 0.0, 0.9)))
    up = pose.rotation[:, 2]
    shown = cuboid(pose, SIZE)
    depth = noisy(np.minimum(np.minimum(shown, plane(pose.translation - up * 0.11, up)), 1.8))
    region = region_points(depth, CAMERA, box_around(np.isfinite(shown)), WH, margin=0.2)
    points = region.points[region.inside]
    foreground = foreground_mask(points, region.points[~region.inside])
    truth = np.isfinite(shown)[region.pixels[region.inside, 1], region.pixels[region.inside, 0]]
    assert foreground[truth].mean() > 0.9
    assert foreground[~truth].mean() < 0.15
    center = placed(depth, box_around(np.isfinite(shown))).translation
    np.testing.assert_allclose(center[:2], pose.translation[:2], atol=0.008)
    assert center[2] == pytest.approx(pose.translation[2], abs=0.028)  # a tenth of its diagonal


def test_the_known_size_brings_the_centre_of_turned_objects_nearer():
    with_size, without = [], []
    for seed in range(24):
        turn = so3_exp(np.random.default_rng(seed).normal(0, 1.5, 3))
        pose = Pose(turn, np.array((0.0, 0.0, 0.9)))
        depth, region = seen(pose, holes=0.05)
        visible = region.points[foreground_mask(region.points)]
        middle = np.percentile(visible, (1.0, 99.0), axis=0).mean(axis=0)
        center = placed(depth, box_around(np.isfinite(cuboid(pose, SIZE)))).translation
        for found, kept in ((center, with_size), (middle, without)):
            kept.append(np.linalg.norm(found - pose.translation))
    assert np.median(with_size) < 0.6 * np.median(without)
    assert np.max(with_size) < 0.08


def test_16_bit_and_float_depth_give_the_same_position():
    shown = cuboid(FACING, SIZE)
    metres = noisy(np.minimum(shown, 1.5), 0.002, 0.1)
    millimetres = np.nan_to_num(metres * 1000).round().astype(np.uint16)
    box = box_around(np.isfinite(shown))
    a, b = (
        placed(image, box, encoding=encoding).translation
        for image, encoding in ((metres, '32FC1'), (millimetres, '16UC1'))
    )
    np.testing.assert_allclose(a, b, atol=0.001)


def test_too_few_points_are_no_position():
    assert reason(foreground_mask, np.ones((12, 3), np.float32)) == 'depth_missing'
    assert reason(foreground_mask, np.empty((0, 3), np.float32)) == 'depth_missing'
    depth, _ = seen()
    depth[:80, :80] = np.nan
    assert reason(placed, depth, np.array((10.0, 10, 60, 60))) == 'depth_missing'


def test_something_before_the_object_is_not_taken_for_it():
    shown = cuboid(FACING, SIZE)
    depth = noisy(np.minimum(shown, 1.5))
    depth[:, 140:160] = 0.5  # a pole across the middle
    region = region_points(depth, CAMERA, box_around(np.isfinite(shown)), WH)
    assert reason(foreground_mask, region.points) == 'depth_ambiguous'
