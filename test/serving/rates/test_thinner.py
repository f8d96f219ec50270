# SPDX-License-Identifier: Apache-2.0
"""Frames are thinned evenly, whatever the jitter and the ratio of the rates."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.serving.rates.thinner import Thinner

SETTLED = 64  # frames after which the jitter of the first one is forgotten


def stamps(rate_hz, count, jitter=0.0, seed=1):
    """Stamps in ns of a camera; jitter as a share of the interval, uniform on both sides."""
    noise = np.random.default_rng(seed).uniform(-jitter, jitter, count)
    return [int((index + shift) * 1e9 / rate_hz) + 1_700_000_000 * 10**9 for index, shift in enumerate(noise)]


def taken(times, rate_hz, thinner=None):
    thinner = thinner or Thinner()
    return [index for index, stamp in enumerate(times) if thinner.takes(stamp, rate_hz)]


@pytest.mark.parametrize('jitter', [0.0, 0.05, 0.2])
@pytest.mark.parametrize('seed', range(1000, 1020))
def test_30_to_10_takes_every_third(jitter, seed):
    found = taken(stamps(30, 900, jitter, seed), 10)
    assert set(np.diff(found[SETTLED // 3 :])) == {3}


@pytest.mark.parametrize('jitter', [0.0, 0.05, 0.2])
def test_30_to_20_takes_two_of_three(jitter):
    found = taken(stamps(30, 900, jitter), 20)
    gaps = list(np.diff(found))
    assert set(gaps) <= {1, 2}
    assert all(sum(gaps[index : index + 2]) == 3 for index in range(SETTLED, len(gaps) - 1)), 'in an even pattern'


@pytest.mark.parametrize('source', [5.0, 15.0, 24.0, 29.97, 30.0, 60.0, 120.0])
@pytest.mark.parametrize('wanted', [1.0, 4.0, 7.5, 10.0, 14.3, 20.0, 29.0, 30.0, 50.0])
@pytest.mark.parametrize('jitter', [0.0, 0.1])
def test_the_rate_is_kept_and_no_two_gaps_differ_by_more_than_a_frame(source, wanted, jitter):
    count = int(source * 20)
    found = taken(stamps(source, count, jitter), wanted)
    assert len(found) == pytest.approx(min(source, wanted) * 20, rel=0.02, abs=2)
    gaps = np.diff([index for index in found if index > SETTLED])
    assert gaps.max() - gaps.min() <= (2 if jitter else 1), 'jitter tells only where a frame is as far from two times'


def test_a_rate_above_the_camera_s_takes_all():
    assert taken(stamps(30, 300, 0.2), 30) == list(range(300))
    assert taken(stamps(30, 300, 0.2), 1000) == list(range(300))


def test_0_takes_all():
    assert taken(stamps(30, 100), 0) == list(range(100))


def test_lost_frames_leave_no_hole_behind():
    times = [stamp for index, stamp in enumerate(stamps(30, 300)) if index % 7]
    found = taken(times, 10)
    assert len(found) == pytest.approx(100, abs=3)


def test_a_pause_is_not_made_up_for():
    thinner = Thinner()
    first = stamps(30, 90)
    later = [stamp + 60 * 10**9 for stamp in first]
    taken(first, 10, thinner)
    found = taken(later, 10, thinner)
    assert set(np.diff(found)) == {3}


def test_stamps_that_start_over_begin_anew():
    thinner = Thinner()
    times = stamps(30, 90)
    taken(times, 10, thinner)
    assert len(taken(times, 10, thinner)) == 30


def test_a_stamp_that_stands_still_is_taken_as_without_thinning():
    assert taken([7] * 10, 10) == list(range(10))


def test_a_change_counts_from_the_next_frame():
    thinner = Thinner()
    times = stamps(30, 120)
    assert set(np.diff(taken(times[:60], 10, thinner))) == {3}
    assert set(np.diff(taken(times[60:], 15, thinner))) == {2}


@pytest.mark.parametrize(('source', 'wanted', 'step'), [(0.5, 0.1, 5), (0.5, 0.25, 2), (1.0, 0.5, 2)])
def test_a_camera_of_less_than_a_frame_a_second_is_thinned_too(source, wanted, step):
    assert set(np.diff(taken(stamps(source, 200), wanted)[3:])) == {step}


START_NS = 1_700_000_000 * 10**9
STUCK = {
    'one stamp for ever': lambda arrived: START_NS,
    'whole seconds': lambda arrived: arrived // 10**9 * 10**9,
    'of tenths, as a slow /clock': lambda arrived: arrived // 10**8 * 10**8,
    'back by a second with every other frame': lambda arrived: arrived - 10**9 * (arrived // 33_333_333 % 2),
}


@pytest.mark.parametrize('stamp', STUCK.values(), ids=STUCK)
@pytest.mark.parametrize('rate_hz', [2.0, 5.0, 10.0])
def test_frames_whose_stamps_do_not_go_on_are_thinned_too(stamp, rate_hz):
    thinner, arrivals = Thinner(), [START_NS + number * 33_333_333 for number in range(1800)]
    count = sum(thinner.takes(stamp(arrived), rate_hz, arrived) for arrived in arrivals)
    assert 0.4 * rate_hz * 60 <= count <= 1.35 * rate_hz * 60, 'of 1800 in a minute'


def test_a_recording_that_starts_over_goes_on_at_once():
    thinner, times = Thinner(), stamps(30, 90)
    arrivals = [START_NS + number * 33_333_333 for number in range(180)]
    found = [number for number, arrived in enumerate(arrivals) if thinner.takes(times[number % 90], 10.0, arrived)]
    assert len(found) == pytest.approx(60, abs=2)
    assert max(np.diff(found)) <= 4
