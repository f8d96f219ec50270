# SPDX-License-Identifier: Apache-2.0
"""A camera, things to see with it, and what a network would say where their corners are."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.geometry.symmetry import rotation_error
from isaac_inference.ops.pose.pnp import PnpSettings, PoseEstimate, estimate_pnp

CAMERA = CameraModel.from_camera_info(640, 480, '', (), (600, 0, 320, 0, 610, 240, 0, 0, 1))
BOX = cuboid_corners((0.2, 0.15, 0.1))
CARD = np.array([[-0.15, -0.1, 0], [0.15, -0.1, 0], [0.15, 0.1, 0], [-0.15, 0.1, 0], [0.05, 0.02, 0]])
THIN = cuboid_corners((0.3, 0.2, 0.004))
SETTINGS = PnpSettings()
STRAIGHT = Pose(so3_exp((0.5, 0.8, 0.3)), np.array([0.1, -0.1, 1.0]))


def random_pose(rng: np.random.Generator, distance: float) -> Pose:
    """Any rotation, well within the image."""
    aside = rng.uniform(-0.2, 0.2, 2) * distance
    return Pose.from_quaternion(rng.normal(size=4), (*aside, distance))


def seen(
    pose: Pose,
    model: np.ndarray = BOX,
    camera: CameraModel = CAMERA,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """What a network would report, measured from pixel edges."""
    pixels = camera.project(pose.apply(model)) + 0.5
    if rng is not None:
        pixels = pixels + rng.normal(size=pixels.shape) * noise
    return np.concatenate((pixels, np.ones((len(pixels), 1))), axis=1)


def position_error(found: PoseEstimate, truth: Pose) -> float:
    """As part of the distance."""
    return float(np.linalg.norm(found.pose.translation - truth.translation) / np.linalg.norm(truth.translation))


def turned_error(found: PoseEstimate, truth: Pose) -> float:
    return rotation_error(found.pose, truth)


def refused(reason: str, keypoints: np.ndarray, model: np.ndarray = BOX, settings: PnpSettings = SETTINGS) -> str:
    with pytest.raises(FrameError) as caught:
        estimate_pnp(keypoints, model, CAMERA, settings)
    assert caught.value.reason == reason, str(caught.value)
    return str(caught.value)
