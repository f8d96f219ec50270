# SPDX-License-Identifier: Apache-2.0
"""Several cameras around one scene: where each looks from, its own faults, and how wrong its calibration is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.sim.sensor import SensorSettings


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
