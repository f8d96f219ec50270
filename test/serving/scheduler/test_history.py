# SPDX-License-Identifier: Apache-2.0
"""When a model is due again, from when it ran before."""

from __future__ import annotations

import pytest

from isaac_inference.serving.scheduler.history import History


def history(times, took=0.02):
    made = History()
    for now in times:
        made.asked(now)
        made.took(took)
    return made


def test_a_steady_model_leaves_the_time_until_its_next_run_and_a_little_of_its_own():
    made = history([0.0, 0.1, 0.2, 0.3, 0.4])
    assert made.spare_s(0.42) == pytest.approx(0.08 + 0.005)
    assert made.spare_s(0.49) == pytest.approx(0.01 + 0.005)
    assert made.spare_s(0.55) == pytest.approx(0.005), 'it is late, and may come at any time'


def test_one_that_has_stopped_holds_nobody_up():
    assert history([0.0, 0.1, 0.2, 0.3, 0.4]).spare_s(0.65) is None


@pytest.mark.parametrize('times', [[], [0.0], [0.0, 0.1, 0.2, 0.3], [0.0, 0.5, 0.6, 1.4, 1.5, 2.8]])
def test_of_one_that_is_new_or_comes_as_it_likes_nothing_is_said(times):
    assert history(times).spare_s(times[-1] + 0.01 if times else 1.0) is None


def test_one_late_frame_does_not_change_the_period():
    made = history([0.0, 0.1, 0.2, 0.35, 0.4, 0.5])
    assert made.spare_s(0.5) == pytest.approx(0.1 + 0.005)


def test_the_longest_of_the_last_runs_counts():
    made = History()
    for took in (0.5, *[0.01] * 7):
        made.took(took)
    assert made.takes_s == 0.5
    made.took(0.02)
    assert made.takes_s == 0.02
    assert History().takes_s == 0.0


def test_the_shortest_of_the_last_runs_is_what_it_may_take():
    made = History()
    assert made.may_take_s == 0.0
    for took in (0.5, 0.01, 0.02):
        made.took(took)
    assert made.may_take_s == 0.01
