# SPDX-License-Identifier: Apache-2.0
"""Stamps of another clock are named by what is wrong with them."""

from __future__ import annotations

import pytest

from isaac_inference.serving.budgets.camera_clock import CameraClock, duration, stage_clock_problem
from isaac_inference.serving.budgets.frame_times import Span

NOW = 1_800_000_000 * 10**9
CLOCK = CameraClock(5.0)


@pytest.mark.parametrize('age_s', [0.0, 0.030, 4.9, -0.0005])
def test_a_plausible_age_is_no_problem(age_s):
    assert CLOCK.problem(NOW - int(age_s * 1e9), NOW) == ''


@pytest.mark.parametrize(
    ('stamp', 'words'),
    [
        (NOW + 3 * 10**9, "ahead of this machine's by 3.0 s"),
        (NOW + 20 * 10**6, 'by 20.0 ms'),
        (NOW - 2 * 3600 * 10**9, 'stamps are 2.0 h old on arrival: a recording, or'),
        (12 * 10**9, 'no wall clock, but that of a simulator'),
        (0, 'frames have no stamp'),
    ],
)
def test_what_is_wrong_is_named(stamp, words):
    assert words in CLOCK.problem(stamp, NOW)


def test_simulated_time_is_no_measure():
    assert 'use_sim_time' in CameraClock(5.0, is_simulated=True).problem(NOW, NOW)


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0.0042, '4.2 ms'), (12, '12.0 s'), (11160, '3.1 h'), (86400 * 3, '3.0 days'), (1.8e9, '57.0 years')],
)
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(('late_ms', 'is_named'), [(0, False), (-1.9, False), (-2.1, True), (-500, True), (500, False)])
def test_stages_of_machines_whose_clocks_differ(late_ms, is_named):
    arrived = NOW + int(late_ms * 1e6)
    spans = [Span('preprocess', NOW - 10, NOW - 5, NOW), Span('inference', arrived, arrived, arrived + 10)]
    assert ('a frame reaches inference' in stage_clock_problem(spans)) is is_named
    assert stage_clock_problem(spans[1:]) == ''
