# SPDX-License-Identifier: Apache-2.0
"""The smooth pose of one object: filters noise and flips with as little lag as possible.

An error-state Kalman filter with constant velocity: the state is the pose and its linear and angular velocity, the
error is a vector (translation, fixed-axis rotation, velocity, angular velocity) about it (Sola, Deray, Atchuthan, 'A
micro Lie theory for state estimation in robotics', arXiv 1812.01537). The normalised innovations adapt two things:
noise scatters them about their running mean, so their scatter shows how noisy the measurements really are; lag gives
them all the same direction, so their running mean shows whether to trust the motion model less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv, dpotrf

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.rigid import Pose, so3_exp, so3_log
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical, nearest
from isaac_inference.ops.setting_ranges import require

_POSITION, _ROTATION = slice(0, 3), slice(3, 6)
_POSE, _MOTION = slice(0, 6), slice(6, 12)
# Elements of a flattened (12, 12): the diagonals of its four (6, 6) blocks, and its own. A slice of a view is several
# times as fast as index arrays, and this runs for every object of every frame.
_OF_POSE, _POSE_BY_MOTION = slice(0, 66, 13), slice(6, 72, 13)
_MOTION_BY_POSE, _OF_MOTION = slice(72, 138, 13), slice(78, 144, 13)
_STILL = np.eye(12)
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
        from_one = ('takeover_hits', 'max_acceleration_gain', 'max_noise_scale')
        require(self, 'pose filter', from_one, 1.0)
        require(self, 'pose filter', (name for name in vars(self) if name not in from_one), above=True)


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
        least = self.settings.min_position_noise**2, self.settings.min_rotation_noise**2
        self._least_noise = np.repeat(least, 3)
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
        noise = self._noise(pose, _checked(stamp_s, pose, covariance))
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
        """(6, 6) of a measurement; `covariance` is used up."""
        chosen = self.settings
        if covariance is None:
            sigma = chosen.position_noise + chosen.position_noise_far * math.hypot(*pose.translation.tolist())
            return np.diag(np.repeat((sigma**2, chosen.rotation_noise**2), 3))
        covariance.reshape(-1)[::7] += self._least_noise
        return covariance


@dataclass(frozen=True, eq=False)
class _State:
    """The filter at one stamp; immutable, so a rejected measurement changes nothing.

    Attributes:
        motion: (6,) m/s and rad/s.
        covariance: (12, 12) of the error in pose and motion.
        lag: 6 running means of the normalised innovations.
        variance_scale: estimated over assumed variance of measured positions and of rotations.
        hits: measurements accepted.
    """

    stamp_s: float
    pose: Pose
    motion: np.ndarray
    covariance: np.ndarray
    lag: Sequence[float]
    variance_scale: tuple[float, float]
    hits: int

    @classmethod
    def started(cls, settings: PoseFilterSettings, stamp_s: float, pose: Pose, noise: np.ndarray) -> _State:
        covariance = np.zeros((12, 12))
        covariance[_POSE, _POSE] = noise
        covariance[_MOTION, _MOTION] = np.diag(
            np.repeat((settings.initial_speed**2, settings.initial_turn_speed**2), 3)
        )
        return cls(stamp_s, pose, np.zeros(6), covariance, (0.0,) * 6, (1.0, 1.0), 1)

    def predicted(self, settings: PoseFilterSettings, step_s: float) -> _State:
        pose, covariance = self._moved(step_s)
        _accelerate(covariance, _densities(settings, self.lag), step_s)
        return _State(self.stamp_s + step_s, pose, self.motion, covariance, self.lag, self.variance_scale, self.hits)

    def _moved(self, step_s: float) -> tuple[Pose, np.ndarray]:
        """The pose a step later, and the covariance if nothing accelerates."""
        step = step_s * self.motion
        turn = so3_exp(step[_ROTATION].tolist())
        transition = _STILL.copy()
        transition.ravel()[_POSE_BY_MOTION] = step_s
        transition[_ROTATION, _ROTATION] = turn  # an error about the previous rotation turns with it
        pose = Pose(turn @ self.pose.rotation, self.pose.translation + step[_POSITION])
        return pose, transition @ self.covariance @ transition.T

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
        expected, prior = self._moved(step_s)
        measured = nearest(measured, expected, symmetries)
        innovation = [
            *(measured.translation - expected.translation).tolist(),
            *so3_log(measured.rotation @ expected.rotation.T).tolist(),
        ]
        scale = _of_axes([math.sqrt(part) for part in self.variance_scale])
        noise = noise * scale * scale[:, None]
        densities = _densities(settings, self.lag)
        total = prior[_POSE, _POSE] + noise
        total.reshape(-1)[::7] += _of_axes(densities) * (abs(step_s) ** 3 / 3)
        if _is_outlier(settings, innovation, total):
            return None
        # six numbers: plain Python is faster on them than arrays are
        gate, follow = settings.gate, 1.0 - math.exp(-step_s / settings.memory_s)
        normalised = [
            min(max(part / math.sqrt(variance), -gate), gate)
            for part, variance in zip(innovation, total.diagonal().tolist(), strict=True)
        ]
        lag = [mean + follow * (part - mean) for part, mean in zip(normalised, self.lag, strict=True)]
        if any(abs(after) > abs(before) for after, before in zip(lag, self.lag, strict=True)):
            densities = _densities(settings, lag)  # accelerates more than assumed, in this step too
        _accelerate(prior, densities, step_s)
        total = prior[_POSE, _POSE] + noise
        gain = _solved(total, prior[_POSE]).T
        correction = gain @ innovation
        pose = Pose(
            so3_exp(correction[_ROTATION].tolist()) @ expected.rotation,
            expected.translation + correction[_POSITION],
        )
        rest = _STILL.copy()
        rest[:, _POSE] -= gain
        covariance = rest @ prior @ rest.T
        covariance += gain @ noise @ gain.T  # Joseph's form stays positive definite
        change = 1.0 - math.exp(-step_s / settings.noise_memory_s)
        scatter = [(part - mean) ** 2 for part, mean in zip(normalised, lag, strict=True)]
        least, most = settings.min_noise_scale**2, settings.max_noise_scale**2
        variance_scale = tuple(
            min(max(before * (1.0 + change * (min(sum(parts) / 3.0, 4.0) - 1.0)), least), most)
            for before, parts in zip(self.variance_scale, (scatter[:3], scatter[3:]), strict=True)
        )
        return _State(
            stamp_s,
            pose,
            self.motion + correction[_MOTION],
            covariance,
            lag,
            (variance_scale[0], variance_scale[1]),
            self.hits + 1,
        )


def _accelerate(covariance: np.ndarray, densities: Sequence[float], step_s: float) -> None:
    """Add what accelerations do in a step to a (12, 12), in place: white noise, integrated once and twice."""
    t, density = abs(step_s), _of_axes(densities)
    flat, both = covariance.reshape(-1), density * (step_s * t / 2)
    flat[_OF_POSE] += density * (t**3 / 3)
    flat[_POSE_BY_MOTION] += both
    flat[_MOTION_BY_POSE] += both
    flat[_OF_MOTION] += density * t


def _of_axes(parts: Sequence[float]) -> np.ndarray:
    """(6,) a number of the position and one of the rotation, on each axis."""
    position, rotation = parts
    return np.array((position, position, position, rotation, rotation, rotation))


def _densities(settings: PoseFilterSettings, lag: Sequence[float]) -> tuple[float, float]:
    """Squared spectral densities of the acceleration and of that of the turn."""
    x, y, z, u, v, w = lag
    most, scale = settings.max_acceleration_gain, 1.0 / (1.0 - _CALM)
    moving, turning = math.sqrt((x * x + y * y + z * z) / 3.0), math.sqrt((u * u + v * v + w * w) / 3.0)
    return (
        (min(max(most * (moving - _CALM) * scale, 1.0), most) * settings.acceleration) ** 2,
        (min(max(most * (turning - _CALM) * scale, 1.0), most) * settings.turn_acceleration) ** 2,
    )


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution of a symmetric, positive definite system."""
    _, solution, info = dposv(matrix, right)
    return np.linalg.solve(matrix, right) if info else np.asarray(solution)


def _is_outlier(settings: PoseFilterSettings, innovation: Sequence[float], total: np.ndarray) -> bool:
    for part, min_jump in ((_POSITION, settings.min_jump_m), (_ROTATION, settings.min_jump_rad)):
        jump = innovation[part]
        if sum(value * value for value in jump) <= min_jump**2:
            continue
        if np.dot(jump, np.linalg.solve(total[part, part], jump)) > settings.gate**2:
            return True
    return False


def _checked(stamp_s: float, pose: Pose, covariance: np.ndarray | None) -> np.ndarray | None:
    """The covariance made symmetric.

    Raises:
        FrameError: 'bad_pose', a value that is not finite or no covariance.
    """
    arrays = [pose.rotation, pose.translation] + ([] if covariance is None else [covariance])
    # the sum of the squares is finite only where all parts are, and is soon found
    total = math.fsum(float(np.vdot(array, array)) for array in arrays)
    if not math.isfinite(stamp_s + total) and not (
        math.isfinite(stamp_s) and all(np.isfinite(array).all() for array in arrays)
    ):
        raise FrameError('bad_pose', f'pose to filter: got stamp {stamp_s} and {pose} with values that are not finite')
    if covariance is None:
        return None
    symmetric = (covariance + covariance.T) / 2 if covariance.shape == (6, 6) else covariance
    if not _is_covariance(symmetric):
        raise FrameError(
            'bad_pose', f'covariance of a pose: got {covariance.tolist()}, expected (6, 6) with no negative variance'
        )
    return symmetric


def _is_covariance(matrix: np.ndarray) -> bool:
    """Whether a symmetric matrix is one of a pose."""
    if matrix.shape != (6, 6):
        return False
    if not dpotrf(matrix)[1]:  # has a Cholesky factor, as nearly all have
        return True
    spread = np.linalg.eigvalsh(matrix)
    return bool(spread[0] >= -1e-6 * abs(spread[-1]))
