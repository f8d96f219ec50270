# SPDX-License-Identifier: Apache-2.0
"""A rate that is too low is told with its bottleneck."""

from __future__ import annotations

import pytest

from isaac_inference.serving.rates.guard import RateGuard

MS, S = 1_000_000, 1_000_000_000
STAGES = ('preprocess', 'inference', 'detection')
WORK_MS = {'preprocess': 2, 'inference': 10, 'detection': 1}


def run(keep, *, camera=30.0, is_heard=True, work=None, target=30.0, seconds=6.0, thinned=lambda index: False):
    """A guard over a stream; `keep(stage, index)`: whether the frame gets through that stage."""
    guard = RateGuard(STAGES, 5.0, 0)
    for index in range(int(seconds * camera)):
        now = stamp = int((index + 1) * S / camera)
        if is_heard:
            guard.published(stamp, now)
        if thinned(index):
            guard.thinned(stamp, now)
            continue
        for stage in STAGES:
            if not keep(stage, index):
                break
            guard.passed(stage, stamp, {**WORK_MS, **(work or {})}[stage] * MS, now)
    return guard.report(target, int(seconds * S))


def everything(stage, index):
    return True


def half_of(slow):
    return lambda stage, index: stage != slow or index % 2 == 0


def test_enough_is_no_problem():
    report = run(everything)
    assert report.rate_hz == pytest.approx(30, rel=0.05)
    assert (report.bottleneck, report.text) == ('', '')


def test_80_percent_is_enough_and_less_is_not():
    assert not run(everything, target=37.0).text
    assert run(everything, target=38.0).text


@pytest.mark.parametrize('is_heard', [True, False])
def test_a_slow_camera(is_heard):
    report = run(everything, camera=15.0, is_heard=is_heard)
    assert report.bottleneck == 'camera'
    assert '15.0 of 30 frames per second come out (target_rate_hz), over 5 s; bottleneck: camera' in report.text


@pytest.mark.parametrize('is_heard', [True, False])
def test_frames_that_get_lost_before_the_first_stage(is_heard):
    def some(stage, index):
        return stage != 'preprocess' or index % 5 in (0, 1)

    assert run(some, is_heard=is_heard).bottleneck == 'transport'


def test_irregular_stamps_accuse_nobody_of_losing_frames():
    guard = RateGuard(STAGES, 5.0, 0)
    stamp = 0
    for index in range(100):
        stamp += (20 + (index * 37) % 80) * MS
        for stage in STAGES:
            guard.passed(stage, stamp, MS, stamp)
    report = guard.report(30.0, stamp)
    assert report.bottleneck == 'camera'
    assert 'its CameraInfo would tell' in report.text


def test_frames_that_get_lost_between_stages():
    report = run(half_of('inference'))
    assert report.bottleneck == 'transport'
    assert 'from preprocess to inference' in report.text


@pytest.mark.parametrize('stage', STAGES)
def test_a_stage_that_works_all_the_time(stage):
    report = run(half_of(stage), work={stage: 60})
    assert report.bottleneck == stage
    assert '60.0 ms each' in report.text


def test_the_place_that_loses_the_most_is_named_and_not_the_first_that_loses_any():
    def keep(stage, index):
        return index % 4 > 0 if stage == 'preprocess' else stage != 'inference' or index % 4 == 1

    assert run(keep, work={'inference': 100}).bottleneck == 'inference'


def test_a_camera_that_gives_nothing():
    guard = RateGuard(STAGES, 5.0, 0)
    report = guard.report(30.0, 6 * S)
    assert (report.rate_hz, report.bottleneck) == (0.0, 'camera')


def test_thinning_below_the_target_is_named():
    report = run(everything, thinned=lambda index: index % 3 > 0)
    assert report.bottleneck == 'max_rate_hz'


def test_nothing_is_said_before_the_window_has_passed():
    assert not run(half_of('inference'), seconds=4.0).text


def test_without_a_target_there_is_only_a_rate():
    assert run(half_of('inference'), target=0.0).text == ''


def test_what_was_before_a_restart_does_not_count():
    guard = RateGuard(STAGES, 5.0, 0)
    guard.restart(10 * S)
    assert guard.report(30.0, 12 * S).text == ''
    assert guard.report(30.0, 16 * S).text
