# SPDX-License-Identifier: Apache-2.0
"""The oriented box of visible points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scenes.ray_scene import CAMERA, WH, box_around, cuboid, noisy

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import region_points
from isaac_inference.ops.depth.oriented_box import oriented_box, upright_box
from isaac_inference.ops.geometry.rigid import Pose, so3_exp

SIZE = np.array((0.22, 0.16, 0.06))


def visible(pose, sigma=0.001):
    shown = cuboid(pose, SIZE)
    return region_points(noisy(shown, sigma), CAMERA, box_around(np.isfinite(shown)), WH).points


def corner_view(yaw=0.6, pitch=0.7):
    return Pose(so3_exp((pitch, 0, 0)) @ so3_exp((0, yaw, 0)), np.array((0.03, -0.02, 0.8)))


def test_three_faces_give_size_place_and_axes():
    pose = corner_view()
    box = oriented_box(visible(pose))
    np.testing.assert_allclose(box.size, SIZE, atol=0.012)
    np.testing.assert_allclose(box.pose.translation, pose.translation, atol=0.008)
    assert (np.abs(np.diag(box.pose.rotation.T @ pose.rotation)) > np.cos(np.radians(4))).all()


def test_one_face_gives_a_thin_box_at_the_surface():
    box = oriented_box(visible(Pose(np.eye(3), np.array((0.0, 0.0, 0.8)))))
    np.testing.assert_allclose(box.size[:2], SIZE[:2], atol=0.012)
    assert box.size[2] < 0.01
    assert box.pose.translation[2] == pytest.approx(0.77, abs=0.003)
    assert box.pose.rotation[2, 2] == pytest.approx(-1.0, abs=0.01)  # towards the camera


@settings(max_examples=15, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3))
def test_axes_are_as_promised_whatever_the_turn(a, b, c):
    box = oriented_box(visible(Pose(so3_exp((a, b, c)), np.array((0.0, 0.0, 0.8)))))
    R = box.pose.rotation
    np.testing.assert_allclose(R.T @ R, np.eye(3), atol=1e-9)
    assert np.linalg.det(R) == pytest.approx(1.0)
    assert (np.diff(box.size) <= 0).all()
    assert R[np.abs(R[:, 0]).argmax(), 0] > 0 and R[2, 2] <= 1e-6


def test_strays_do_not_stretch_it():
    points = visible(corner_view())
    strays = np.random.default_rng(0).uniform(-0.3, 0.3, (len(points) // 300, 3)) + (0, 0, 0.8)
    grown = oriented_box(np.concatenate((points, strays)).astype(np.float32))
    assert grown.size.max() < 0.3


def test_a_box_with_one_axis_up():
    """Two faces of a standing box, seen from above."""
    up = np.array((0.0, -np.sin(0.5), -np.cos(0.5)))
    side = np.array((1.0, 0.0, 0.0))
    pose = Pose(np.column_stack((side, np.cross(up, side), up)) @ so3_exp((0, 0, 0.3)), np.array((0.0, 0.0, 0.8)))
    box = upright_box(visible(pose), up)
    assert np.abs(up @ box.pose.rotation).max() == pytest.approx(1.0)
    np.testing.assert_allclose(np.sort(box.size)[1:], np.sort(SIZE)[1:], atol=0.012)
    assert (np.diff(box.size) <= 0).all()


def test_too_few_points():
    with pytest.raises(FrameError) as caught:
        oriented_box(np.zeros((5, 3), np.float32))
    assert caught.value.reason == 'depth_missing'
