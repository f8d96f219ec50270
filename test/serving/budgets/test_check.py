# SPDX-License-Identifier: Apache-2.0
"""OK, WARN, ERROR and back; who is to blame; what each stage has left."""

from __future__ import annotations

import math

import pytest

from isaac_inference.serving.budgets.budget import Budget
from isaac_inference.serving.budgets.check import BudgetCheck, Level
from isaac_inference.serving.budgets.frame_times import FrameTimes

MS = 1_000_000
BUDGET = Budget('arm', 50.0, 50.0, 200.0, {'camera': 10.0, 'inference': 20.0})


def frame(inference=15.0, camera=5.0, detection=1.0, *, has_camera=True):
    stages = {'inference': inference, 'detection': detection}
    if has_camera:
        stages['camera'] = camera
    return FrameTimes(1, sum(stages.values()), stages, camera, has_camera)


GOOD, LATE = frame(), frame(inference=60.0)


def test_frames_in_time_are_ok_and_name_the_tightest_stage():
    check = BudgetCheck(BUDGET)
    assert check.take(GOOD, 0) is Level.OK
    report = check.report()
    assert report.level is Level.OK
    assert report.text == 'within arm: p95 21.0 of 50 ms; inference has the least left: 25 % of 20 ms'
    assert report.counts == {'frames': 1, 'late': 0, 'missing': 0}
    assert [(share.name, share.budget_ms, share.left) for share in report.shares] == [
        ('total', 50.0, pytest.approx(0.58)),
        ('camera', 10.0, pytest.approx(0.5)),
        ('inference', 20.0, pytest.approx(0.25)),
        ('detection', None, None),
    ]


def test_a_late_frame_is_a_warning_that_names_the_stage_and_by_how_much():
    check = BudgetCheck(BUDGET)
    assert [check.take(one, index * MS) for index, one in enumerate([GOOD, LATE])] == [Level.OK, Level.WARN]
    report = check.report()
    assert report.level is Level.WARN
    assert '1 of 2 frames late, worst 66.0 ms (max_allowed_processing_time_ms 50)' in report.text
    assert 'inference is over its 20 ms by up to 40.0 ms in 1 of them' in report.text
    assert report.counts == {'frames': 2, 'late': 1, 'missing': 0}


def test_a_late_frame_is_said_though_the_next_is_in_time_and_only_once():
    check = BudgetCheck(BUDGET)
    check.take(LATE, 0)
    assert check.take(GOOD, MS) is Level.OK
    assert check.report().level is Level.WARN
    check.take(GOOD, 2 * MS)
    assert check.report().level is Level.OK


def test_lateness_that_lasts_is_an_error_until_a_frame_is_in_time():
    check = BudgetCheck(BUDGET)
    levels = [check.take(LATE, at * MS) for at in (0, 100, 200, 201)]
    assert levels == [Level.WARN, Level.WARN, Level.WARN, Level.ERROR], 'longer than 200 ms'
    report = check.report()
    assert report.level is Level.ERROR
    assert 'late for 201.0 ms without a frame in time (max_acceptable_consecutive_delay_ms 200)' in report.text
    check.take(LATE, 230 * MS)
    assert check.report().level is Level.ERROR
    assert check.take(GOOD, 260 * MS) is Level.OK
    check.report()  # it still has the error before that frame
    check.take(GOOD, 290 * MS)
    assert check.report().level is Level.OK


def test_one_frame_in_time_begins_lateness_anew():
    check = BudgetCheck(BUDGET)
    for at, one in ((0, LATE), (150, LATE), (160, GOOD), (170, LATE), (300, LATE)):
        check.take(one, at * MS)
    assert check.report().level is Level.WARN


def test_frames_that_never_come_out_are_late():
    check = BudgetCheck(BUDGET)
    assert check.missed(0) is Level.WARN
    assert check.missed(201 * MS) is Level.ERROR
    report = check.report()
    assert '2 of 2 frames without a result in time' in report.text
    assert report.counts == {'frames': 2, 'late': 2, 'missing': 2}
    assert [(share.name, share.p50) for share in report.shares] == [('total', math.inf)]


def test_percentiles_have_the_missing_frames_in_the_total_and_only_there():
    check = BudgetCheck(BUDGET)
    for _ in range(96):
        check.take(GOOD, 0)
    for _ in range(4):
        check.missed(0)
    total, camera, *_ = check.report().shares
    assert (total.p50, total.p95, total.p99) == (21.0, 21.0, math.inf)
    assert camera.p99 == 5.0


def test_percentiles_are_of_the_window():
    check = BudgetCheck(BUDGET, window=3)
    for one in (LATE, LATE, GOOD, GOOD, GOOD):
        check.take(one, 0)
    assert check.report().shares[0].p99 == 21.0


def test_a_stage_that_is_over_in_frames_that_are_in_time_is_named_and_no_warning():
    check = BudgetCheck(BUDGET)
    check.take(frame(inference=25.0), 0)
    report = check.report()
    assert report.level is Level.OK
    assert 'inference is over its 20 ms (p95 25.0), others make up for it' in report.text


def test_a_stage_without_a_limit_may_take_what_the_others_leave():
    check = BudgetCheck(BUDGET)
    check.take(frame(detection=80.0), 0)
    assert 'detection is over the 20 ms that the stages with limits leave by up to 60.0 ms' in check.report().text


def test_the_worst_is_named_first():
    check = BudgetCheck(BUDGET)
    check.take(frame(detection=80.0, inference=22.0, camera=300.0), 0)
    text = check.report().text
    assert text.index('camera is over') < text.index('detection is over') < text.index('inference is over')


def test_late_though_no_stage_is_over():
    check = BudgetCheck(Budget('plain', 50.0, 50.0, 200.0))
    check.take(frame(inference=30.0, detection=25.0), 0)
    assert 'each stage within what it may take, all together not' in check.report().text


def test_frames_without_a_camera_say_nothing_of_it():
    check = BudgetCheck(BUDGET)
    check.take(frame(has_camera=False), 0)
    assert [share.name for share in check.report().shares] == ['total', 'inference', 'detection']


def test_nothing_is_not_within_the_budget():
    assert 'no frame since the last report' in BudgetCheck(BUDGET).report().text


def test_time_that_starts_over_ends_lateness():
    check = BudgetCheck(BUDGET)
    check.missed(0)
    check.missed(1000 * MS)
    check.forget()
    check.take(GOOD, 2000 * MS)
    assert check.report().level is Level.OK
