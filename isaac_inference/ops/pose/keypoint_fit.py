# SPDX-License-Identifier: Apache-2.0
"""How well a pose agrees with weak keypoints, and the pose nearest to it that agrees best.

Of an object that is half hidden, a network's keypoints are few and loose, too few for a pose. They still tell which of
a handful of poses it is, and about where in the directions that depth leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp, so3_log

_SURE, _UNSURE = 0.006, 0.08  # standard deviation at confidence 1 and 0, of the object's diameter
_LEAST_PX = 1.0
_WILD = 9.0  # squared standard deviations from which on a keypoint is wrong, and how wrong doesn't matter
_STEPS = 8


@dataclass(frozen=True, eq=False)
class WeakKeypoints:
    """One object's keypoints with what their confidence says about their error.

    Attributes:
        model: (K, 3) m, object frame.
        places: (K, 2) x/z and y/z where they are seen.
        spread: (K,) standard deviation of each coordinate in metres across the view, at the object.
        floor: the least spread, in x/z.
    """

    model: np.ndarray
    places: np.ndarray
    spread: np.ndarray
    floor: float

    @classmethod
    def build(cls, keypoints: np.ndarray, model: np.ndarray, camera: CameraModel, diameter: float) -> WeakKeypoints:
        """From (K, 3) x and y px (edge-based) with confidence, and (K, 3) m; unusable keypoints are left out."""
        places = camera.undistort(np.asarray(keypoints[:, :2], np.float64) - 0.5)
        used = np.isfinite(places).all(axis=1) & np.isfinite(keypoints[:, 2])
        doubt = 1.0 - np.clip(keypoints[used, 2], 0.0, 1.0)
        spread = diameter * (_SURE + (_UNSURE - _SURE) * doubt**1.5)
        return cls(np.asarray(model, np.float64)[used], places[used], spread, _LEAST_PX / camera.focal)

    def cost(self, pose: Pose) -> float:
        """Sum of the squared errors in standard deviations, each up to 9; inf for a pose behind the camera."""
        points = pose.apply(self.model)
        if points[:, 2].min() <= 0.0:
            return np.inf
        off = points[:, :2] / points[:, 2:] - self.places
        squares = (off**2).sum(axis=1) / self._deviation(points) ** 2
        return float(np.minimum(squares, _WILD).sum())

    def fitted(self, start: Pose, prior: np.ndarray) -> tuple[Pose, np.ndarray] | None:
        """The most probable pose and its (6, 6) covariance, given that it is about `start`; None when it falls apart.

        Gauss-Newton with Cauchy's weights: the covariance is of fixed-axis rotation after translation, camera frame.

        Args:
            start: T_camera_object.
            prior: (6, 6) covariance of it.
        """
        held = np.linalg.inv(prior)
        R, t = start.rotation, start.translation
        for _ in range(_STEPS):
            turned = self.model @ R.T
            points = turned + t
            z = points[:, 2]
            if z.min() <= 0.02:
                return None
            off = points[:, :2] / z[:, None] - self.places
            deviation = self._deviation(points)
            squares = (off**2).sum(axis=1) / deviation**2
            weights = np.repeat(1.0 / (1.0 + squares / _WILD) / deviation**2, 2)
            J = np.zeros((len(z), 2, 6))
            J[:, 0, 0] = J[:, 1, 1] = 1.0 / z
            J[:, :, 2] = -points[:, :2] / z[:, None] ** 2
            J[:, :, 3:] = np.cross(turned[:, None, :], J[:, :, :3])
            rows = J.reshape(-1, 6)
            weighted = rows * weights[:, None]
            H = weighted.T @ rows + held
            moved = np.concatenate((t - start.translation, so3_log(R @ start.rotation.T)))
            step = -np.linalg.solve(H, weighted.T @ off.ravel() + held @ moved)
            if not np.isfinite(step).all() or np.abs(step[3:]).max() > 1.0:
                return None
            t, R = t + step[:3], so3_exp(step[3:]) @ R
            if np.abs(step).max() < 1e-4:
                break
        return Pose(R, t), np.linalg.inv(H)

    def _deviation(self, points: np.ndarray) -> np.ndarray:
        return np.maximum(self.spread / float(np.median(points[:, 2])), self.floor)
