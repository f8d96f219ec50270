# SPDX-License-Identifier: Apache-2.0
"""A flat road with a box on it, as a camera on a robot sees it: class mask and depth, exact, ray by ray."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp

SKY, ROAD, GRASS, BOX = range(4)
NAMES = ['sky', 'road', 'grass', 'box']
CAMERA = CameraModel(160, 120, np.array([[110.0, 0, 79.5], [0, 110, 59.5], [0, 0, 1]]))
_OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # optical axes in a frame with x forward and z up


def mounted(height: float = 0.7, pitch: float = 0.35) -> Pose:
    """T_base_camera of a camera above the base frame's origin that looks forward and down by `pitch`, rad."""
    return Pose(so3_exp((0.0, pitch, 0.0)) @ _OPTICAL, np.array((0.0, 0.0, height)))


@dataclass(frozen=True)
class Box:
    """A box on the ground, m in the base frame."""

    near: float
    far: float
    left: float
    right: float
    height: float


@dataclass(frozen=True, eq=False)
class FlatGround:
    """What the camera sees.

    Attributes:
        mask: (H, W) uint8.
        depth: (H, W) float32 m along the optical axis, NaN for the sky.
    """

    mask: np.ndarray
    depth: np.ndarray


def flat_ground(T_base_camera: Pose, box: Box | None = None, half_width: float = 1.5) -> FlatGround:
    """A road of |y| < `half_width` with grass beside it."""
    rows, columns = np.mgrid[: CAMERA.height, : CAMERA.width]
    flat = CAMERA.undistort(np.stack((columns.ravel(), rows.ravel()), axis=1))
    rays = np.column_stack((flat, np.ones(len(flat)))) @ T_base_camera.rotation.T
    start = T_base_camera.translation
    with np.errstate(divide='ignore', invalid='ignore'):
        ground = np.where(rays[:, 2] < 0, -start[2] / rays[:, 2], np.inf)
        across = start[1] + ground * rays[:, 1]
    mask = np.where(np.isinf(ground), SKY, np.where(np.abs(across) < half_width, ROAD, GRASS))
    depth = ground
    if box is not None:
        hit = _enter(start, rays, box)
        mask = np.where(hit < depth, BOX, mask)
        depth = np.minimum(depth, hit)
    depth = np.where(np.isfinite(depth), depth, np.nan).astype(np.float32)
    shape = (CAMERA.height, CAMERA.width)
    return FlatGround(mask.astype(np.uint8).reshape(shape), depth.reshape(shape))


def _enter(start: np.ndarray, rays: np.ndarray, box: Box) -> np.ndarray:
    """How far along each ray it enters the box; infinite where it misses it (slab method)."""
    low, high = np.array((box.near, box.right, 0.0)), np.array((box.far, box.left, box.height))
    with np.errstate(divide='ignore', invalid='ignore'):
        one, other = (low - start) / rays, (high - start) / rays
    enter, leave = np.minimum(one, other).max(axis=1), np.maximum(one, other).min(axis=1)
    return np.where((enter < leave) & (enter > 0), enter, np.inf)
