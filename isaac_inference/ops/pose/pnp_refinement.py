# SPDX-License-Identifier: Apache-2.0
"""The last step of PnP: weighted, robust least squares over the six parameters of a pose, and its covariance.

Observations are normalised image coordinates times a focal length, so residuals are in pixels and the projection is
just a division. Poses are perturbed as in the covariance of ROS messages: the translation by addition, the rotation
from the left about the object's own origin, `X = so3_exp(w) @ R @ p + t + dt`, so the covariance needs no conversion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.rigid import Pose, so3_exp

MAX_STEPS = 15
_SMALLEST_DAMPING = 1e-9
_LARGEST_DAMPING = 1e6
_CONVERGED = 1e-6  # rad, and relative to the distance; the next step would be smaller still
_GAIN = 1e-3  # of the cost; with ten residuals of one sigma, the pose is off by at most a tenth of a sigma


@dataclass(frozen=True, eq=False)
class Observations:
    """N model points and where they were seen.

    Attributes:
        model: (N, 3) in metres, object frame.
        pixels: (N, 2) normalised coordinates times `focal`: pixels from the principal point, distortion undone.
        weights: (N,) with mean 1, so that a residual of weight 1 is in pixels.
        focal: pixels.
    """

    model: np.ndarray
    pixels: np.ndarray
    weights: np.ndarray
    focal: float

    def select(self, mask: np.ndarray) -> Observations:
        """The points of an (N,) boolean mask."""
        return Observations(self.model[mask], self.pixels[mask], self.weights[mask], self.focal)


def residuals(seen: Observations, pose: Pose) -> np.ndarray:
    """(N, 2) projection minus observation in pixels; inf where a point is not in front of the camera.

    Example: 0.01 m aside at 1 m and 500 px.
        >>> seen = Observations(np.zeros((1, 3)), np.zeros((1, 2)), np.ones(1), focal=500.0)
        >>> residuals(seen, Pose(np.eye(3), np.array([0.01, 0.0, 1.0]))).tolist()
        [[5.0, 0.0]]
    """
    return _evaluate(seen, pose).residual


def refine(seen: Observations, pose: Pose, huber: float, steps: int = MAX_STEPS) -> tuple[Pose, float]:
    """Levenberg-Marquardt with Huber's loss from a roughly correct start.

    Args:
        seen: three points or more.
        pose: the start, all points in front of the camera.
        huber: pixels; longer residuals count by their length instead of their square.
        steps: largest number of steps; it stops earlier when it has converged.

    Returns:
        The pose and its cost in weighted squared pixels. The cost is inf when the start is unusable.

    Example: from 5 cm aside and 10 cm too far.
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> seen = Observations(corners, 600 * corners[:, :2] / (1 + corners[:, 2:]), np.ones(8), focal=600.0)
        >>> pose, cost = refine(seen, Pose(np.eye(3), np.array([0.05, 0, 1.1])), huber=2.0)
        >>> np.allclose(pose.translation, (0, 0, 1), atol=1e-6), round(cost, 6)
        (True, 0.0)
    """
    state = _evaluate(seen, pose)
    cost = _cost(seen, state, huber)
    damping = _SMALLEST_DAMPING
    for _ in range(steps):
        if not np.isfinite(cost):
            return pose, np.inf
        hessian, gradient = _normal_equations(seen, state, huber)
        step = None
        while damping < _LARGEST_DAMPING:
            try:
                step = -np.linalg.solve(hessian + np.diag(hessian.diagonal() * damping), gradient)
            except np.linalg.LinAlgError:
                step = None
            if step is not None:
                trial = Pose(so3_exp(step[3:]) @ pose.rotation, pose.translation + step[:3])
                trial_state = _evaluate(seen, trial)
                trial_cost = _cost(seen, trial_state, huber)
                if trial_cost <= cost:
                    break
                # At the minimum, rounding decides which of two costs is lower: this is convergence, not failure.
                if _is_small(step, pose):
                    return pose, cost
            damping = max(damping * 30.0, 1e-4)
        else:
            return pose, cost
        gain = cost - trial_cost
        pose, state, cost = trial, trial_state, trial_cost
        damping = max(damping * 0.1, _SMALLEST_DAMPING)
        if gain <= _GAIN * cost or _is_small(step, pose):
            break
    return pose, cost


def covariance(seen: Observations, pose: Pose, huber: float, noise: float) -> np.ndarray | None:
    """The covariance of a refined pose, from its residuals and the geometry.

    sigma^2 (J^T W J)^-1, the first-order covariance of a least-squares estimate, sigma^2 being the weighted residual
    variance per degree of freedom, but at least `noise`^2: a few points may fit by chance.

    Args:
        seen: the points that the pose was refined on.
        pose: the refined pose.
        huber: pixels, as for `refine`.
        noise: standard deviation of a keypoint's x or y, in pixels.

    Returns:
        (6, 6) of (x, y, z, rotation about x, y, z) in the camera's frame; None when the points leave a direction open.

    Example: one pixel of noise on a cube at 1 m; the distance is less certain than the position across the view.
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> seen = Observations(corners, 600 * corners[:, :2] / (1 + corners[:, 2:]), np.ones(8), focal=600.0)
        >>> spread = covariance(seen, Pose(np.eye(3), np.array([0, 0, 1.0])), huber=2.0, noise=1.0)
        >>> (1000 * np.sqrt(spread.diagonal()[:3])).round(1).tolist()  # mm
        [0.6, 0.6, 4.0]
    """
    state = _evaluate(seen, pose)
    hessian, _ = _normal_equations(seen, state, huber)
    weights = seen.weights * _huber_weights(state.length, huber)
    free = max(2 * len(seen.model) - 6, 1)
    variance = max(noise**2, float(weights @ state.length**2) / free)
    # Metres and radians differ in size, so each parameter is scaled before the condition is checked.
    scale = np.sqrt(hessian.diagonal())
    if not (np.isfinite(scale).all() and (scale > 0.0).all()):
        return None
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    if values[0] < 1e-10:
        return None
    spread = vectors / scale[:, None]
    return variance * (spread / values) @ spread.T


@dataclass(frozen=True, eq=False)
class _State:
    """The points at one pose: rotated but not moved, inverse depth, projection / focal, residual and its length."""

    turned: np.ndarray
    inverse_depth: np.ndarray
    projected: np.ndarray
    residual: np.ndarray
    length: np.ndarray


def _evaluate(seen: Observations, pose: Pose) -> _State:
    turned = seen.model @ pose.rotation.T
    points = turned + pose.translation
    depth = points[:, 2]
    if depth.min() <= 0.0:
        depth = np.where(depth > 0.0, depth, np.nan)
    inverse_depth = 1.0 / depth
    projected = points[:, :2] * inverse_depth[:, None]
    residual = projected * seen.focal - seen.pixels
    length = np.sqrt(np.einsum('ij,ij->i', residual, residual))
    if np.isnan(length).any():
        residual[np.isnan(length)] = np.inf
        length = np.nan_to_num(length, nan=np.inf)
    return _State(turned, inverse_depth, projected, residual, length)


def _cost(seen: Observations, state: _State, huber: float) -> float:
    near = np.minimum(state.length, huber)
    return float(seen.weights @ (near * (2.0 * state.length - near)))


def _huber_weights(length: np.ndarray, huber: float) -> np.ndarray:
    return huber / np.maximum(length, huber)


def _normal_equations(seen: Observations, state: _State, huber: float) -> tuple[np.ndarray, np.ndarray]:
    """J^T W J (6, 6) and J^T W r (6,)."""
    a, b, c = state.turned.T
    u, v = state.projected.T
    jacobian = np.zeros((len(a), 2, 6))
    jacobian[:, 0, 0] = jacobian[:, 1, 1] = 1.0
    jacobian[:, 0, 2], jacobian[:, 1, 2] = -u, -v
    # d(x, y, z) = w x (a, b, c), and d(x / z) = (dx - u dz) / z
    jacobian[:, 0, 3], jacobian[:, 0, 4], jacobian[:, 0, 5] = -u * b, c + u * a, -b
    jacobian[:, 1, 3], jacobian[:, 1, 4], jacobian[:, 1, 5] = -c - v * b, v * a, a
    jacobian *= (state.inverse_depth * seen.focal)[:, None, None]
    weighted = jacobian * (seen.weights * _huber_weights(state.length, huber))[:, None, None]
    rows, weighted_rows = jacobian.reshape(-1, 6), weighted.reshape(-1, 6)
    return weighted_rows.T @ rows, weighted_rows.T @ state.residual.ravel()


def _is_small(step: np.ndarray, pose: Pose) -> bool:
    return bool(
        np.abs(step[3:]).max() < _CONVERGED and np.abs(step[:3]).max() < _CONVERGED * np.linalg.norm(pose.translation)
    )
