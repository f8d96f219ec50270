# SPDX-License-Identifier: Apache-2.0
"""How well a pose agrees with weak keypoints, and the most probable pose near it.

The keypoints of a half-hidden object are few and inaccurate, and not enough for a pose. They still show which of a few
candidate poses it is, and roughly where it lies in the directions that depth leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp, so3_log

_AT_ONE, _AT_ZERO = 0.006, 0.08  # standard deviation at confidence 1 and 0, in diameters of the object
_MIN_PX = 1.0
_WILD = 9.0  # squared standard deviations beyond which a keypoint is an outlier, however far off it is
_STEPS = 8


@dataclass(frozen=True, eq=False)
class WeakKeypoints:
    """One object's keypoints with the errors that their confidences suggest.

    Attributes:
        model: (K, 3) m, object frame.
        directions: (K, 2) x/z and y/z in which they are seen.
        spread: (K,) standard deviation of each coordinate in metres across the view, at the object.
        min_spread: minimum standard deviation, in x/z.
        confidence: mean of them, 0 to 1.

    Example: the true pose costs nothing; 0.1 m aside all eight keypoints are outliers, which cost 9 each.
        >>> camera = CameraModel(640, 480, np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]))
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> truth = Pose(np.eye(3), np.array([0, 0, 1.0]))
        >>> pixels = camera.project(truth.apply(corners)) + 0.5  # measured from the image's edge
        >>> keypoints = WeakKeypoints.build(np.column_stack((pixels, np.ones(8))), corners, camera, diameter=0.35)
        >>> [round(keypoints.cost(Pose(np.eye(3), np.array([x, 0, 1]))), 6) for x in (0.0, 0.1)]
        [0.0, 72.0]
    """

    model: np.ndarray
    directions: np.ndarray
    spread: np.ndarray
    min_spread: float
    confidence: float

    @classmethod
    def build(cls, keypoints: np.ndarray, model: np.ndarray, camera: CameraModel, diameter: float) -> WeakKeypoints:
        """From (K, 3) x and y px (edge-based) with confidence, and (K, 3) m; unusable keypoints are dropped."""
        directions = camera.undistort(np.asarray(keypoints[:, :2], np.float64) - 0.5)
        used = np.isfinite(directions).all(axis=1) & np.isfinite(keypoints[:, 2])
        doubt = 1.0 - np.clip(keypoints[used, 2], 0.0, 1.0)
        spread = diameter * (_AT_ONE + (_AT_ZERO - _AT_ONE) * doubt**1.5)
        confidence = 1.0 - float(doubt.mean()) if len(doubt) else 0.0
        return cls(np.asarray(model, np.float64)[used], directions[used], spread, _MIN_PX / camera.focal, confidence)

    def cost(self, pose: Pose) -> float:
        """Sum of the squared errors in standard deviations, each up to 9; inf for a pose behind the camera."""
        points = pose.apply(self.model)
        if points[:, 2].min() <= 0.0:
            return np.inf
        off = points[:, :2] / points[:, 2:] - self.directions
        squares = (off**2).sum(axis=1) / self._deviation(points) ** 2
        return float(np.minimum(squares, _WILD).sum())

    def fitted(self, start: Pose, prior: np.ndarray) -> tuple[Pose, np.ndarray] | None:
        """The most probable pose and its (6, 6) covariance, given a prior at `start`; None when the fit diverges.

        Gauss-Newton with Cauchy's weights: the covariance is of translation, then fixed-axis rotation, camera frame.

        Args:
            start: T_camera_object.
            prior: (6, 6) covariance of `start`.
        """
        held = np.linalg.inv(prior)
        R, t = start.rotation, start.translation
        for _ in range(_STEPS):
            turned = self.model @ R.T
            points = turned + t
            z = points[:, 2]
            if z.min() <= 0.02:
                return None
            off, weights, rows = self._equations(turned, points)
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

    def covariance(self, pose: Pose) -> np.ndarray | None:
        """(6, 6) of what the keypoints alone leave open at a pose, as `fitted`'s; None where that is a direction."""
        turned = self.model @ pose.rotation.T
        points = turned + pose.translation
        if len(points) == 0 or points[:, 2].min() <= 0.02:
            return None
        _, weights, rows = self._equations(turned, points)
        H = (rows * weights[:, None]).T @ rows
        scale = np.sqrt(H.diagonal())
        if not (scale > 0.0).all() or np.linalg.eigvalsh(H / np.outer(scale, scale))[0] < 1e-9:
            return None
        return np.linalg.inv(H)

    def _equations(self, turned: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(K, 2) errors, (2 K,) Cauchy's weights, and the (2 K, 6) Jacobian, of the turned and the moved points."""
        z = points[:, 2]
        off = points[:, :2] / z[:, None] - self.directions
        deviation = self._deviation(points)
        squares = (off**2).sum(axis=1) / deviation**2
        weights = np.repeat(1.0 / (1.0 + squares / _WILD) / deviation**2, 2)
        J = np.zeros((len(z), 2, 6))
        J[:, 0, 0] = J[:, 1, 1] = 1.0 / z
        J[:, :, 2] = -points[:, :2] / z[:, None] ** 2
        J[:, :, 3:] = np.cross(turned[:, None, :], J[:, :, :3])
        return off, weights, J.reshape(-1, 6)

    def _deviation(self, points: np.ndarray) -> np.ndarray:
        return np.maximum(self.spread / float(np.median(points[:, 2])), self.min_spread)
