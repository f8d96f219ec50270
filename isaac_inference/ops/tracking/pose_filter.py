# SPDX-License-Identifier: Apache-2.0
"""The smooth pose of one object: filters noise and flips with as little lag as possible.

An error-state Kalman filter with constant velocity: the state is the pose and its linear and angular velocity, the
error is a vector (translation, fixed-axis rotation, velocity, angular velocity) about it (Sola, Deray, Atchuthan, 'A
micro Lie theory for state estimation in robotics', arXiv 1812.01537). The normalised innovations adapt two things:
noise scatters them about their running mean, so their scatter shows how noisy the measurements really are; lag gives
them all the same direction, so their running mean shows whether to trust the motion model less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.geometry.rigid import Pose, so3_exp, so3_log
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical, nearest

_POSITION, _ROTATION = slice(0, 3), slice(3, 6)
_POSE, _MOTION = slice(0, 6), slice(6, 12)
_INDEX = np.arange(6)
_CALM = 0.5  # size of the mean normalised innovation that noise alone does not exceed for long


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
        for name, value in vars(self).items():
            least = 1.0 if name in ('takeover_hits', 'max_acceleration_gain', 'max_noise_scale') else 0.0
            if not (least <= value < np.inf and value > 0.0):
                wanted = 'of at least 1' if least else 'above 0'
                raise ConfigError(f'pose filter, {name}: got {value}, expected a finite number {wanted}')


@dataclass(frozen=True, eq=False)
class SmoothPose:
    """A filtered or predicted pose in the frame of the measurements.

    Attributes:
        pose: `T_camera_object`, canonical for a symmetric object.
        covariance: (6, 6) of (x, y, z, rotation about x, y, z); of errors that are independent from frame to frame.
    """

    pose: Pose
    covariance: np.ndarray


class PoseFilter:
    """One object's pose over time.

    Args:
        settings: see `PoseFilterSettings`.
        symmetries: of the object; each measurement is replaced by the pose that looks the same and is nearest to the
            prediction.

    Example: an object that moves at 0.1 m/s is predicted where it will be.
        >>> filter_ = PoseFilter()
        >>> for i in range(60):
        ...     _ = filter_.update(i / 30, Pose(np.eye(3), np.array([0.1 * i / 30, 0.0, 1.0])))
        >>> round(float(filter_.predict(2.5).pose.translation[0]), 2)
        0.25
    """

    def __init__(self, settings: PoseFilterSettings | None = None, symmetries: Sequence[Symmetry] = ()) -> None:
        self.settings = settings or PoseFilterSettings()
        self.symmetries = tuple(symmetries)
        self._state: _State | None = None
        self._rival: _State | None = None

    @property
    def stamp_s(self) -> float | None:
        """Stamp of the last accepted measurement."""
        return None if self._state is None else self._state.stamp_s

    @property
    def hits(self) -> int:
        """Measurements accepted since the start or restart; from 2 on the velocity is known."""
        return 0 if self._state is None else self._state.hits

    def reset(self) -> None:
        """Forget everything; the next measurement starts the filter."""
        self._state = self._rival = None

    def update(self, stamp_s: float, pose: Pose, covariance: np.ndarray | None = None) -> SmoothPose | None:
        """Take in a measurement.

        A stamp that is not later, or more than `max_gap_s` later, restarts the filter with this measurement.

        Args:
            stamp_s: when its frame was taken.
            pose: `T_camera_object`; always in the same frame.
            covariance: (6, 6) of (x, y, z, rotation about x, y, z), or None where it is unknown.

        Returns:
            The filtered pose at `stamp_s`, or None where the measurement was rejected as an outlier.

        Raises:
            FrameError: 'bad_pose', for values that are not finite or a covariance with a negative variance.
        """
        _check(stamp_s, pose, covariance)
        noise = self._noise(pose, covariance)
        if self._state is None or not 0.0 < stamp_s - self._state.stamp_s <= self.settings.max_gap_s:
            return self._start(_State.started(self.settings, stamp_s, pose, noise))
        updated = self._state.updated(self.settings, self.symmetries, stamp_s, pose, noise)
        if updated is not None:
            return self._start(updated)
        return self._oppose(stamp_s, pose, noise)

    def predict(self, stamp_s: float) -> SmoothPose:
        """The pose at a stamp, from the measurements accepted so far; changes nothing.

        Raises:
            FrameError: 'no_pose', before the first measurement.
        """
        if self._state is None:
            raise FrameError('no_pose', 'pose filter: nothing was measured yet, so it cannot predict')
        state = self._state.predicted(self.settings, stamp_s - self._state.stamp_s)
        return self._smooth(state)

    def _start(self, state: _State) -> SmoothPose:
        self._state, self._rival = state, None
        return self._smooth(state)

    def _oppose(self, stamp_s: float, pose: Pose, noise: np.ndarray) -> SmoothPose | None:
        """Rejected measurements that agree with each other become a rival, which finally takes over."""
        rival = None
        if self._rival is not None:
            rival = self._rival.updated(self.settings, self.symmetries, stamp_s, pose, noise)
        self._rival = rival or _State.started(self.settings, stamp_s, pose, noise)
        if self._rival.hits >= self.settings.takeover_hits:
            return self._start(self._rival)
        return None

    def _smooth(self, state: _State) -> SmoothPose:
        return SmoothPose(canonical(state.pose, self.symmetries), state.covariance[_POSE, _POSE].copy())

    def _noise(self, pose: Pose, covariance: np.ndarray | None) -> np.ndarray:
        chosen = self.settings
        if covariance is None:
            sigma = chosen.position_noise + chosen.position_noise_far * float(np.linalg.norm(pose.translation))
            return np.diag(np.repeat((sigma**2, chosen.rotation_noise**2), 3))
        least = np.repeat((chosen.min_position_noise**2, chosen.min_rotation_noise**2), 3)
        return (covariance + covariance.T) / 2 + np.diag(least)


@dataclass(frozen=True, eq=False)
class _State:
    """The filter at one stamp; immutable, so a rejected measurement changes nothing.

    Attributes:
        motion: (6,) m/s and rad/s.
        covariance: (12, 12) of the error in pose and motion.
        lag: (6,) running mean of the normalised innovations.
        variance_scale: (2,) estimated over assumed variance of measured positions and rotations.
        hits: measurements accepted.
    """

    stamp_s: float
    pose: Pose
    motion: np.ndarray
    covariance: np.ndarray
    lag: np.ndarray
    variance_scale: np.ndarray
    hits: int

    @classmethod
    def started(cls, settings: PoseFilterSettings, stamp_s: float, pose: Pose, noise: np.ndarray) -> _State:
        covariance = np.zeros((12, 12))
        covariance[_POSE, _POSE] = noise
        covariance[_MOTION, _MOTION] = np.diag(
            np.repeat((settings.initial_speed**2, settings.initial_turn_speed**2), 3)
        )
        return cls(stamp_s, pose, np.zeros(6), covariance, np.zeros(6), np.ones(2), 1)

    def predicted(self, settings: PoseFilterSettings, step_s: float, lag: np.ndarray | None = None) -> _State:
        step = step_s * self.motion
        turn = so3_exp(step[_ROTATION])
        pose = Pose(turn @ self.pose.rotation, self.pose.translation + step[_POSITION])
        transition = np.eye(12)
        transition[_INDEX, _INDEX + 6] = step_s
        transition[_ROTATION, _ROTATION] = turn  # an error about the previous rotation turns with it
        covariance = transition @ self.covariance @ transition.T
        density = _density(settings, self.lag if lag is None else lag)
        t = abs(step_s)
        covariance[_INDEX, _INDEX] += density * t**3 / 3
        covariance[_INDEX, _INDEX + 6] += density * step_s * t / 2
        covariance[_INDEX + 6, _INDEX] += density * step_s * t / 2
        covariance[_INDEX + 6, _INDEX + 6] += density * t
        return replace(self, stamp_s=self.stamp_s + step_s, pose=pose, covariance=covariance)

    def updated(
        self,
        settings: PoseFilterSettings,
        symmetries: Sequence[Symmetry],
        stamp_s: float,
        measured: Pose,
        noise: np.ndarray,
    ) -> _State | None:
        """After a measurement; None for an outlier."""
        step_s = stamp_s - self.stamp_s
        prior = self.predicted(settings, step_s)
        measured = nearest(measured, prior.pose, symmetries)
        innovation = np.concatenate(
            (measured.translation - prior.pose.translation, so3_log(measured.rotation @ prior.pose.rotation.T))
        )
        scale = np.repeat(np.sqrt(self.variance_scale), 3)
        noise = noise * np.outer(scale, scale)
        total = prior.covariance[_POSE, _POSE] + noise
        if _is_outlier(settings, innovation, total):
            return None
        normalised = np.clip(innovation / np.sqrt(np.diag(total)), -settings.gate, settings.gate)
        lag = self.lag + (1.0 - np.exp(-step_s / settings.memory_s)) * (normalised - self.lag)
        if (np.abs(lag) > np.abs(self.lag)).any():  # accelerates more than assumed, in this step too
            prior = self.predicted(settings, step_s, lag)
            total = prior.covariance[_POSE, _POSE] + noise
        gain = np.linalg.solve(total, prior.covariance[_POSE]).T
        correction = gain @ innovation
        pose = Pose(
            so3_exp(correction[_ROTATION]) @ prior.pose.rotation, prior.pose.translation + correction[_POSITION]
        )
        rest = np.eye(12)
        rest[:, _POSE] -= gain
        covariance = rest @ prior.covariance @ rest.T + gain @ noise @ gain.T  # Joseph's form stays positive definite
        scatter = ((normalised - lag) ** 2).reshape(2, 3).mean(axis=1)
        drift = (1.0 - np.exp(-step_s / settings.noise_memory_s)) * (np.minimum(scatter, 4.0) - 1.0)
        variance_scale = np.clip(
            self.variance_scale * (1.0 + drift), settings.min_noise_scale**2, settings.max_noise_scale**2
        )
        return _State(stamp_s, pose, prior.motion + correction[_MOTION], covariance, lag, variance_scale, self.hits + 1)


def _density(settings: PoseFilterSettings, lag: np.ndarray) -> np.ndarray:
    """(6,) squared spectral densities of the acceleration."""
    size = np.sqrt((lag**2).reshape(2, 3).mean(axis=1))
    most = settings.max_acceleration_gain
    gain = np.clip(most * (size - _CALM) / (1.0 - _CALM), 1.0, most)
    return np.repeat((gain * (settings.acceleration, settings.turn_acceleration)) ** 2, 3)


def _is_outlier(settings: PoseFilterSettings, innovation: np.ndarray, total: np.ndarray) -> bool:
    for part, min_jump in ((_POSITION, settings.min_jump_m), (_ROTATION, settings.min_jump_rad)):
        jump = innovation[part]
        if jump @ jump > min_jump**2 and jump @ np.linalg.solve(total[part, part], jump) > settings.gate**2:
            return True
    return False


def _check(stamp_s: float, pose: Pose, covariance: np.ndarray | None) -> None:
    arrays = [np.asarray(stamp_s), pose.rotation, pose.translation] + ([] if covariance is None else [covariance])
    if not all(np.isfinite(array).all() for array in arrays):
        raise FrameError('bad_pose', f'pose to filter: got stamp {stamp_s} and {pose} with values that are not finite')
    if covariance is not None and not _is_covariance(covariance):
        raise FrameError(
            'bad_pose', f'covariance of a pose: got {covariance.tolist()}, expected (6, 6) with no negative variance'
        )


def _is_covariance(matrix: np.ndarray) -> bool:
    if matrix.shape != (6, 6):
        return False
    spread = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    return bool(spread[0] >= -1e-6 * abs(spread[-1]))
