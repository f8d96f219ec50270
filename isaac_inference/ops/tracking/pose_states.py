# SPDX-License-Identifier: Apache-2.0
"""The Kalman filters behind smooth poses: the states of many objects, predicted and corrected together.

All objects of a frame take one call: on matrices this small a call costs far more than the numbers in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv

from isaac_inference.ops.geometry.rigid import Pose, so3_exp_numbers, so3_log_numbers
from isaac_inference.ops.geometry.symmetry import Symmetry, nearest
from isaac_inference.ops.tracking.pose_filter_settings import PoseFilterSettings

_POSE, _MOTION = slice(0, 6), slice(6, 12)
_POSITION, _ROTATION = slice(0, 3), slice(3, 6)
# Parts of a state's numbers.
_MOVE, _SPEED, _LAG, _SCALE, _TURN = slice(0, 3), slice(3, 9), slice(9, 15), slice(15, 17), slice(17, 26)
_COUNT = 26
# Elements of a flattened (12, 12): the diagonals of its four (6, 6) blocks, and its own. A slice of a view is several
# times as fast as index arrays.
_OF_POSE, _POSE_BY_MOTION = slice(0, 66, 13), slice(6, 72, 13)
_MOTION_BY_POSE, _OF_MOTION = slice(72, 138, 13), slice(78, 144, 13)
_STILL = np.eye(12)
_CALM = 0.5  # size of the mean normalised innovation that noise alone does not exceed for long


@dataclass(frozen=True, eq=False)
class PoseState:
    """The filter of one object at one stamp; immutable, so a rejected measurement changes nothing.

    Attributes:
        stamp_s: of the last measurement, or of the prediction.
        numbers: (26,) position in m; motion in m/s and rad/s; 6 running means of the normalised innovations, the lag;
            estimated over assumed variance of measured positions and of rotations; and the rotation matrix, row by row.
        covariance: (12, 12) of the error in pose and motion.
        hits: measurements accepted.
    """

    stamp_s: float
    numbers: np.ndarray
    covariance: np.ndarray
    hits: int

    @property
    def pose(self) -> Pose:
        """Of the object; views of `numbers`."""
        return Pose(self.numbers[_TURN].reshape(3, 3), self.numbers[_MOVE])

    @property
    def pose_covariance(self) -> np.ndarray:
        """(6, 6) of (x, y, z, rotation about x, y, z); a new array."""
        return self.covariance[_POSE, _POSE].copy()


def started(settings: PoseFilterSettings, stamp_s: float, pose: Pose, noise: np.ndarray) -> PoseState:
    """By a first measurement, whose noise is (6, 6).

    Example:
        >>> state = started(PoseFilterSettings(), 0.0, Pose(np.eye(3), np.array([0.0, 0.0, 1.0])), 1e-6 * np.eye(6))
        >>> state.hits, state.pose.translation.tolist()
        (1, [0.0, 0.0, 1.0])
    """
    covariance = np.zeros((12, 12))
    covariance[_POSE, _POSE] = noise
    covariance[_MOTION, _MOTION] = np.diag(np.repeat((settings.initial_speed**2, settings.initial_turn_speed**2), 3))
    numbers = np.zeros(_COUNT)
    numbers[_MOVE], numbers[_TURN], numbers[_SCALE] = pose.translation, pose.rotation.ravel(), 1.0
    return PoseState(stamp_s, numbers, covariance, 1)


def predicted(settings: PoseFilterSettings, state: PoseState, stamp_s: float) -> PoseState:
    """The state at another stamp, if nothing new is measured.

    Example: what is not looked at gets less certain.
        >>> settings = PoseFilterSettings()
        >>> state = started(settings, 0.0, Pose(np.eye(3), np.zeros(3)), 1e-6 * np.eye(6))
        >>> bool(predicted(settings, state, 0.1).covariance[0, 0] > state.covariance[0, 0])
        True
    """
    step_s, numbers = stamp_s - state.stamp_s, state.numbers[None].copy()
    rotations, covariance = _moved(numbers, state.covariance[None], step_s)
    _accelerate(covariance, _densities(settings, numbers[:, _LAG]), step_s)
    numbers[:, _MOVE] += step_s * numbers[:, _SPEED][:, _POSITION]
    numbers[:, _TURN] = rotations.reshape(1, 9)
    return PoseState(stamp_s, numbers[0], covariance[0], state.hits)


def updated(
    settings: PoseFilterSettings,
    states: Sequence[PoseState],
    symmetries: Sequence[Sequence[Symmetry]],
    stamp_s: float,
    measured_moves: np.ndarray,
    measured_turns: np.ndarray,
    noise: np.ndarray,
) -> list[PoseState | None]:
    """After a measurement of each object; None for an outlier.

    Args:
        settings: of all the filters.
        states: (N) before it, all of one stamp.
        symmetries: of each object; a measurement is replaced by the pose that looks the same and is nearest.
        stamp_s: of the measurements, later.
        measured_moves: (N, 3) m, their positions.
        measured_turns: (N, 3, 3), their rotations; replaced in place.
        noise: (N, 6, 6) of them.

    Example: one object, measured 2 mm further along x a tenth of a second later.
        >>> settings, noise = PoseFilterSettings(), 1e-6 * np.eye(6)
        >>> state = started(settings, 0.0, Pose(np.eye(3), np.zeros(3)), noise)
        >>> (after,) = updated(settings, [state], [()], 0.1, np.array([[0.002, 0, 0]]), np.eye(3)[None], noise[None])
        >>> after.hits, round(float(after.pose.translation[0]), 3)
        (2, 0.002)
    """
    count, step_s = len(states), stamp_s - states[0].stamp_s
    numbers = np.concatenate([state.numbers for state in states]).reshape(count, _COUNT)
    covariance = np.concatenate([state.covariance for state in states]).reshape(count, 12, 12)
    turns, prior = _moved(numbers, covariance, step_s)
    moves = numbers[:, _MOVE] + step_s * numbers[:, _SPEED][:, _POSITION]
    for index, of_object in enumerate(symmetries):
        if of_object:
            pose, expected = Pose(measured_turns[index], measured_moves[index]), Pose(turns[index], moves[index])
            measured_turns[index] = nearest(pose, expected, of_object).rotation
    innovation = np.empty((count, 6))
    np.subtract(measured_moves, moves, out=innovation[:, _POSITION])
    away = (measured_turns @ turns.transpose(0, 2, 1)).reshape(count, 9).tolist()
    innovation[:, _ROTATION] = [so3_log_numbers(*turn) for turn in away]

    lag, variance_scale = numbers[:, _LAG], numbers[:, _SCALE]
    scale = np.sqrt(variance_scale).repeat(3, axis=1)
    noise = noise * scale[:, None] * scale[:, :, None]
    densities = _densities(settings, lag)
    total = prior[:, _POSE, _POSE] + noise
    variances = total.reshape(count, 36)[:, ::7]
    variances += densities * (step_s**3 / 3)
    outliers = _outliers(settings, innovation, total)

    normalised = innovation / np.sqrt(variances)
    np.minimum(np.maximum(normalised, -settings.gate, out=normalised), settings.gate, out=normalised)
    new_lag = lag + (1.0 - math.exp(step_s / -settings.memory_s)) * (normalised - lag)
    # one that accelerates more than assumed does so in this step too
    grown = np.logical_or.reduce(np.abs(new_lag) > np.abs(lag), axis=1, keepdims=True)
    _accelerate(prior, np.where(grown, _densities(settings, new_lag), densities), step_s)
    from_pose = prior[:, _POSE]
    gain = _solved(from_pose[:, :, _POSE] + noise, from_pose).transpose(0, 2, 1)
    correction = (gain @ innovation[:, :, None])[:, :, 0]
    rest = np.empty((count, 12, 12))
    rest[:] = _STILL
    rest[:, :, _POSE] -= gain
    # Joseph's form stays positive definite
    covariance = rest @ prior @ rest.transpose(0, 2, 1) + gain @ noise @ gain.transpose(0, 2, 1)

    after = np.empty((count, _COUNT))
    after[:, _MOVE] = moves + correction[:, _POSITION]
    after[:, _SPEED] = numbers[:, _SPEED] + correction[:, _MOTION]
    after[:, _LAG] = new_lag
    scatter = np.minimum(_mean_squares(normalised - new_lag), 4.0)
    scatter = variance_scale * (1.0 + (1.0 - math.exp(step_s / -settings.noise_memory_s)) * (scatter - 1.0))
    least, most = settings.min_noise_scale**2, settings.max_noise_scale**2
    np.minimum(np.maximum(scatter, least, out=scatter), most, out=after[:, _SCALE])
    after[:, _TURN] = (_rotations(correction[:, _ROTATION]) @ turns).reshape(count, 9)
    return [
        None if index in outliers else PoseState(stamp_s, after[index], covariance[index], state.hits + 1)
        for index, state in enumerate(states)
    ]


def _moved(numbers: np.ndarray, covariance: np.ndarray, step_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3, 3) rotations a step later, and (N, 12, 12) covariances if nothing accelerates."""
    count = len(numbers)
    turn = _rotations(step_s * numbers[:, _SPEED][:, _ROTATION])
    transition = np.empty((count, 12, 12))
    transition[:] = _STILL
    transition.reshape(count, 144)[:, _POSE_BY_MOTION] = step_s
    transition[:, _ROTATION, _ROTATION] = turn  # an error about the previous rotation turns with it
    rotations = turn @ numbers[:, _TURN].reshape(count, 3, 3)
    return rotations, transition @ covariance @ transition.transpose(0, 2, 1)


def _solved(matrices: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solutions (N, 6, 12) of symmetric, positive definite systems."""
    solutions = np.empty_like(right)
    for solution, matrix, side in zip(solutions, matrices, right, strict=True):
        _, solution[:], info = dposv(matrix, side)
        if info:
            solution[:] = np.linalg.solve(matrix, side)
    return solutions


def _rotations(vectors: np.ndarray) -> np.ndarray:
    """(N, 3, 3) of (N, 3) rotation vectors; for a few of them faster than arithmetic on arrays is."""
    return np.array([so3_exp_numbers(*vector) for vector in vectors.tolist()]).reshape(-1, 3, 3)


def _accelerate(covariance: np.ndarray, densities: np.ndarray, step_s: float) -> None:
    """Add what accelerations do in a step to (N, 12, 12), in place: white noise, integrated once and twice."""
    t, flat = abs(step_s), covariance.reshape(len(covariance), 144)
    both = densities * (step_s * t / 2)
    flat[:, _OF_POSE] += densities * (t**3 / 3)
    flat[:, _POSE_BY_MOTION] += both
    flat[:, _MOTION_BY_POSE] += both
    flat[:, _OF_MOTION] += densities * t


def _densities(settings: PoseFilterSettings, lag: np.ndarray) -> np.ndarray:
    """(N, 6) squared spectral densities of the acceleration and of that of the turn, on each axis."""
    most, scale = settings.max_acceleration_gain, 1.0 / (1.0 - _CALM)
    gain = (np.sqrt(_mean_squares(lag)) - _CALM) * (most * scale)
    np.minimum(np.maximum(gain, 1.0, out=gain), most, out=gain)
    return np.asarray((gain * gain).repeat(3, axis=1) * settings.densities)


def _mean_squares(values: np.ndarray) -> np.ndarray:
    """(N, 2) of (N, 6): over the axes of the position, and of the rotation."""
    return np.add.reduce((values * values).reshape(-1, 2, 3), axis=2) / 3.0


def _outliers(settings: PoseFilterSettings, innovation: np.ndarray, total: np.ndarray) -> set[int]:
    """Which rows are too far off, for their (N, 6, 6) covariances."""
    found = set()
    for row, (x, y, z, u, v, w) in enumerate(innovation.tolist()):
        for part, square, least in (
            (_POSITION, x * x + y * y + z * z, settings.min_jump_m),
            (_ROTATION, u * u + v * v + w * w, settings.min_jump_rad),
        ):
            if square > least**2:
                jump = innovation[row, part]
                if jump @ np.linalg.solve(total[row, part, part], jump) > settings.gate**2:
                    found.add(row)
    return found
