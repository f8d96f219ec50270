# SPDX-License-Identifier: Apache-2.0
"""Depth of another camera in the colour camera's view, against the same scene computed from there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.scenes.ray_scene import cuboid, plane

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.depth.reprojection import reproject
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp

K = np.array(((500.0, 0, 159.5), (0, 500.0, 119.5), (0, 0, 1)))
COLOR = {
    'straight': CameraModel(320, 240, K),
    'bent': CameraModel(320, 240, K, (-0.12, 0.06, 0.0008, -0.0006, 0.0), 'plumb_bob'),
    'finer than depth': CameraModel(960, 720, np.array(((1500.0, 0, 479.5), (0, 1500.0, 359.5), (0, 0, 1)))),
}
DEPTH = CameraModel(424, 240, np.array(((420.0, 0, 214.0), (0, 420.0, 117.0), (0, 0, 1))))
ASIDE = Pose(so3_exp(np.array((0.01, 0.03, -0.01))), np.array((0.06, 0.01, -0.004)))
BOX = Pose(so3_exp(np.array((0.2, 0.3, 0.1))), np.array((0.0, 0.0, 0.7)))
SIZE = (0.12, 0.09, 0.1)


def scene(camera: CameraModel, T_camera_color: Pose) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) depth of a box before a wall, and of the wall alone."""
    wall = Pose(np.eye(3), np.array((0.0, 0.0, 1.2)))
    normal = T_camera_color.rotation @ np.array((0.0, 0.0, 1.0))
    far = plane(T_camera_color.apply(wall.translation[None])[0], normal, camera)
    return np.minimum(cuboid(T_camera_color @ BOX, SIZE, camera), far), far


def image(depth: np.ndarray, **fields: Any) -> DepthImage:
    return DepthImage(depth.astype(np.float32), 1.0)


@pytest.mark.parametrize('name', COLOR)
def test_it_is_what_the_colour_camera_would_have_seen(name: str) -> None:
    color = COLOR[name]
    measured, _ = scene(DEPTH, ASIDE.inverse())
    found, view = reproject(image(measured), DEPTH, color, ASIDE)
    assert (found.width, found.height) == (view.width, view.height)
    assert view.model == color.model
    assert view.width / view.height == pytest.approx(color.width / color.height, rel=0.01)
    truth, far = scene(view, Pose.identity())
    got = found.metres()
    seen = np.isfinite(got)
    assert seen.mean() > 0.8
    off = np.abs(got - truth)[seen]
    assert np.median(off) < 0.001
    # no reading of what the box hides, its outline aside
    assert (off > 0.1).mean() < 0.01
    on_box = truth < far - 0.2
    assert (got[on_box & seen] > 0.9).mean() < 0.03


def test_the_nearest_wins() -> None:
    """From the side, two readings fall onto one pixel of the colour camera: the wall behind the box loses."""
    aside = Pose(np.eye(3), np.array((0.25, 0.0, 0.0)))
    measured, _ = scene(DEPTH, aside.inverse())
    found, view = reproject(image(measured), DEPTH, COLOR['straight'], aside)
    truth, far = scene(view, Pose.identity())
    got = found.metres()
    on_box = (truth < far - 0.2) & np.isfinite(got)
    assert on_box.sum() > 500
    assert (np.abs(got - truth)[on_box] < 0.02).mean() > 0.95


@pytest.mark.parametrize('name', COLOR)
@pytest.mark.parametrize(
    'T', [ASIDE, ASIDE.inverse(), Pose(so3_exp(np.array((0.1, -0.2, 0.3))), np.array((0, 0.1, 0)))]
)
def test_around_boxes_nothing_is_missing(name: str, T: Pose) -> None:
    color = COLOR[name]
    measured, _ = scene(DEPTH, T.inverse())
    scale = np.array((color.width, color.height) * 2) / (320, 240, 320, 240)
    boxes = np.array(((120, 80, 180, 150), (250, 150, 330, 200), (-20, -10, 40, 30))) * scale
    whole, view = reproject(image(measured), DEPTH, color, T)
    part, _ = reproject(image(measured), DEPTH, color, T, boxes)
    ratio = view.width / color.width
    for box in boxes:
        side = box[2:] - box[:2]
        left, top = np.maximum((box[:2] - 0.4 * side) * ratio, 0).astype(int)
        right, bottom = ((box[2:] + 0.4 * side) * ratio).astype(int)
        rows, columns = slice(top, bottom), slice(left, right)
        np.testing.assert_array_equal(part.metres(rows, columns), whole.metres(rows, columns))
    assert np.isfinite(part.metres()).sum() < 0.9 * np.isfinite(whole.metres()).sum()


def test_millimetres_and_holes() -> None:
    measured, _ = scene(DEPTH, ASIDE.inverse())
    holed = np.round(measured * 1000).astype(np.uint16)
    holed[:, ::3] = 0
    found, view = reproject(DepthImage(holed, 0.001), DEPTH, COLOR['straight'], ASIDE)
    truth, _ = scene(view, Pose.identity())
    got = found.metres()
    assert np.nanmedian(np.abs(got - truth)) < 0.002
    assert np.isnan(got).any()


def test_in_its_own_view_nothing_changes() -> None:
    measured, _ = scene(DEPTH, Pose.identity())
    found, view = reproject(image(measured), DEPTH, DEPTH, Pose.identity())
    assert (view.width, view.height) == (DEPTH.width, DEPTH.height)
    np.testing.assert_allclose(found.metres(), measured.astype(np.float32), atol=1e-6)


@pytest.mark.parametrize(
    'T', [Pose(so3_exp(np.array((0.0, np.pi, 0.0))), np.zeros(3)), Pose(np.eye(3), np.array((50.0, 0.0, 0.0)))]
)
def test_depth_that_the_colour_camera_does_not_see(T: Pose) -> None:
    measured, _ = scene(DEPTH, Pose.identity())
    with pytest.raises(FrameError, match='optical frames') as caught:
        reproject(image(measured), DEPTH, COLOR['straight'], T)
    assert caught.value.reason == 'depth_outside'


def test_the_camera_must_be_that_of_the_image() -> None:
    with pytest.raises(FrameError) as caught:
        reproject(image(np.ones((100, 100))), DEPTH, COLOR['straight'], ASIDE)
    assert caught.value.reason == 'camera_info_size'
