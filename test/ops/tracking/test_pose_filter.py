# SPDX-License-Identifier: Apache-2.0
"""Smooth poses: less error than the measurements at rest and in motion, outliers out, nothing stuck."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle, so3_exp, so3_log
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical
from isaac_inference.ops.tracking import PoseFilter, PoseFilterSettings

STEP_S = 1 / 30
TIMES = np.arange(240) * STEP_S
REST = Pose(so3_exp([0.3, 0.2, 0.1]), np.array([0.1, 0.0, 0.8]))
POSITION_NOISE, ROTATION_NOISE = 0.003, 0.03
COVARIANCE = np.diag([POSITION_NOISE**2] * 3 + [ROTATION_NOISE**2] * 3)


def swing(t):
    """Up to 0.5 m/s and 1 rad/s."""
    turn = so3_exp([0.0, 0.8 * np.sin(1.25 * t), 0.6 * np.sin(0.9 * t)])
    return Pose(turn @ REST.rotation, REST.translation + np.array([0.2, 0.1, 0.1]) * np.sin(2.0 * t))


def stop_and_go(t):
    """A second at rest, a second at 0.3 m/s and 0.8 rad/s, and so on."""
    gone = (t // 2) + max(t % 2 - 1, 0.0)
    return Pose(so3_exp([0, 0, 0.8 * gone]) @ REST.rotation, REST.translation + np.array([0.3 * gone, 0.0, 0.0]))


TRAJECTORIES = {'rest': lambda t: REST, 'swing': swing, 'stop and go': stop_and_go}


def noisy(pose, rng, amount=1.0):
    turn = so3_exp(rng.normal(0.0, amount * ROTATION_NOISE, 3))
    return Pose(turn @ pose.rotation, pose.translation + rng.normal(0.0, amount * POSITION_NOISE, 3))


def error(pose, truth):
    """m, rad"""
    return np.linalg.norm(pose.translation - truth.translation), rotation_angle(pose.rotation @ truth.rotation.T)


def run(filter_, count=30, pose=REST, start=0):
    """Measure the same pose so many times."""
    for frame in range(start, start + count):
        result = filter_.update(frame * STEP_S, pose, COVARIANCE)
    return result


@pytest.mark.parametrize(
    ('kind', 'largest'), [('rest', (0.7, 0.6)), ('swing', (0.95, 0.8)), ('stop and go', (0.85, 0.8))]
)
@pytest.mark.parametrize('amount', [0.4, 1.0, 2.5], ids=['as little noise', 'as said', 'much more noise'])
@pytest.mark.parametrize('covariance', [COVARIANCE, None], ids=['covariance', 'none'])
def test_the_filtered_error_is_below_the_raw_one(kind, largest, amount, covariance):
    rng, filter_ = np.random.default_rng(7), PoseFilter()
    raw, filtered = [], []
    for t in TIMES:
        truth = TRAJECTORIES[kind](t)
        measured = noisy(truth, rng, amount)
        result = filter_.update(t, measured, covariance)
        raw.append(error(measured, truth))
        filtered.append(error(filter_.predict(t).pose if result is None else result.pose, truth))
    ratio = np.sqrt(np.mean(np.square(filtered[15:]), axis=0) / np.mean(np.square(raw[15:]), axis=0))
    slack = 1.0 if amount == 1.0 else 1.15  # the noise has to be learnt first
    assert (ratio < np.multiply(largest, slack).clip(max=1.0)).all(), ratio


def test_the_covariance_is_about_right_at_rest():
    rng, errors, shares = np.random.default_rng(3), [], []
    for _ in range(40):
        filter_ = PoseFilter()
        for frame in range(60):
            result = filter_.update(frame * STEP_S, noisy(REST, rng), COVARIANCE)
        errors.append(result.pose.translation - REST.translation)
        shares.append(np.diag(result.covariance)[:3])
    assert 0.5 < np.mean(np.square(errors)) / np.mean(shares) < 2.0


def test_the_first_measurement_is_taken_as_it_is():
    result = PoseFilter().update(5.0, REST)
    np.testing.assert_allclose(result.pose.matrix(), REST.matrix())


@pytest.mark.parametrize('turn', [[0, 0, np.pi], [0, np.pi / 2, 0], [0.6, 0.0, 0.0]])
def test_a_flip_for_one_frame_is_rejected(turn):
    filter_ = PoseFilter()
    run(filter_, 10)
    flipped = Pose(REST.rotation @ so3_exp(turn), REST.translation)
    assert filter_.update(10 * STEP_S, flipped, COVARIANCE) is None
    after = run(filter_, 1, start=11)
    assert error(after.pose, REST) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_a_jump_in_position_is_rejected_and_a_sudden_start_is_not():
    filter_ = PoseFilter()
    run(filter_, 30)
    away = Pose(REST.rotation, REST.translation + (0.0, 0.0, 0.15))
    assert filter_.update(30 * STEP_S, away, COVARIANCE) is None
    for frame in range(31, 60):
        moved = Pose(REST.rotation, REST.translation + ((frame - 30) * 0.5 * STEP_S, 0.0, 0.0))
        result = filter_.update(frame * STEP_S, moved, COVARIANCE)
    assert error(result.pose, moved)[0] < 0.003


def test_outliers_that_agree_are_believed_after_a_few():
    filter_ = PoseFilter()
    run(filter_, 30)
    flipped = Pose(REST.rotation @ so3_exp([0, 0, np.pi]), REST.translation)
    results = [filter_.update(frame * STEP_S, flipped, COVARIANCE) for frame in range(30, 34)]
    assert [result is None for result in results] == [True, True, True, False]
    assert error(results[-1].pose, flipped)[1] < 1e-6


def test_outliers_that_agree_with_nothing_are_not_believed_but_do_not_lock_it_either():
    rng, filter_ = np.random.default_rng(7), PoseFilter()
    run(filter_, 30)
    for frame in range(30, 44):  # within max_gap_s
        wild = Pose(so3_exp(rng.normal(0, 2, 3)), REST.translation + rng.choice([-1, 1], 3) * rng.uniform(0.3, 1, 3))
        assert filter_.update(frame * STEP_S, wild, COVARIANCE) is None
    elsewhere = Pose(np.eye(3), np.array([1.0, 1.0, 2.0]))
    started = filter_.update(46 * STEP_S, elsewhere, COVARIANCE)
    np.testing.assert_allclose(started.pose.matrix(), elsewhere.matrix())


@pytest.mark.parametrize('step_s', [0.0, -1.0, 0.51], ids=['no time', 'backwards', 'after a gap'])
def test_it_starts_anew_where_time_does_not_go_on(step_s):
    filter_ = PoseFilter()
    run(filter_, 31)
    elsewhere = Pose(np.eye(3), np.array([1.0, 1.0, 2.0]))
    result = filter_.update(1.0 + step_s, elsewhere)
    np.testing.assert_allclose(result.pose.matrix(), elsewhere.matrix())
    assert filter_.hits == 1 and filter_.stamp_s == 1.0 + step_s


def test_prediction_goes_on_with_the_velocity_and_changes_nothing():
    filter_ = PoseFilter()
    for frame in range(60):
        t = frame * STEP_S
        filter_.update(t, Pose(so3_exp([0, 0, t]), np.array([0.3 * t, 0.0, 1.0])), COVARIANCE)
    ahead = filter_.predict(t + 0.2)
    truth = Pose(so3_exp([0, 0, t + 0.2]), np.array([0.3 * (t + 0.2), 0.0, 1.0]))
    assert error(ahead.pose, truth) < (0.005, 0.02)
    assert (np.diag(ahead.covariance) > np.diag(filter_.predict(t).covariance)).all()
    assert filter_.stamp_s == t


def test_without_a_measurement_nothing_is_predicted():
    filter_ = PoseFilter()
    run(filter_, 3)
    filter_.reset()
    with pytest.raises(FrameError, match='nothing was measured') as caught:
        filter_.predict(1.0)
    assert caught.value.reason == 'no_pose'


@pytest.mark.parametrize(
    'symmetries',
    [(Symmetry('z', 0),), (Symmetry('z', 2),), (Symmetry('y', 4),), (Symmetry('z', 0), Symmetry('x', 2))],
)
def test_poses_that_look_alike_are_one_and_the_result_is_canonical(symmetries):
    rng, filter_ = np.random.default_rng(2), PoseFilter(symmetries=symmetries)
    errors = []
    for frame, t in enumerate(TIMES[:90]):
        truth = swing(t)
        axis = 'xyz'.index(symmetries[0].axis)
        angle = rng.uniform(0, 2 * np.pi) if symmetries[0].order == 0 else 2 * np.pi * frame / symmetries[0].order
        measured = noisy(truth, rng)
        measured = Pose(measured.rotation @ so3_exp(np.eye(3)[axis] * angle), measured.translation)
        result = filter_.update(t, measured, COVARIANCE)
        assert result is not None
        np.testing.assert_allclose(result.pose.matrix(), canonical(result.pose, symmetries).matrix(), atol=1e-9)
        seen = [pose.rotation[:, axis] for pose in (result.pose, truth)]
        cosine = abs(seen[0] @ seen[1]) if len(symmetries) > 1 else seen[0] @ seen[1]
        errors.append(np.arccos(min(cosine, 1.0)))
    assert max(errors[10:]) < 3 * ROTATION_NOISE


@pytest.mark.parametrize(
    ('pose', 'covariance'),
    [
        (Pose(np.eye(3), np.array([0.0, np.nan, 1.0])), None),
        (REST, np.full((6, 6), np.inf)),
        (REST, -COVARIANCE),
        (REST, COVARIANCE + np.diag([1.0] * 5, 1) + np.diag([1.0] * 5, -1)),  # no variances make this
        (REST, np.eye(3)),
    ],
)
def test_what_is_no_pose_or_no_covariance_is_refused(pose, covariance):
    filter_ = PoseFilter()
    run(filter_, 3)
    with pytest.raises(FrameError) as caught:
        filter_.update(1.0, pose, covariance)
    assert caught.value.reason == 'bad_pose'
    assert filter_.hits == 3


@pytest.mark.parametrize(
    'values', [{'gate': 0.0}, {'takeover_hits': 0}, {'memory_s': np.nan}, {'max_acceleration_gain': 0.5}]
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match=f'pose filter, {next(iter(values))}: got'):
        PoseFilterSettings(**values)


def textbook(
    measurements: list[tuple[float, Pose, np.ndarray]], settings: PoseFilterSettings
) -> tuple[Pose, np.ndarray]:
    """The filter without adaptation, written as the equations are: F P F' + Q, then K and Joseph's form."""
    density = np.repeat([settings.acceleration**2, settings.turn_acceleration**2], 3)
    least = np.diag(np.repeat([settings.min_position_noise**2, settings.min_rotation_noise**2], 3))
    last_s, pose, noise = measurements[0]
    motion, P = np.zeros(6), np.zeros((12, 12))
    P[:6, :6] = noise + least
    P[6:, 6:] = np.diag(np.repeat([settings.initial_speed**2, settings.initial_turn_speed**2], 3))
    for stamp_s, measured, given in measurements[1:]:
        t, last_s = stamp_s - last_s, stamp_s
        turn = so3_exp(t * motion[3:])
        F = np.block([[np.eye(6), t * np.eye(6)], [np.zeros((6, 6)), np.eye(6)]])
        F[3:6, 3:6] = turn
        D = np.diag(density)
        P = F @ P @ F.T + np.block([[D * t**3 / 3, D * t**2 / 2], [D * t**2 / 2, D * t]])
        pose = Pose(turn @ pose.rotation, pose.translation + t * motion[:3])
        R = given + least
        off = np.append(measured.translation - pose.translation, so3_log(measured.rotation @ pose.rotation.T))
        H = np.eye(6, 12)
        K = P @ H.T @ np.linalg.inv(H @ P @ H.T + R)
        step = K @ off
        pose = Pose(so3_exp(step[3:6]) @ pose.rotation, pose.translation + step[:3])
        motion = motion + step[6:]
        P = (np.eye(12) - K @ H) @ P @ (np.eye(12) - K @ H).T + K @ R @ K.T
    return pose, P[:6, :6]


def test_without_adaptation_it_is_the_textbook_s_filter():
    rng = np.random.default_rng(5)
    settings = PoseFilterSettings(max_acceleration_gain=1.0, min_noise_scale=1.0, max_noise_scale=1.0, gate=1e3)
    mix = rng.normal(size=(6, 6)) * np.repeat([0.002, 0.02], 3)[:, None]
    filter_, measurements = PoseFilter(settings), []
    for time_s in np.cumsum(rng.uniform(0.01, 0.2, 60)):
        measurements.append((time_s, noisy(swing(time_s), rng), mix @ mix.T + COVARIANCE / 10))
        found = filter_.update(*measurements[-1])
    pose, covariance = textbook(measurements, settings)
    np.testing.assert_allclose(found.pose.matrix(), pose.matrix(), atol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize('least', [0.0, -1e-9, -1e-7, -1e-2])
def test_a_covariance_may_be_flat_but_not_negative(least):
    """Rounding leaves a singular matrix with a variance that is a little below 0."""
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0]
    matrix = turn @ np.diag([1e-4, 1e-4, 1e-4, 1e-3, 1e-3, least * 1e-3]) @ turn.T
    if least > -1e-6:
        assert PoseFilter().update(0.0, REST, matrix) is not None
    else:
        with pytest.raises(FrameError, match='no negative variance'):
            PoseFilter().update(0.0, REST, matrix)


def test_a_measurement_is_left_as_it_was():
    filter_, given = PoseFilter(), COVARIANCE.copy()
    for frame in range(3):
        filter_.update(frame * STEP_S, REST, given)
    np.testing.assert_array_equal(given, COVARIANCE)
