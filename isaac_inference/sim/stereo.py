# SPDX-License-Identifier: Apache-2.0
"""A scene seen by two cameras side by side, with the exact disparity of the first one's picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.sim.camera import default_camera
from isaac_inference.sim.scene import Scene
from isaac_inference.sim.sensor import SensorSettings, sense_color

BASELINE = 0.06  # m
_EXACT = SensorSettings(blur=0.0, noise=0.0, depth_noise=0.0, depth_hole_edges=False)
_SAME_SURFACE = 0.01  # relative: depths that the two cameras see of one point


@dataclass(frozen=True, eq=False)
class StereoSample:
    """Two pictures of one moment, and what is true of the left one.

    Attributes:
        left, right: (H, W, 3) uint8 BGR.
        depth: (H, W) float32 m along the left camera's z, exact; NaN where nothing is in range.
        disparity: (H, W) float32 px, x in the left picture minus x in the right one, exact; NaN with `depth`. Of
            cameras without distortion that look the same way only: all NaN for others.
        visible: (H, W) bool, where the right camera sees the same point; all False with `disparity` all NaN.
        left_camera, right_camera: their lenses.
        T_left_right: where the right camera is.
    """

    left: np.ndarray
    right: np.ndarray
    depth: np.ndarray
    disparity: np.ndarray
    visible: np.ndarray
    left_camera: CameraModel
    right_camera: CameraModel
    T_left_right: Pose


def stereo_sample(
    seed: int,
    time_s: float = 0.0,
    *,
    left_camera: CameraModel | None = None,
    right_camera: CameraModel | None = None,
    T_left_right: Pose | None = None,
    sensor: SensorSettings | None = None,
    objects: int = 6,
) -> StereoSample:
    """A table-top scene as two cameras see it; equal arguments make equal samples.

    Each camera has noise and gains of its own: what both share a matcher would find at the disparity 0.

    Args:
        seed: everything random follows from it.
        time_s: of the moving scene.
        left_camera, right_camera: default: `default_camera()`, and the left one for both.
        T_left_right: default: BASELINE to the right.
        sensor: the faults of both cameras; default: blur and noise drawn from the seed.
        objects: how many.

    Example: what is nearer has the larger disparity.
        >>> sample = stereo_sample(1, left_camera=default_camera(160, 120))
        >>> bool(np.allclose(sample.disparity, 0.94 * 160 * BASELINE / sample.depth, equal_nan=True))
        True
    """
    left_camera = left_camera or default_camera()
    right_camera = right_camera or left_camera
    T_left_right = T_left_right or Pose(np.eye(3), np.array([BASELINE, 0.0, 0.0]))
    rng = np.random.default_rng([13, seed, round(time_s * 1e6)])
    left = Scene(left_camera, seed, objects=objects, sensor=_EXACT).frame(time_s)
    right = _Beside(right_camera, seed, T_left_right, objects).frame(time_s)
    blur, noise = rng.uniform(0.4, 0.8), rng.uniform(1.5, 5.0)
    faults = [
        sensor or SensorSettings(blur=blur, noise=noise, gains=tuple(rng.uniform(0.97, 1.03, 3))) for _ in range(2)
    ]
    seen = [sense_color(frame.color, fault, rng) for frame, fault in zip((left, right), faults, strict=True)]
    disparity, visible = _disparity(left.depth, right.depth, left_camera, right_camera, T_left_right)
    return StereoSample(seen[0], seen[1], left.depth, disparity, visible, left_camera, right_camera, T_left_right)


class _Beside(Scene):
    """The same scene from where another camera is."""

    def __init__(self, camera: CameraModel, seed: int, T_left_right: Pose, objects: int) -> None:
        super().__init__(camera, seed, objects=objects, sensor=_EXACT)
        self._T_left_right = T_left_right

    def camera_pose(self, time_s: float) -> Pose:
        return super().camera_pose(time_s) @ self._T_left_right


def _disparity(
    depth: np.ndarray, right_depth: np.ndarray, left: CameraModel, right: CameraModel, T_left_right: Pose
) -> tuple[np.ndarray, np.ndarray]:
    """((H, W) float32 px, (H, W) bool), see `StereoSample`."""
    shift = T_left_right.translation
    is_rectified = (
        not left.distortion
        and not right.distortion
        and np.allclose(T_left_right.rotation, np.eye(3), atol=1e-9)
        and not shift[1:].any()
        and np.allclose(left.K[(0, 1, 1), (0, 1, 2)], right.K[(0, 1, 1), (0, 1, 2)])
    )
    if not is_rectified:
        return np.full_like(depth, np.nan), np.zeros(depth.shape, np.bool_)
    disparity = (left.K[0, 0] * shift[0] / depth + left.K[0, 2] - right.K[0, 2]).astype(np.float32)
    columns, rows = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in depth.shape[::-1]))
    seen = cv2.remap(right_depth, columns - disparity, rows, cv2.INTER_NEAREST, borderValue=(np.nan,))
    with np.errstate(invalid='ignore'):
        visible = np.abs(seen - depth) < _SAME_SURFACE * depth
    return disparity, visible
