# SPDX-License-Identifier: Apache-2.0
"""Where things stand: poses on a table, and cameras that look at it."""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.sim.catalog import ObjectKind

_UP = (  # which way the object's z points when it lies on one of its sides, as a rotation vector
    (0.0, 0.0, 0.0),
    (np.pi, 0.0, 0.0),
    (np.pi / 2, 0.0, 0.0),
    (-np.pi / 2, 0.0, 0.0),
    (0.0, np.pi / 2, 0.0),
    (0.0, -np.pi / 2, 0.0),
)


def resting(kind: ObjectKind, side: int, x: float, y: float, yaw: float) -> Pose:
    """An object that lies on the table.

    Args:
        kind: what it is.
        side: 0..5, which side is up: z, -z, then the four others.
        x, y: where on the table, m.
        yaw: turn about the vertical, rad.

    Returns:
        T_world_object; the table is the plane z = 0.
    """
    rotation = so3_exp(np.array([0.0, 0.0, yaw])) @ so3_exp(np.array(_UP[side % len(_UP)]))
    height = float(np.abs(rotation[2]) @ np.asarray(kind.size)) / 2
    return Pose(rotation, np.array([x, y, height]))


def cells(count: int, spacing: float, rng: np.random.Generator, rows: int = 3) -> np.ndarray:
    """Places on a grid of 3 columns (along x) and `rows` rows about the origin, in random order, (count, 2) m."""
    grid = np.stack(np.meshgrid(np.arange(3) - 1.0, np.arange(rows) - (rows - 1) / 2), axis=-1).reshape(-1, 2)
    return rng.permutation(grid * spacing)[:count]


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """A rotation drawn evenly from all, (3, 3): a normalised Gaussian quaternion."""
    return Pose.from_quaternion(_unit(rng.standard_normal(4)), np.zeros(3)).rotation


def look_at(eye: np.ndarray, target: np.ndarray, roll: float = 0.0) -> Pose:
    """T_world_camera of a camera at `eye` whose z axis meets `target`; y is down, `roll` turns about z, rad."""
    forward = _unit(target - eye)
    right = _unit(_cross(forward, np.array((0.0, 0.0, 1.0))))
    rotation = np.column_stack((right, _cross(forward, right), forward))
    return Pose(rotation @ so3_exp(np.array([0.0, 0.0, roll])), eye)


def orbit(azimuth: float, elevation: float, distance: float, target: np.ndarray, roll: float = 0.0) -> Pose:
    """T_world_camera on a sphere about `target`; angles in rad, distance in m."""
    level = np.cos(elevation)
    direction = np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
    return look_at(target + distance * direction, target, roll)


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """That of NumPy takes ten times as long for a single pair."""
    (x, y, z), (u, v, w) = one.tolist(), other.tolist()
    return np.array((y * w - z * v, z * u - x * w, x * v - y * u))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
