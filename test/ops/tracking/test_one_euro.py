# SPDX-License-Identifier: Apache-2.0
"""Smoothing of keypoints: the paper's formulas, and when a point is passed or starts anew."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.tracking import KeypointSmoother, OneEuroSettings

SIZES = [100.0]
STEP_S = 1 / 30


def rows(*points: tuple[float, float, float]) -> np.ndarray:
    """One object's keypoints."""
    return np.array([points], np.float32)


def by_the_paper(values: np.ndarray, step_s: float, settings: OneEuroSettings, size: float) -> list[float]:
    """Algorithm 1 of the paper for one coordinate, with the speed in sizes a second; written apart from the product."""

    def alpha(cutoff: float) -> float:
        tau = 1.0 / (2.0 * math.pi * cutoff)
        return 1.0 / (1.0 + tau / step_s)

    smooth, speed = float(values[0]), 0.0
    found = [smooth]
    for value in values[1:].tolist():
        weight = alpha(settings.derivative_cutoff)
        speed = weight * (value - smooth) / step_s / size + (1.0 - weight) * speed
        weight = alpha(settings.min_cutoff + settings.beta * abs(speed))
        smooth = weight * value + (1.0 - weight) * smooth
        found.append(smooth)
    return found


@pytest.mark.parametrize('seed', range(4))
def test_it_is_the_paper_s_filter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    settings = OneEuroSettings(*rng.uniform(0.5, 5.0, 3))
    xs = 100.0 + np.cumsum(rng.normal(0, 3, 50))
    smoother = KeypointSmoother(settings)
    found = [
        smoother.update(i * STEP_S, [4], np.array([[[x, 7.0, 0.9]]]), SIZES)[0, 0].tolist() for i, x in enumerate(xs)
    ]
    np.testing.assert_allclose([x for x, _, _ in found], by_the_paper(xs, STEP_S, settings, 100.0), atol=1e-9)
    assert all(y == pytest.approx(7.0, abs=1e-12) and confidence == 0.9 for _, y, confidence in found)


def test_all_tracks_at_once_are_as_each_alone() -> None:
    rng = np.random.default_rng(5)
    together, alone = KeypointSmoother(), {number: KeypointSmoother() for number in (1, 2, 3)}
    for frame in range(40):
        ids = rng.permutation([1, 2, 3])[: rng.integers(1, 4)].tolist()
        points = rng.uniform(0, 100, (len(ids), 5, 3)) * (1, 1, 0.01)
        sizes = rng.uniform(20, 200, len(ids))
        found = together.update(frame * STEP_S, ids, points, sizes)
        for row, number in enumerate(ids):
            expected = alone[number].update(frame * STEP_S, [number], points[row : row + 1], sizes[row : row + 1])
            np.testing.assert_allclose(found[row], expected[0], atol=1e-12)


def test_a_turned_and_scaled_image_gives_the_turned_and_scaled_answer() -> None:
    rng = np.random.default_rng(6)
    turn = 3.0 * np.array(((0.8, -0.6), (0.6, 0.8)))
    one, other = KeypointSmoother(), KeypointSmoother()
    for frame in range(20):
        points = np.concatenate((rng.uniform(0, 100, (1, 4, 2)), np.ones((1, 4, 1))), axis=2)
        turned = points.copy()
        turned[..., :2] = points[..., :2] @ turn.T
        expected = one.update(frame * STEP_S, [1], points, [50.0])
        found = other.update(frame * STEP_S, [1], turned, [150.0])
        np.testing.assert_allclose(found[..., :2], expected[..., :2] @ turn.T, atol=1e-9)


def test_jitter_at_rest_shrinks_and_motion_is_not_worse_than_it_came() -> None:
    rng = np.random.default_rng(7)
    frames = np.arange(150) * STEP_S
    for speed, most in ((0.0, 0.65), (1.0, 1.15)):
        smoother, errors, raw = KeypointSmoother(), [], []
        for t in frames:
            truth = 300.0 + 200.0 * speed * np.array((0.3 * np.sin(5.0 * t), 0.3 * np.cos(5.0 * t)))
            noisy = np.append(truth + rng.normal(0, 2.0, 2), 1.0)
            found = smoother.update(t, [1], noisy[None, None], [200.0])
            errors.append(found[0, 0, :2] - truth)
            raw.append(noisy[:2] - truth)
        assert np.std(errors[30:]) < most * np.std(raw[30:])


def test_an_unsure_keypoint_is_passed_and_says_nothing() -> None:
    smoother = KeypointSmoother(OneEuroSettings(max_gap_s=1.0, beta=0.0))
    smoother.update(0.0, [1], rows((10, 10, 0.9), (50, 50, 0.9)), SIZES)
    unsure = rows((999, 999, 0.1), (np.nan, 50, 0.9))
    np.testing.assert_array_equal(smoother.update(STEP_S, [1], unsure, SIZES), unsure)
    found = smoother.update(2 * STEP_S, [1], rows((11, 10, 0.9), (51, 50, 0.9)), SIZES)
    expected = 10.0 + 1.0 / (1.0 + 1.0 / (2 * math.pi) / (2 * STEP_S))  # a step of two frames from what was sure
    assert found[0, 0, 0] == pytest.approx(expected, abs=1e-5)
    assert found[0, 1, 0] == pytest.approx(40.0 + expected, abs=1e-5)


@pytest.mark.parametrize('gap_s', [0.5, 0.0, -1.0], ids=['unsure for long', 'the same stamp', 'time goes back'])
def test_what_does_not_go_on_starts_anew(gap_s: float) -> None:
    smoother = KeypointSmoother()
    smoother.update(5.0, [1], rows((10, 10, 0.9)), SIZES)
    later = rows((80, 80, 0.9))
    np.testing.assert_array_equal(smoother.update(5.0 + gap_s, [1], later, SIZES), later)


def test_a_new_track_starts_where_it_is_and_one_without_an_id_is_passed() -> None:
    smoother = KeypointSmoother()
    first = np.concatenate((rows((10, 10, 0.9)), rows((90, 90, 0.9))))
    smoother.update(0.0, [1, 0], first, [100.0, 100.0])
    second = first + np.float32(4)
    found = smoother.update(STEP_S, [2, 0], second, [100.0, 100.0])
    np.testing.assert_array_equal(found, second)


def test_a_track_that_was_hidden_for_a_frame_goes_on() -> None:
    smoother = KeypointSmoother()
    smoother.update(0.0, [1, 2], np.concatenate((rows((10, 10, 0.9)), rows((90, 90, 0.9)))), [100.0, 100.0])
    smoother.update(STEP_S, [2], rows((90, 90, 0.9)), SIZES)
    found = smoother.update(2 * STEP_S, [1], rows((14, 10, 0.9)), SIZES)
    assert 10.0 < found[0, 0, 0] < 14.0


def test_after_a_reset_and_with_another_count_nothing_is_known() -> None:
    smoother = KeypointSmoother()
    smoother.update(0.0, [1], rows((10, 10, 0.9)), SIZES)
    smoother.reset()
    later = rows((20, 20, 0.9))
    np.testing.assert_array_equal(smoother.update(STEP_S, [1], later, SIZES), later)
    more = rows((30, 30, 0.9), (40, 40, 0.9))
    np.testing.assert_array_equal(smoother.update(2 * STEP_S, [1], more, SIZES), more)


def test_no_rows_give_none_and_the_given_array_is_not_written_to() -> None:
    smoother = KeypointSmoother()
    assert smoother.update(0.0, [], np.zeros((0, 17, 3), np.float32), []).shape == (0, 17, 3)
    given = rows((10, 10, 0.9))
    smoother.update(0.0, [1], given, SIZES)
    kept = given + np.float32(5)
    before = kept.copy()
    found = smoother.update(STEP_S, [1], kept, SIZES)
    np.testing.assert_array_equal(kept, before)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ('shape', 'ids', 'sizes'), [((1, 4, 2), [1], [1.0]), ((2, 4, 3), [1], [1.0]), ((1, 4, 3), [1], [])]
)
def test_shapes_that_do_not_fit_are_refused(shape: Any, ids: list[int], sizes: list[float]) -> None:
    with pytest.raises(FrameError, match='keypoints to smooth') as caught:
        KeypointSmoother().update(0.0, ids, np.zeros(shape), sizes)
    assert caught.value.reason == 'bad_keypoints'


@pytest.mark.parametrize(
    'values',
    [{'min_cutoff': 0.0}, {'beta': -1.0}, {'derivative_cutoff': math.nan}, {'min_confidence': 1.5}, {'max_gap_s': 0}],
)
def test_settings_have_ranges(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        OneEuroSettings(**values)
