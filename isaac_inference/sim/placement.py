# SPDX-License-Identifier: Apache-2.0
"""Where things stand: poses on a table, and cameras that look at it, one or several around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.sim.catalog import ObjectKind
from isaac_inference.sim.sensor import SensorSettings

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


@dataclass(frozen=True, eq=False)
class CameraWay:
    """A camera's way back and forth around the table.

    Attributes:
        azimuth, elevation: the middle of it, rad.
        distance: from what it looks at, m.
        phases: (4,) rad, of its motion in azimuth, elevation, distance and roll.
    """

    azimuth: float
    elevation: float
    distance: float
    phases: np.ndarray


def views_around(
    first: CameraWay, faults: SensorSettings, seed: int, view: int, views: int
) -> tuple[CameraWay, SensorSettings]:
    """The way and the faults of one of several cameras, spread evenly around the table.

    Args:
        first: way of view 0.
        faults: of view 0.
        seed: of the scene.
        view: which one, 0..views - 1.
        views: how many there are.

    Raises:
        ConfigError: no such view.
    """
    if not 0 <= view < views:
        raise ConfigError(f'view: got {view}, expected 0 to {views - 1}, as there are {views} views')
    if view == 0:
        return first, faults
    rng = np.random.default_rng([5, seed, view])
    way = CameraWay(
        first.azimuth + 2 * np.pi * view / views,
        rng.uniform(0.75, 1.05),
        rng.uniform(0.85, 0.95),
        rng.uniform(0, 2 * np.pi, 4),
    )
    blur, noise = rng.uniform(0.4, 0.8), rng.uniform(1.5, 5.0)
    return way, SensorSettings(blur=blur, noise=noise, gains=tuple(rng.uniform(0.93, 1.07, 3)))


def calibration_error(seed: int, view: int, sigma_m: float, sigma_rad: float) -> Pose:
    """T_camera_calibrated: where a camera is said to be, seen from where it is.

    Args:
        seed: of the camera node.
        view: which camera.
        sigma_m: standard deviation of each of the three components of the position, m.
        sigma_rad: of each of the rotation, rad.
    """
    drawn = np.random.default_rng([6, seed, view]).standard_normal(6)
    return Pose(so3_exp(sigma_rad * drawn[3:]), sigma_m * drawn[:3])


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """That of NumPy takes ten times as long for a single pair."""
    (x, y, z), (u, v, w) = one.tolist(), other.tolist()
    return np.array((y * w - z * v, z * u - x * w, x * v - y * u))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
