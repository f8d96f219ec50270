# SPDX-License-Identifier: Apache-2.0
"""How poses move and how well they are measured."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.setting_ranges import require


@dataclass(frozen=True)
class PoseFilterSettings:
    """Noise, motion and gates. The defaults suit objects on a table at 30 Hz, with up to 0.5 m/s and 1 rad/s.

    Attributes:
        position_noise: standard deviation of a measured position, in m, where it has no covariance.
        position_noise_far: added to that per metre of distance, in m/m.
        rotation_noise: standard deviation of a measured rotation, in rad, where it has no covariance.
        min_position_noise, min_rotation_noise: standard deviations added to a given covariance, in m and rad, for the
            errors that it does not cover (a wrong size, a wrong lens).
        acceleration, turn_acceleration: spectral densities of the accelerations of an object at rest or in steady
            motion, in m / s^1.5 and rad / s^1.5.
        max_acceleration_gain: largest factor by which these grow while the filter lags behind, 1 or more.
        memory_s: time over which the lag is averaged.
        noise_memory_s: time over which the noise is averaged.
        min_noise_scale, max_noise_scale: bounds of the factor by which the noise is corrected (of its standard
            deviation).
        initial_speed, initial_turn_speed: standard deviations of a new object's unknown velocity, in m/s and rad/s.
        gate: a measurement whose normalised distance from the prediction, in standard deviations, is above this is an
            outlier, if it is also further away than `min_jump_m` or turned by more than `min_jump_rad`.
        takeover_hits: this many rejected measurements in a row that agree with each other replace the pose.
        max_gap_s: after this long without an accepted measurement, in s, the next one restarts the filter.

    Raises:
        ConfigError: a value outside its range.
    """

    position_noise: float = 0.002
    position_noise_far: float = 0.003
    rotation_noise: float = 0.035
    min_position_noise: float = 0.001
    min_rotation_noise: float = 0.01
    acceleration: float = 0.03
    turn_acceleration: float = 0.07
    max_acceleration_gain: float = 50.0
    memory_s: float = 0.12
    noise_memory_s: float = 1.0
    min_noise_scale: float = 0.3
    max_noise_scale: float = 4.0
    initial_speed: float = 0.3
    initial_turn_speed: float = 0.6
    gate: float = 6.0
    min_jump_m: float = 0.03
    min_jump_rad: float = 0.2
    takeover_hits: int = 4
    max_gap_s: float = 0.5

    def __post_init__(self) -> None:
        from_one = ('takeover_hits', 'max_acceleration_gain', 'max_noise_scale')
        require(self, 'pose filter', from_one, 1.0)
        require(self, 'pose filter', [name for name in vars(self) if name not in from_one], above=True)

    @functools.cached_property
    def densities(self) -> np.ndarray:
        """(6,) squared spectral densities of the accelerations on each axis, of an object in steady motion."""
        return np.repeat((self.acceleration**2, self.turn_acceleration**2), 3)

    @functools.cached_property
    def least_noise(self) -> np.ndarray:
        """(6,) variances that are added to a given covariance."""
        return np.repeat((self.min_position_noise**2, self.min_rotation_noise**2), 3)
