# SPDX-License-Identifier: Apache-2.0
"""Weak keypoints: what they say about a pose, by their confidence."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp
from isaac_inference.ops.pose.keypoint_fit import WeakKeypoints

CAMERA = CameraModel(640, 480, np.array(((600.0, 0, 320), (0, 600, 240), (0, 0, 1))), (), 'none')
CORNERS = cuboid_corners((0.16, 0.06, 0.22))
DIAMETER = float(np.linalg.norm((0.16, 0.06, 0.22)))
TRUTH = Pose(so3_exp((0.4, -0.7, 0.3)), np.array((0.05, -0.02, 0.8)))
LOOSE = np.diag(np.repeat((0.05**2, np.radians(15.0) ** 2), 3))


def rows(confidence) -> np.ndarray:
    return np.column_stack((CAMERA.project(TRUTH.apply(CORNERS)) + 0.5, np.broadcast_to(confidence, 8)))


def weak(keypoints: np.ndarray) -> WeakKeypoints:
    return WeakKeypoints.build(keypoints, CORNERS, CAMERA, DIAMETER)


def test_the_true_pose_costs_nothing_and_half_turns_cost_much() -> None:
    keypoints = weak(rows(0.8))
    assert keypoints.cost(TRUTH) == pytest.approx(0.0, abs=1e-9)
    for axis in np.eye(3):
        assert keypoints.cost(Pose(TRUTH.rotation @ so3_exp(np.pi * axis), TRUTH.translation)) > 30


def test_an_unsure_keypoint_costs_less_than_a_sure_one() -> None:
    costs = []
    for confidence in (0.1, 0.5, 0.9):
        keypoints = rows(confidence)
        keypoints[3, :2] += 6.0
        costs.append(weak(keypoints).cost(TRUTH))
    assert 0 < costs[0] < costs[1] < costs[2] <= 9.0


def test_fitting_takes_back_an_error_despite_a_wild_keypoint() -> None:
    keypoints = rows([0.9] * 7 + [0.1])
    keypoints[7, :2] += 200.0
    start = Pose(so3_exp((0.05, -0.08, 0.06)) @ TRUTH.rotation, TRUTH.translation + (0.02, -0.01, 0.03))
    fitted = weak(keypoints).fits([start], LOOSE)[0]
    assert fitted is not None
    pose, covariance = fitted
    assert np.linalg.norm(pose.translation - TRUTH.translation) < 0.004
    assert rotation_angle(pose.rotation @ TRUTH.rotation.T) < np.radians(1.5)
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_without_sure_keypoints_the_prior_stands() -> None:
    start = Pose(TRUTH.rotation, TRUTH.translation + (0.0, 0.0, 0.01))
    fitted = WeakKeypoints.build(rows(0.0)[:1], CORNERS[:1], CAMERA, DIAMETER).fits([start], LOOSE * 1e-4)[0]
    assert fitted is not None
    np.testing.assert_allclose(fitted[0].translation, start.translation, atol=1e-4)


def test_a_pose_behind_the_camera_is_none() -> None:
    behind = Pose(np.eye(3), np.array((0.0, 0.0, -1.0)))
    assert weak(rows(0.9)).cost(behind) == np.inf
    assert weak(rows(0.9)).fits([behind], LOOSE)[0] is None


def test_points_that_were_not_looked_for_say_nothing() -> None:
    half = rows((0.9,) * 4 + (0.0,) * 4)
    half[4:, :2] = 0.0  # as the tags of an object that are not seen
    keypoints = weak(half)
    assert keypoints.cost(TRUTH) == pytest.approx(0.0, abs=1e-9)
    assert keypoints.confidence == pytest.approx(0.9)
