# SPDX-License-Identifier: Apache-2.0
"""A cuboid, cylinder or ball of known size laid onto the depth points of an object: a few damped Gauss-Newton steps.

Points lie on the side that the camera sees; the sides of the detection box and the floor hold what they leave open,
such as a shift along a single visible face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.depth.sized_place import Reaches
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp

_STEPS = 7
_POINTS = 160
_FIRST, _LAST = 0.02, 0.004  # m, from which on a point counts as one of something else: at the first step, at the last
_INDEPENDENT = 30.0  # errors of neighbouring pixels are alike: all points count as so many measurements
_ON_SURFACE = 0.85  # of the points must lie on the body
_NEAR_SIGMAS = 3.0  # a point that is on the body is at most so far from it
_SIDE_SIGMAS = 4.0  # and a side of the box from the body's outline


@dataclass(frozen=True, eq=False)
class ShapeFit:
    """A fitted pose.

    Attributes:
        pose: T_camera_object.
        covariance: (6, 6) of (x, y, z, rotation about the camera's x, y, z), m and rad.
        rms: of the points that lie on the body, m.
    """

    pose: Pose
    covariance: np.ndarray
    rms: float


def fit_shape(model: ObjectModel, points: np.ndarray, bounds: Reaches, start: Pose, noise: float) -> ShapeFit | None:
    """Lay the body onto the points; None where it does not become what they show.

    Args:
        model: a cuboid, cylinder or sphere.
        points: (N, 3) of the object, m.
        bounds: the box's sides and the floor.
        start: T_camera_object, off by a few degrees at most.
        noise: m, standard deviation of a point.

    Example: of a cube of 0.1 m, depth shows the face at 0.95 m; its centre lies 0.05 m behind.
        >>> cube = ObjectModel.build('cuboid', (0.1, 0.1, 0.1))
        >>> face = np.array([[x / 100, y / 100, 0.95] for x in range(-4, 5) for y in range(-4, 5)])
        >>> sides = np.array(((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
        >>> bounds = Reaches(sides, np.full(4, 0.05), np.full(4, 0.001), np.zeros(4, np.bool_))
        >>> start = Pose(np.eye(3), np.array((0.01, 0.0, 1.01)))
        >>> (fit_shape(cube, face, bounds, start, noise=0.001).pose.translation.round(3) + 0.0).tolist()
        [0.0, 0.0, 1.0]
    """
    cloud = np.asarray(points[:: max(1, -(-len(points) // _POINTS))], np.float64)
    closed = ~bounds.open
    A, measured, sigma = bounds.directions[closed], bounds.measured[closed], bounds.sigma[closed]
    pose, width = start, _FIRST
    scale = max(noise, 0.001)
    for _ in range(_STEPS):
        width = max(width * 0.7, _LAST, 3.0 * scale)
        gap, normals, arms = _gaps(model, cloud, pose)
        weight = np.clip(1.0 - (gap / width) ** 2, 0.0, None) ** 2 * (_INDEPENDENT / len(cloud)) / scale**2
        J = -np.concatenate((normals, np.cross(arms, normals)), axis=1)
        reach, corners = _outermost(model, pose, A)
        miss = pose.translation @ A.T + reach - measured
        K = np.concatenate((A, np.cross(corners, A)), axis=1)
        hold = 1.0 / (sigma**2 + (0.01 * reach) ** 2)
        H = (J * weight[:, None]).T @ J + (K * hold[:, None]).T @ K
        g = J.T @ (weight * gap) + K.T @ (hold * miss)
        H += np.diag(np.repeat((1.0 / (0.2 * model.diameter) ** 2, 1.0 / 0.5**2), 3))
        step = -np.linalg.solve(H, g)
        pose = Pose(so3_exp(step[3:]) @ pose.rotation, pose.translation + step[:3])
        if np.abs(step[:3]).max() < 1e-4 and np.abs(step[3:]).max() < 1e-3:
            break
    gap = np.abs(_gaps(model, cloud, pose)[0])
    on = gap < max(_LAST, _NEAR_SIGMAS * scale)
    reach, _ = _outermost(model, pose, A)
    miss = np.abs(pose.translation @ A.T + reach - measured)
    if on.mean() < _ON_SURFACE or (miss > _SIDE_SIGMAS * np.hypot(sigma, 0.03 * reach)).any():
        return None
    rms = float(np.sqrt(np.mean(gap[on] ** 2)))
    return ShapeFit(pose, np.linalg.inv(H), rms)


def _gaps(model: ObjectModel, cloud: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) m of each point over the body, the direction of that (N, 3), and the points seen from its centre (N, 3)."""
    arms = cloud - pose.translation
    local = arms @ pose.rotation
    places, normals, beside = model.closest(local, -pose.rotation.T @ pose.translation)
    away = local - places
    gap = np.einsum('ij,ij->i', away, normals)
    if beside.any():
        length = np.linalg.norm(away[beside], axis=1)
        gap[beside] = length
        normals = normals.copy()
        normals[beside] = away[beside] / np.maximum(length, 1e-9)[:, None]
    return gap, normals @ pose.rotation.T, arms


def _outermost(model: ObjectModel, pose: Pose, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(D,) m that the body reaches from its centre, and its outermost points (D, 3) seen from there, camera frame."""
    local = directions @ pose.rotation
    half = model.size / 2
    if model.shape == 'sphere':
        corner = local * half.mean()
    elif model.shape == 'cylinder':
        flat = np.maximum(np.hypot(local[:, 0], local[:, 1]), 1e-9)
        radius = (half[0] + half[1]) / 2
        corner = np.column_stack((local[:, :2] / flat[:, None] * radius, np.sign(local[:, 2]) * half[2]))
    else:
        corner = np.sign(local) * half
    return np.einsum('ij,ij->i', corner, local), corner @ pose.rotation.T
