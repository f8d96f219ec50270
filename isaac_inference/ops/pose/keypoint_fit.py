# SPDX-License-Identifier: Apache-2.0
"""How well a pose agrees with weak keypoints, and the most probable pose near it.

The keypoints of a half-hidden object are few and inaccurate, and not enough for a pose. They still show which of a few
candidate poses it is, and roughly where it lies in the directions that depth leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exps

_AT_ONE, _AT_ZERO = 0.006, 0.08  # standard deviation at confidence 1 and 0, in diameters of the object
_MIN_PX = 1.0
_WILD = 9.0  # squared standard deviations beyond which a keypoint is an outlier, however far off it is
_STEPS = 8
_NEAREST_M = 0.02  # a point of the object is never nearer to the camera


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
        # confidence 0 is a point that was not looked for, such as a tag's that is not seen: it says nothing
        used = np.isfinite(directions).all(axis=1) & np.isfinite(keypoints[:, 2]) & (keypoints[:, 2] > 0.0)
        doubt = 1.0 - np.clip(keypoints[used, 2], 0.0, 1.0)
        spread = diameter * (_AT_ONE + (_AT_ZERO - _AT_ONE) * doubt**1.5)
        confidence = 1.0 - float(doubt.mean()) if len(doubt) else 0.0
        return cls(np.asarray(model, np.float64)[used], directions[used], spread, _MIN_PX / camera.focal, confidence)

    def cost(self, pose: Pose) -> float:
        """Sum of the squared errors in standard deviations, each up to 9; inf for a pose behind the camera."""
        return float(self.costs([pose])[0])

    def costs(self, poses: Sequence[Pose]) -> np.ndarray:
        """(N,) `cost` of each pose."""
        points = self._turned(_rotations(poses)) + _translations(poses)[:, None]
        in_front = points[:, :, 2].min(axis=1, initial=np.inf) > 0.0
        with np.errstate(divide='ignore', invalid='ignore'):
            off = points[:, :, :2] / points[:, :, 2:] - self.directions
            squares = (off**2).sum(axis=2) / self._deviation(points) ** 2
        return np.where(in_front, np.minimum(squares, _WILD).sum(axis=1), np.inf)

    def fits(self, starts: Sequence[Pose], prior: np.ndarray) -> list[tuple[Pose, np.ndarray] | None]:
        """The most probable pose and its (6, 6) covariance from each start; None where the fit diverges.

        As many at once cost little more than one. Gauss-Newton with Cauchy's weights; the covariance is of translation,
        then fixed-axis rotation, camera frame.

        Args:
            starts: T_camera_object each.
            prior: (6, 6) covariance of each.
        """
        if not starts:
            return []
        held = np.linalg.inv(prior)
        R, t = _rotations(starts), _translations(starts)
        R_start, t_start = R, t
        usable = np.ones(len(starts), np.bool_)
        H = np.broadcast_to(held, (len(starts), 6, 6))
        for _ in range(_STEPS):
            turned = self._turned(R)
            points = turned + t[:, None]
            usable &= points[:, :, 2].min(axis=1, initial=np.inf) > _NEAREST_M
            points[~usable] = turned[~usable] + (0.0, 0.0, 1e3)  # of no account
            off, weights, rows = self._equations(turned, points)
            weighted = rows * weights[:, :, None]
            H = weighted.transpose(0, 2, 1) @ rows + held
            moved = np.concatenate((t - t_start, _rotation_vectors(R @ R_start.transpose(0, 2, 1))), axis=1)
            gradient = np.einsum('nki,nk->ni', weighted, off) + moved @ held
            step = -np.linalg.solve(H, gradient[:, :, None])[:, :, 0]
            usable &= np.isfinite(step).all(axis=1) & (np.abs(step[:, 3:]).max(axis=1) <= 1.0)
            step[~usable] = 0.0
            t, R = t + step[:, :3], so3_exps(step[:, 3:]) @ R
            if np.abs(step).max() < 1e-4:
                break
        return [(Pose(R[i], t[i]), np.linalg.inv(H[i])) if usable[i] else None for i in range(len(starts))]

    def covariance(self, pose: Pose) -> np.ndarray | None:
        """(6, 6) of what the keypoints alone leave open at a pose, as `fits`'s; None where that is a direction."""
        turned = self._turned(pose.rotation[None])
        points = turned + pose.translation
        if points[:, :, 2].min(initial=np.inf) <= _NEAREST_M or len(self.model) == 0:
            return None
        _, weights, rows = self._equations(turned, points)
        H = (rows[0] * weights[0, :, None]).T @ rows[0]
        scale = np.sqrt(H.diagonal())
        if not (scale > 0.0).all() or np.linalg.eigvalsh(H / np.outer(scale, scale))[0] < 1e-9:
            return None
        inverse: np.ndarray = np.linalg.inv(H)
        return inverse

    def _turned(self, rotations: np.ndarray) -> np.ndarray:
        turned: np.ndarray = self.model @ rotations.transpose(0, 2, 1)
        return turned

    def _equations(self, turned: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N, 2 K) errors, (N, 2 K) Cauchy's weights, and the (N, 2 K, 6) Jacobian, of turned and moved points."""
        n, count = points.shape[:2]
        inverse = 1.0 / points[:, :, 2]
        u, v = points[:, :, 0] * inverse, points[:, :, 1] * inverse
        off = np.stack((u, v), axis=2) - self.directions
        deviation = self._deviation(points)
        squares = (off**2).sum(axis=2) / deviation**2
        weights = np.repeat(1.0 / (1.0 + squares / _WILD) / deviation**2, 2, axis=1)
        a, b, c = turned[:, :, 0], turned[:, :, 1], turned[:, :, 2]
        J = np.zeros((n, count, 2, 6))
        J[:, :, 0, 0] = J[:, :, 1, 1] = 1.0
        J[:, :, 0, 2], J[:, :, 1, 2] = -u, -v
        # d(x, y, z) = w x (a, b, c), and d(x / z) = (dx - u dz) / z
        J[:, :, 0, 3], J[:, :, 0, 4], J[:, :, 0, 5] = -u * b, c + u * a, -b
        J[:, :, 1, 3], J[:, :, 1, 4], J[:, :, 1, 5] = -c - v * b, v * a, a
        J *= inverse[:, :, None, None]
        return off.reshape(n, 2 * count), weights, J.reshape(n, 2 * count, 6)

    def _deviation(self, points: np.ndarray) -> np.ndarray:
        distances = np.median(points[:, :, 2], axis=1) if len(self.model) else np.ones(len(points))
        deviation: np.ndarray = np.maximum(self.spread / distances[:, None], self.min_spread)
        return deviation


def _rotations(poses: Sequence[Pose]) -> np.ndarray:
    return np.stack([pose.rotation for pose in poses])


def _translations(poses: Sequence[Pose]) -> np.ndarray:
    return np.stack([pose.translation for pose in poses])


def _rotation_vectors(matrices: np.ndarray) -> np.ndarray:
    """(N, 3) of (N, 3, 3) rotations by less than half a turn."""
    skew = np.stack(
        (
            matrices[:, 2, 1] - matrices[:, 1, 2],
            matrices[:, 0, 2] - matrices[:, 2, 0],
            matrices[:, 1, 0] - matrices[:, 0, 1],
        ),
        axis=1,
    )
    sine, cosine = np.linalg.norm(skew, axis=1), np.trace(matrices, axis1=1, axis2=2) - 1.0
    angles = np.arctan2(sine, cosine)
    vectors: np.ndarray = skew * np.where(sine > 1e-12, angles / np.maximum(sine, 1e-12), 0.5)[:, None]
    return vectors
