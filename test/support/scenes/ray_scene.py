# SPDX-License-Identifier: Apache-2.0
"""Depth images computed exactly: rays against cuboids, cylinders and planes."""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp

K = np.array(((500.0, 0, 159.5), (0, 500.0, 119.5), (0, 0, 1)))
CAMERA = CameraModel(320, 240, K)
WH = (320, 240)


def rays(camera: CameraModel = CAMERA) -> np.ndarray:
    """(H, W, 3) directions with z = 1, so a ray's parameter is depth."""
    x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    flat = camera.undistort(np.stack((x.ravel(), y.ravel()), 1).astype(float))
    return np.concatenate((flat, np.ones((len(flat), 1))), axis=1).reshape(camera.height, camera.width, 3)


def cuboid(pose: Pose, size, camera: CameraModel = CAMERA) -> np.ndarray:
    """(H, W) depth of a box, inf where it isn't."""
    d = rays(camera) @ pose.rotation
    o = -pose.rotation.T @ pose.translation
    half = np.asarray(size) / 2
    with np.errstate(divide='ignore', invalid='ignore'):
        a, b = (-half - o) / d, (half - o) / d
    near, far = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
    return np.where((near <= far) & (near > 0), near, np.inf)


def cylinder(pose: Pose, radius: float, height: float, camera: CameraModel = CAMERA) -> np.ndarray:
    """(H, W) depth of a cylinder about its z axis, inf where it isn't."""
    d = rays(camera) @ pose.rotation
    o = -pose.rotation.T @ pose.translation
    with np.errstate(divide='ignore', invalid='ignore'):
        a = d[..., 0] ** 2 + d[..., 1] ** 2
        b = d[..., 0] * o[0] + d[..., 1] * o[1]
        side = (-b - np.sqrt(b * b - a * (o[0] ** 2 + o[1] ** 2 - radius**2))) / a
        side = np.where(np.abs(o[2] + side * d[..., 2]) <= height / 2, side, np.inf)
        cap = (np.copysign(height / 2, o[2]) - o[2]) / d[..., 2]
        inside = np.hypot(o[0] + cap * d[..., 0], o[1] + cap * d[..., 1]) <= radius
        cap = np.where(inside & (cap > 0), cap, np.inf)
    return np.fmin(np.where(np.isnan(side), np.inf, side), cap)


def plane(point, normal, camera: CameraModel = CAMERA) -> np.ndarray:
    """(H, W) depth of an endless plane."""
    with np.errstate(divide='ignore'):
        t = (np.asarray(point, float) @ np.asarray(normal, float)) / (rays(camera) @ np.asarray(normal, float))
    return np.where(t > 0, t, np.inf)


def noisy(depth: np.ndarray, sigma: float = 0.002, holes: float = 0.0, seed: int = 0) -> np.ndarray:
    """float32 metres with Gaussian noise, and NaN where nothing is or a hole was drawn."""
    rng = np.random.default_rng(seed)
    made = depth + rng.normal(0.0, sigma, depth.shape) if sigma else depth.copy()
    made[rng.random(depth.shape) < holes] = np.nan
    made[~np.isfinite(made)] = np.nan
    return made.astype(np.float32)


def box_around(shown: np.ndarray) -> np.ndarray:
    """(4,) box in edge pixels around the true pixels of a mask."""
    y, x = np.nonzero(shown)
    return np.array((x.min(), y.min(), x.max() + 1, y.max() + 1), np.float32)


def perturbed(pose: Pose, shift: float, degrees: float, seed: int) -> Pose:
    """Shifted and turned by exactly so much, in a random direction."""
    rng = np.random.default_rng(seed)
    u, w = rng.normal(size=3), rng.normal(size=3)
    turn = so3_exp(w / np.linalg.norm(w) * np.radians(degrees))
    return Pose(turn @ pose.rotation, pose.translation + u / np.linalg.norm(u) * shift)
