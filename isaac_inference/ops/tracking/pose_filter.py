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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical
from isaac_inference.ops.tracking.pose_filter_settings import PoseFilterSettings
from isaac_inference.ops.tracking.pose_states import PoseState, predicted, started, updated


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
        self._state: PoseState | None = None
        self._rival: PoseState | None = None

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
        moves, rotations, noise = _checked(self.settings, stamp_s, [pose], [covariance])
        if self._state is None or not self.follows(stamp_s):
            return self._start(started(self.settings, stamp_s, pose, noise[0]))
        state = self._updated(self._state, stamp_s, moves, rotations, noise)
        return self._start(state) if state is not None else self._oppose(stamp_s, pose, moves, rotations, noise)

    def follows(self, stamp_s: float) -> bool:
        """Whether a measurement at this stamp continues the pose, and does not restart the filter."""
        return self._state is not None and 0.0 < stamp_s - self._state.stamp_s <= self.settings.max_gap_s

    @staticmethod
    def update_together(
        filters: Sequence[PoseFilter], stamp_s: float, poses: Sequence[Pose], covariances: Sequence[np.ndarray | None]
    ) -> list[SmoothPose | None]:
        """`update` of several objects at once, by the measurements of one frame: of six in a third of the time.

        Args:
            filters: with the same settings, each of another object; all of them `follows(stamp_s)`.
            stamp_s, poses, covariances: of their measurements, as of `update`.

        Returns:
            What `update` returns, of each.

        Raises:
            FrameError: 'bad_pose', as of `update`, for any of them; all filters are as they were.
        """
        if not filters:
            return []
        settings = filters[0].settings
        moves, rotations, noise = _checked(settings, stamp_s, poses, covariances)
        found: list[SmoothPose | None] = [None] * len(filters)
        for rows, states in _by_stamp(filters):
            part = slice(None) if len(rows) == len(filters) else rows
            symmetries = [filters[row].symmetries for row in rows]
            # copies, as `updated` uses the rotations up
            given = moves[part], rotations[part].copy(), noise[part]
            for row, state in zip(rows, updated(settings, states, symmetries, stamp_s, *given), strict=True):
                if state is not None:
                    found[row] = filters[row]._start(state)
                else:
                    one = slice(row, row + 1)
                    found[row] = filters[row]._oppose(stamp_s, poses[row], moves[one], rotations[one], noise[one])
        return found

    def predict(self, stamp_s: float) -> SmoothPose:
        """The pose at a stamp, from the measurements accepted so far; changes nothing.

        Raises:
            FrameError: 'no_pose', before the first measurement.
        """
        if self._state is None:
            raise FrameError('no_pose', 'pose filter: nothing was measured yet, so it cannot predict')
        return self._smooth(predicted(self.settings, self._state, stamp_s))

    def _updated(
        self, state: PoseState, stamp_s: float, moves: np.ndarray, rotations: np.ndarray, noise: np.ndarray
    ) -> PoseState | None:
        return updated(self.settings, [state], [self.symmetries], stamp_s, moves, rotations.copy(), noise)[0]

    def _oppose(
        self, stamp_s: float, pose: Pose, moves: np.ndarray, rotations: np.ndarray, noise: np.ndarray
    ) -> SmoothPose | None:
        """Rejected measurements that agree with each other become a rival, which finally takes over."""
        rival = None
        if self._rival is not None:
            rival = self._updated(self._rival, stamp_s, moves, rotations, noise)
        self._rival = rival or started(self.settings, stamp_s, pose, noise[0])
        return self._start(self._rival) if self._rival.hits >= self.settings.takeover_hits else None

    def _start(self, state: PoseState) -> SmoothPose:
        self._state, self._rival = state, None
        return self._smooth(state)

    def _smooth(self, state: PoseState) -> SmoothPose:
        return SmoothPose(canonical(state.pose, self.symmetries), state.pose_covariance)


def _by_stamp(filters: Sequence[PoseFilter]) -> Iterator[tuple[list[int], list[PoseState]]]:
    """Rows of those that were last seen at the same time, with their states; mostly all of them."""
    groups: dict[float, tuple[list[int], list[PoseState]]] = {}
    for row, one in enumerate(filters):
        if one._state is not None:
            rows, states = groups.setdefault(one._state.stamp_s, ([], []))
            rows.append(row)
            states.append(one._state)
    yield from groups.values()


def _checked(
    settings: PoseFilterSettings, stamp_s: float, poses: Sequence[Pose], covariances: Sequence[np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measurements as arrays: (N, 3) positions, (N, 3, 3) rotations and (N, 6, 6) noise.

    Raises:
        FrameError: 'bad_pose', a value that is not finite or no covariance.
    """
    count = len(poses)
    given = [_assumed(settings, pose) if one is None else one for pose, one in zip(poses, covariances, strict=True)]
    if any(one.shape != (6, 6) for one in given):
        raise _no_covariance(given)
    moves = np.concatenate([pose.translation for pose in poses]).reshape(count, 3)
    rotations = np.concatenate([pose.rotation for pose in poses]).reshape(count, 3, 3)
    noise = np.concatenate(given).reshape(count, 6, 6)
    # the sum of the squares is finite only where all parts are, and is soon found
    total = sum(float(np.vdot(array, array)) for array in (moves, rotations, noise))
    if not math.isfinite(stamp_s + total) and not (
        math.isfinite(stamp_s) and all(np.isfinite(array).all() for array in (moves, rotations, noise))
    ):
        raise FrameError(
            'bad_pose', f'pose to filter: got stamp {stamp_s} and {list(poses)} with values that are not finite'
        )
    noise = (noise + noise.transpose(0, 2, 1)) / 2
    if not _are_covariances(noise):
        raise _no_covariance(given)
    is_given = np.array([one is not None for one in covariances])
    noise.reshape(count, 36)[:, ::7] += settings.least_noise * is_given[:, None]
    return moves, rotations, noise


def _assumed(settings: PoseFilterSettings, pose: Pose) -> np.ndarray:
    """(6, 6) of a measurement that comes without."""
    sigma = settings.position_noise + settings.position_noise_far * math.hypot(*pose.translation.tolist())
    return np.diag(np.repeat((sigma**2, settings.rotation_noise**2), 3))


def _are_covariances(matrices: np.ndarray) -> bool:
    """Whether symmetric (N, 6, 6) have no negative variance."""
    if not any(dpotrf(matrix)[1] for matrix in matrices):  # all have a Cholesky factor, as nearly always
        return True
    spread = np.linalg.eigvalsh(matrices)
    return bool((spread[:, 0] >= -1e-6 * np.abs(spread[:, -1])).all())


def _no_covariance(given: Sequence[np.ndarray]) -> FrameError:
    got = '; '.join(str(one.tolist()) for one in given)
    return FrameError('bad_pose', f'covariance of a pose: got {got}, expected (6, 6) with no negative variance')
