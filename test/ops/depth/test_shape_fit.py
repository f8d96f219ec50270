# SPDX-License-Identifier: Apache-2.0
"""A body of known size laid onto depth points."""

from __future__ import annotations

import numpy as np
import pytest
from support.scenes.ray_scene import CAMERA, WH, box_around, cuboid, cylinder, noisy, perturbed

from isaac_inference.ops.depth.box_sides import box_sides
from isaac_inference.ops.depth.depth_image import region_points
from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.depth.shape_fit import ShapeFit, fit_shape
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.symmetry import Symmetry, rotation_error

SIZE = np.array((0.16, 0.06, 0.22))
BOX = ObjectModel.build('cuboid', SIZE)
CAN = ObjectModel.build('cylinder', (0.07, 0.07, 0.12))
HALVES = (Symmetry('x', 2), Symmetry('y', 2), Symmetry('z', 2))
CORNER = Pose(so3_exp((0.7, 0, 0)) @ so3_exp((0, 0.6, 0)), np.array((0.03, -0.02, 0.8)))


def fitted(model: ObjectModel, shown: np.ndarray, start: Pose) -> ShapeFit | None:
    box = box_around(np.isfinite(shown))
    points = region_points(noisy(shown, 0.001), CAMERA, box, WH).points
    sides = box_sides(box, np.zeros(4, bool), CAMERA, float(points[:, 2].mean()), DepthSettings())
    return fit_shape(model, points, sides, start, 0.002)


@pytest.mark.parametrize('seed', range(5))
def test_three_faces_of_a_box(seed: int) -> None:
    found = fitted(BOX, cuboid(CORNER, SIZE), perturbed(CORNER, 0.008, 6.0, seed))
    assert found is not None
    np.testing.assert_allclose(found.pose.translation, CORNER.translation, atol=0.0015)
    assert rotation_error(found.pose, CORNER, HALVES) < np.radians(0.8)
    assert found.rms < 0.002


def test_one_face_is_held_by_the_box_s_sides() -> None:
    """Depth alone would let it slide within its plane."""
    facing = Pose(so3_exp((np.pi / 2, 0, 0)), np.array((0.02, 0.01, 0.8)))
    moved = Pose(facing.rotation, facing.translation + (0.01, -0.01, 0.004))
    found = fitted(BOX, cuboid(facing, SIZE), moved)
    assert found is not None
    np.testing.assert_allclose(found.pose.translation, facing.translation, atol=0.002)


def test_a_can() -> None:
    pose = Pose(so3_exp((1.0, 0, 0)), np.array((-0.02, 0.03, 0.7)))
    found = fitted(CAN, cylinder(pose, 0.035, 0.12), perturbed(pose, 0.005, 5.0, 1))
    assert found is not None
    np.testing.assert_allclose(found.pose.translation, pose.translation, atol=0.002)
    assert rotation_error(found.pose, pose, (Symmetry('z', 0), Symmetry('x', 2))) < np.radians(1.5)


def test_what_is_not_that_body_is_not_fitted() -> None:
    pose = Pose(so3_exp((1.0, 0, 0)), np.array((0.0, 0.0, 0.7)))
    assert fitted(BOX, cylinder(pose, 0.05, 0.16), pose) is None
    assert fitted(CAN, cuboid(CORNER, SIZE), CORNER) is None
