# SPDX-License-Identifier: Apache-2.0
"""Two poses of a flat object over time: the wrong one is not published, the right one soon is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.scenes.pnp_scenes import CAMERA, seen

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp
from isaac_inference.ops.pose.pnp import PnpSettings, estimate_pnp
from isaac_inference.ops.pose.second_pose import SecondPose, either
from isaac_inference.ops.tracking import MirrorSettings, PoseFilter, PoseFilterSettings, TwoPoseFilter

STEP_S = 1 / 30
TAG = 0.05 * np.array([(-1.0, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)])
SETTINGS = PnpSettings(pixel_noise=0.3)  # what the corners of a tag are exact to
FACING = so3_exp((np.pi, 0, 0))
FLIP = np.radians(15.0)
ALONE = np.diag([1e-6] * 3 + [1e-3] * 3)
NEAR = Pose(so3_exp((0.4, 0, 0)) @ FACING, np.array([0, 0, 1.0]))
FAR = Pose(so3_exp((-0.4, 0, 0)) @ FACING, np.array([0, 0, 1.0]))


def tilted(degrees: float, distance: float, azimuth: float = 0.6) -> Pose:
    turn = np.radians(degrees) * np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    return Pose(so3_exp(turn) @ FACING, np.array([0.02, -0.03, distance]))


class Track:
    """What a filter makes of a tag that is seen 30 times a second."""

    def __init__(self, noise: float, seed: int) -> None:
        self._rng, self._noise = np.random.default_rng(seed), noise
        self.two, self.one = TwoPoseFilter(), PoseFilter()
        self.poses = self.published = self.flips = self.plain_flips = 0

    def see(self, frame: int, pose: Pose) -> None:
        try:
            found = estimate_pnp(seen(pose, TAG, noise=self._noise, rng=self._rng), TAG, CAMERA, SETTINGS)
        except FrameError:
            return
        assert found.covariance is not None
        self.poses += 1
        result = self.two.update(frame * STEP_S, found.pose, found.covariance, found.other)
        plain = self.one.update(frame * STEP_S, found.pose, found.covariance)
        if result is not None:
            self.published += 1
            self.flips += rotation_angle(result.pose.rotation @ pose.rotation.T) > FLIP
        if plain is not None:
            self.plain_flips += rotation_angle(plain.pose.rotation @ pose.rotation.T) > FLIP


def turning(frame: int) -> Pose:
    """Through being seen square on, and back."""
    return tilted(45.0 * np.cos(1.5 * frame * STEP_S), 0.9)


SCENES: dict[str, Callable[[int], Pose]] = {
    'at rest': lambda frame: tilted(35.0, 1.0),
    'far away': lambda frame: tilted(30.0, 1.5),
    'turning': lambda frame: turning(frame),
    'leaving': lambda frame: tilted(40.0, 0.6 + 0.3 * frame * STEP_S),
}


@pytest.mark.parametrize('scene', SCENES)
def test_a_tag_is_published_and_never_flipped(scene: str) -> None:
    poses = published = flips = 0
    for seed in range(4):
        track = Track(0.3, seed)
        for frame in range(60):
            track.see(frame, SCENES[scene](frame))
        poses, published, flips = poses + track.poses, published + track.published, flips + track.flips
    assert poses > 200
    assert published >= 0.9 * poses
    assert flips == 0


def test_what_one_filter_publishes_flipped_two_withhold() -> None:
    """A tag that is too small to tell: 10 cm at 3 m."""
    flips = plain = 0
    for seed in range(6):
        track = Track(0.4, 100 + seed)
        for frame in range(30):
            track.see(frame, tilted(25.0, 3.0, azimuth=seed))
        flips, plain = flips + track.flips, plain + track.plain_flips
        assert track.published < track.poses
    assert plain >= 20
    assert flips == 0


def test_a_camera_that_moves_decides_by_what_stays_at_rest() -> None:
    """Both poses fit each image equally well, but in the frame of the world only one of them rests."""
    filter_, published = TwoPoseFilter(), []
    for frame in range(90):
        camera = Pose(so3_exp((0, 0.5 * np.sin(frame * STEP_S), 0)), np.zeros(3))
        true, mirrored = NEAR, camera @ FAR
        second = SecondPose(mirrored, ALONE, 0.499)
        result = filter_.update(frame * STEP_S, true, either(true, ALONE, second), second)
        if result is not None:
            published.append(rotation_angle(result.pose.rotation @ true.rotation.T))
    assert len(published) > 10
    assert max(published) < 0.05


def test_the_same_view_does_not_become_surer_for_ever() -> None:
    """Ten frames that say 6 to 4 are worth 60 to 1, and a thousand no more: their errors are the same."""
    filter_ = TwoPoseFilter(mirror=MirrorSettings(max_probability=0.01))
    second = SecondPose(FAR, ALONE, 0.4)
    for frame in range(200):
        assert filter_.update(frame * STEP_S, NEAR, either(NEAR, ALONE, second), second) is None
    assert '46 degrees off, is as probable as 1.7%, expected 1.0%' in filter_.withheld
    assert filter_.second_probability == pytest.approx(1 / (1 + 1.5**10), rel=0.05)
    with pytest.raises(FrameError, match='mirrored') as caught:
        filter_.predict(200 * STEP_S)
    assert caught.value.reason == 'ambiguous_pose'


def test_it_follows_the_right_one_when_the_other_comes_first_for_a_frame() -> None:
    filter_ = TwoPoseFilter()
    for frame in range(30):
        flipped = frame % 5 == 4
        pose, other = (FAR, NEAR) if flipped else (NEAR, FAR)
        second = SecondPose(other, ALONE, 0.45 if flipped else 0.02)
        result = filter_.update(frame * STEP_S, pose, either(pose, ALONE, second), second)
        if frame > 2:
            assert result is not None
            assert rotation_angle(result.pose.rotation @ NEAR.rotation.T) < 0.01


def test_poses_that_are_alike_are_published_with_a_covariance_that_spans_both() -> None:
    filter_, other = TwoPoseFilter(), Pose(so3_exp((0.2, 0, 0)) @ NEAR.rotation, NEAR.translation)
    for frame in range(5):
        second = SecondPose(other, ALONE, 0.5)
        result = filter_.update(frame * STEP_S, NEAR, either(NEAR, ALONE, second), second)
        assert result is not None
    assert np.sqrt(result.covariance[3, 3]) > 0.13


def test_one_possible_pose_settles_it() -> None:
    filter_, second = TwoPoseFilter(), SecondPose(FAR, ALONE, 0.5)
    assert filter_.update(0.0, NEAR, either(NEAR, ALONE, second), second) is None
    result = filter_.update(STEP_S, FAR, ALONE)
    assert result is not None and filter_.second_probability == 0.0
    assert rotation_angle(result.pose.rotation @ FAR.rotation.T) < 0.01


@pytest.mark.parametrize('step_s', [0.0, -1.0, 0.51])
def test_it_starts_anew_where_time_does_not_go_on(step_s: float) -> None:
    filter_, second = TwoPoseFilter(), SecondPose(FAR, ALONE, 0.01)
    for frame in range(31):
        filter_.update(frame * STEP_S, NEAR, either(NEAR, ALONE, second), second)
    assert filter_.update(1.0 + step_s, NEAR, either(NEAR, ALONE, second), second) is None
    assert filter_.hits == 1
    assert filter_.second_probability == pytest.approx(0.01)


def test_without_a_second_pose_it_is_a_pose_filter() -> None:
    rng, two, one = np.random.default_rng(3), TwoPoseFilter(PoseFilterSettings()), PoseFilter()
    for frame in range(40):
        measured = Pose(so3_exp(rng.normal(0, 0.03, 3)) @ NEAR.rotation, NEAR.translation + rng.normal(0, 0.002, 3))
        results = [filter_.update(frame * STEP_S, measured, ALONE) for filter_ in (two, one)]
        assert results[0] is not None and results[1] is not None
        np.testing.assert_array_equal(results[0].pose.matrix(), results[1].pose.matrix())
        np.testing.assert_array_equal(results[0].covariance, results[1].covariance)


def test_covariances_that_are_no_numbers_are_refused() -> None:
    filter_ = TwoPoseFilter()
    with pytest.raises(FrameError) as caught:
        filter_.update(0.0, NEAR, ALONE, SecondPose(FAR, ALONE * np.nan, 0.3))
    assert caught.value.reason == 'bad_pose'


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match='mirrored poses, max_probability: got 0'):
        MirrorSettings(max_probability=0.0)
