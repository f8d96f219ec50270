# SPDX-License-Identifier: Apache-2.0
"""The smooth pose of an object that may be in one of two, as a flat one is: both are followed until one is sure.

From one image the two mirrored poses of a flat object, such as a tag, may fit equally well. Over time they differ. Each
frame says by its reprojection which is the more probable one; frames of the same view repeat each other's systematic
errors, so that only the first few of them count. Where one of the two stays at rest while the other turns, as it does
when the camera moves and poses are in a frame at rest, or where one moves as nothing does, that counts as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_log
from isaac_inference.ops.geometry.symmetry import Symmetry, nearest
from isaac_inference.ops.pose.second_pose import SecondPose, either, first_alone
from isaac_inference.ops.setting_ranges import require
from isaac_inference.ops.tracking.pose_filter import PoseFilter, SmoothPose
from isaac_inference.ops.tracking.pose_filter_settings import PoseFilterSettings

_Measured = tuple[Pose, np.ndarray]
_MOST = 16.0  # log odds; more sure than this is none, so that a mistake can be mended
_FARTHEST = 50.0  # squared standard deviations; what is further off is all the same
_PLAUSIBLE = 11.3  # squared standard deviations that a rotation exceeds once in a hundred times
_SURPRISE = 4.0  # log odds that one frame's motion may say, at most


@dataclass(frozen=True)
class MirrorSettings:
    """When one of two poses is believed.

    Attributes:
        max_probability: of the second pose, up to which the first is published.
        same_rad: poses closer than this, in rad, are published without a decision, with a covariance that spans both.
        view_frames: frames of a view that count as independent; more of them say nothing new.
        view_rad: a pose that turns by this, in rad, shows a new view.
        rest_odds: how much more probable it is that an object rests than that it turns just as its mirrored pose does;
            the logarithm.

    Raises:
        ConfigError: a value that isn't above 0.
    """

    max_probability: float = 0.001
    same_rad: float = math.radians(15.0)
    view_frames: float = 10.0
    view_rad: float = math.radians(5.0)
    rest_odds: float = 3.0

    def __post_init__(self) -> None:
        require(self, 'mirrored poses', vars(self), above=True)


class TwoPoseFilter:
    """A `PoseFilter` that is told of second poses; without any it is just that.

    Args:
        settings: of the filters of both poses.
        symmetries: of the object.
        mirror: when one of them is believed.

    Example: two poses that fit equally well are withheld, until one fits better.
        >>> filter_, near, far = TwoPoseFilter(), Pose.identity(), Pose.from_quaternion((0.3, 0, 0, 1))
        >>> for frame, probability in enumerate((0.5, 0.5, 0.01, 0.01)):
        ...     second = SecondPose(far, 1e-4 * np.eye(6), probability)
        ...     result = filter_.update(frame / 30, near, either(near, 1e-4 * np.eye(6), second), second)
        ...     print(f'{filter_.second_probability:.4f}', 'withheld' if result is None else 'published')
        0.5000 withheld
        0.5000 withheld
        0.0100 withheld
        0.0001 published

    Attributes:
        withheld: why the last measurement gave no pose although it is no outlier, a sentence; '' where it did.
    """

    def __init__(
        self,
        settings: PoseFilterSettings | None = None,
        symmetries: Sequence[Symmetry] = (),
        mirror: MirrorSettings | None = None,
    ) -> None:
        self._settings, self.symmetries = settings or PoseFilterSettings(), tuple(symmetries)
        self._mirror = mirror or MirrorSettings()
        self._first = self._new_filter()
        self._second: PoseFilter | None = None
        self._odds = _Odds(self._mirror)
        self.withheld = ''

    @property
    def stamp_s(self) -> float | None:
        """Stamp of the last accepted measurement."""
        return self._first.stamp_s

    @property
    def hits(self) -> int:
        """Measurements accepted since the start or restart."""
        return self._first.hits

    @property
    def second_probability(self) -> float:
        """That the object is in the other one of the two poses that are followed; 0 without another."""
        return _probability(-self._odds.total) if self._second is not None else 0.0

    def reset(self) -> None:
        """Forget everything; the next measurement starts the filter."""
        self._first, self._second, self._odds = self._new_filter(), None, _Odds(self._mirror)

    def predict(self, stamp_s: float) -> SmoothPose:
        """The published pose at a stamp; changes nothing.

        Raises:
            FrameError: 'no_pose', before the first measurement; 'ambiguous_pose', where it is withheld.
        """
        return self._published(self._first.predict(stamp_s), stamp_s)

    def update(
        self, stamp_s: float, pose: Pose, covariance: np.ndarray | None = None, second: SecondPose | None = None
    ) -> SmoothPose | None:
        """Take in a measurement; arguments as of `PoseFilter.update`.

        Args:
            stamp_s, pose: of the measurement.
            covariance: of it; with a second pose, spanning both as by `either`.
            second: the other pose that it may have been.

        Returns:
            The filtered pose at `stamp_s`, or None where the measurement was rejected as an outlier, or `withheld` as
            long as the second pose is too probable.

        Raises:
            FrameError: 'bad_pose', as of `PoseFilter.update`.
        """
        self.withheld = ''
        last_s = self._first.stamp_s
        if last_s is not None and not 0.0 < stamp_s - last_s <= self._settings.max_gap_s:
            self.reset()
        if second is None or covariance is None:
            self._settle(stamp_s, pose, covariance)
            return self._first.update(stamp_s, pose, covariance)
        if not all(np.isfinite(values).all() for values in (covariance, second.covariance)):
            raise FrameError('bad_pose', 'covariance of one of two poses: got values that are not finite')
        given = (pose, first_alone(pose, covariance, second)), (second.pose, second.covariance)
        odds = min(math.log(max(1.0 - second.probability, 1e-9) / max(second.probability, 1e-9)), _MOST)
        if self._second is None:
            result = self._split(stamp_s, given, odds)
        else:
            result = self._follow(stamp_s, given, odds, self._second)
        if result is None:
            return None
        try:
            return self._published(result, stamp_s)
        except FrameError as error:
            self.withheld = str(error)
            return None

    def follows_one(self, stamp_s: float) -> bool:
        """Whether one pose alone is followed, and a measurement at this stamp continues it."""
        return self._second is None and self._first.follows(stamp_s)

    @staticmethod
    def update_together(
        filters: Sequence[TwoPoseFilter],
        stamp_s: float,
        poses: Sequence[Pose],
        covariances: Sequence[np.ndarray | None],
    ) -> list[SmoothPose | None]:
        """`update` of several objects at once, as `PoseFilter.update_together`; all of them `follows_one(stamp_s)`.

        Raises:
            FrameError: 'bad_pose', for any of them; all filters are as they were.
        """
        for one in filters:
            one.withheld = ''
        return PoseFilter.update_together([one._first for one in filters], stamp_s, poses, covariances)

    def _published(self, result: SmoothPose, stamp_s: float) -> SmoothPose:
        if self._second is None:
            return result
        other, probability = self._second.predict(stamp_s), self.second_probability
        apart = self._apart(result.pose, other.pose)
        if probability > self._mirror.max_probability and apart > self._mirror.same_rad:
            raise FrameError(
                'ambiguous_pose',
                f'a flat object, and its mirrored pose, {math.degrees(apart):.0f} degrees off, is as probable as '
                f'{probability:.1%}, expected {self._mirror.max_probability:.1%}; it waits until the object or the '
                'camera has moved, or comes closer',
            )
        second = SecondPose(nearest(other.pose, result.pose, self.symmetries), other.covariance, probability)
        return SmoothPose(result.pose, either(result.pose, result.covariance, second))

    def _settle(self, stamp_s: float, pose: Pose, covariance: np.ndarray | None) -> None:
        """Only one pose is possible: the nearest one that is followed goes on."""
        if self._second is None:
            return
        first, second = (one.predict(stamp_s).pose for one in (self._first, self._second))
        if self._apart(first, second) > self._mirror.same_rad and covariance is not None:
            off = [self._off(one.predict(stamp_s), (pose, covariance)) for one in (self._first, self._second)]
            if off[1] < off[0]:
                self._first = self._second
        self._second = None
        self._odds.begin(_MOST)

    def _split(self, stamp_s: float, given: Sequence[_Measured], odds: float) -> SmoothPose | None:
        """A second pose where one was followed, or none."""
        if self._first.stamp_s is None:
            self._odds.begin(0.0, odds)
            self._second = self._new_filter(stamp_s, given[1])
            return self._first.update(stamp_s, *given[0])
        expected = self._first.predict(stamp_s)
        off = [self._off(expected, one) for one in given]
        # The first one goes on that is followed, if that was right, or it's the other.
        right, goes_on = _probability(self._odds.total), _probability((off[1] - off[0]) / 2.0)
        before = right * goes_on + (1.0 - right) * (1.0 - goes_on)
        prior = math.log(max(before, 1e-9) / max(1.0 - before, 1e-9))
        followed = 0 if goes_on >= 0.5 else 1
        sign = 1.0 if followed == 0 else -1.0
        self._second = self._new_filter(stamp_s, given[1 - followed])
        result = self._first.update(stamp_s, *given[followed])
        self._odds.begin(sign * prior, sign * odds)
        return self._lead(result, stamp_s)

    def _follow(self, stamp_s: float, given: Sequence[_Measured], odds: float, second: PoseFilter) -> SmoothPose | None:
        expected = [one.predict(stamp_s) for one in (self._first, second)]
        off = [[self._off(one, measured) for measured in given] for one in expected]
        straight, crossed = off[0][0] + off[1][1], off[0][1] + off[1][0]
        mine, others = 0, 1
        if crossed < straight:
            mine, others, odds = 1, 0, -odds
        result, other = self._first.update(stamp_s, *given[mine]), second.update(stamp_s, *given[others])
        strange = [max(off[0][mine] - _PLAUSIBLE, 0.0), max(off[1][others] - _PLAUSIBLE, 0.0)]
        motion = min(max((strange[1] - strange[0]) / 2.0, -_SURPRISE), _SURPRISE)
        poses = [result or expected[0], other or expected[1]]
        self._odds.add(odds, motion, _probability(-abs(crossed - straight) / 2.0), poses)
        return self._lead(result, stamp_s)

    def _lead(self, result: SmoothPose | None, stamp_s: float) -> SmoothPose | None:
        """The more probable one is the first."""
        if self._odds.total >= 0.0 or self._second is None:
            return result
        self._first, self._second = self._second, self._first
        self._odds.exchange()
        return self._first.predict(stamp_s)

    def _off(self, expected: SmoothPose, measured: _Measured) -> float:
        """Squared standard deviations of a measured rotation from the predicted one."""
        pose, covariance = measured
        turn = so3_log(nearest(pose, expected.pose, self.symmetries).rotation @ expected.pose.rotation.T)
        least = self._settings.min_rotation_noise**2 * np.eye(3)
        spread = expected.covariance[3:, 3:] + covariance[3:, 3:] + least
        return min(float(turn @ np.linalg.solve(spread, turn)), _FARTHEST)

    def _apart(self, first: Pose, second: Pose) -> float:
        return rotation_angle(first.rotation.T @ nearest(second, first, self.symmetries).rotation)

    def _new_filter(self, stamp_s: float | None = None, measured: _Measured | None = None) -> PoseFilter:
        made = PoseFilter(self._settings, self.symmetries)
        if stamp_s is not None and measured is not None:
            made.update(stamp_s, *measured)
        return made


class _Odds:
    """The logarithm of how much more probable the first pose is than the second. Starts at even odds."""

    def __init__(self, settings: MirrorSettings) -> None:
        self._settings = settings
        self.begin(0.0)

    @property
    def total(self) -> float:
        share = min(1.0, self._settings.view_frames / max(self._frames, 1))
        return min(max(self._before + share * self._view, -_MOST), _MOST)

    def begin(self, before: float, view: float = 0.0) -> None:
        """With what was known before this view, and what its first frame says."""
        self._before, self._view, self._frames = before, view, 1 if view else 0
        self._anchors: list[np.ndarray] = []

    def exchange(self) -> None:
        """The two poses take each other's place."""
        self._before, self._view = -self._before, -self._view
        self._anchors.reverse()

    def add(self, view: float, motion: float, mixed: float, poses: Sequence[SmoothPose]) -> None:
        """One frame.

        Args:
            view: what it says by its reprojection.
            motion: what the motion of the two poses says.
            mixed: the probability that one was taken for the other.
            poses: both.
        """
        self._view, self._frames, self._before = self._view + view, self._frames + 1, self._before + motion
        total = self.total
        right = _probability(total)
        right = right * (1.0 - mixed) + (1.0 - right) * mixed
        self._before += math.log(right / (1.0 - right)) - total
        if not self._anchors:
            self._anchors = [pose.pose.rotation for pose in poses]
        turned = [rotation_angle(pose.pose.rotation @ then.T) for pose, then in zip(poses, self._anchors, strict=True)]
        noise = 3.0 * math.sqrt(max(float(pose.covariance[3:, 3:].trace()) for pose in poses))
        least = max(self._settings.view_rad, noise)
        if max(turned) > least:
            rests = self._settings.rest_odds * (float(turned[0] < least / 3.0) - float(turned[1] < least / 3.0))
            self.begin(self.total + rests)
            self._anchors = [pose.pose.rotation for pose in poses]


def _probability(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(min(-log_odds, 700.0)))
