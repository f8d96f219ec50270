# SPDX-License-Identifier: Apache-2.0
"""Reports of a frame's stages find each other in whatever order they come; what stays away is given up."""

from __future__ import annotations

import itertools

from isaac_inference.serving.budgets.frame_times import Span
from isaac_inference.serving.budgets.open_frames import OpenFrames, Report

PRE, INF, DET = Span('preprocess', 1, 2, 3), Span('inference', 4, 5, 6), Span('detection', 7, 8, 9)
REPORTS = (('preprocess', [PRE]), ('inference', [PRE, INF]), ('detection', [PRE, INF, DET]))
PLACES = [place for place, _ in REPORTS]


def report(frames, place, stamp, spans, now):
    """The frame, if it is whole now."""
    return frames.reported(Report(place, tuple(spans)), stamp, now)[1]


def test_any_order_gives_the_same_frame():
    for order in itertools.permutations(REPORTS):
        frames = OpenFrames(PLACES)
        whole = [report(frames, place, 100, spans, 0) for place, spans in order]
        assert whole[:2] == [None, None]
        assert sorted(whole[2].spans.values()) == sorted([PRE, INF, DET])
        assert not list(frames.expired(0, 10)), 'what is whole is not given up'


def test_an_output_that_reports_twice_is_waited_for():
    frames = OpenFrames(['detection', 'pose', 'track'])
    first, pose, smooth = Span('track', 10, 11, 12), Span('pose', 13, 14, 20), Span('track', 21, 21, 22)
    assert report(frames, 'detection', 100, [PRE, INF, DET], 0) is None
    assert report(frames, 'track', 100, [first], 0) is None
    assert report(frames, 'pose', 100, [pose], 0) is None
    assert report(frames, 'track', 100, [smooth], 0).spans.keys() >= {('track', 10), ('track', 21), ('pose', 13)}


def test_a_stage_that_says_later_when_it_was_done():
    frames = OpenFrames(['detection'])
    early = DET._replace(finished_ns=8)
    assert report(frames, 'detection', 100, [early, DET], 0).spans == {('detection', 7): DET}


def test_a_frame_that_stays_away_is_given_up_once():
    frames = OpenFrames(PLACES)
    report(frames, 'preprocess', 100, [PRE], 0)
    frames.published(200, 0, 50)
    assert [frame.stamp_ns for frame in frames.expired(60, 70)] == [100]
    assert [frame.stamp_ns for frame in frames.expired(60, 200)] == [200]
    for place, spans in REPORTS:
        assert report(frames, place, 100, spans, 300) is None, 'too late'
    assert not list(frames.expired(60, 1000))


def test_a_frame_that_is_not_wanted_is_not_missed():
    frames = OpenFrames(PLACES)
    frames.published(100, 0, 0)
    frames.left_out(100)
    frames.published(100, 0, 1)
    frames.left_out(200)
    frames.published(200, 0, 2)
    assert not list(frames.expired(0, 1000))


def test_the_camera_s_word_is_kept_whenever_it_comes():
    frames = OpenFrames(PLACES)
    report(frames, 'preprocess', 100, [PRE], 0)
    frames.published(100, 3, 1)
    frames.published(100, 5, 2)
    [frame] = frames.expired(0, 1000)
    assert (frame.sent_ns, frame.seen_ns) == (3, 0)


def test_a_stamp_of_the_camera_is_known_as_that_of_a_frame_before_and_after_its_result():
    frames = OpenFrames(['preprocess', 'detection'])
    assert not frames.published(200, 0, 0)
    report(frames, 'preprocess', 100, [PRE], 0)
    assert frames.published(100, 0, 0)
    report(frames, 'detection', 100, [PRE, INF, DET], 0)
    assert frames.published(100, 0, 0)


def test_stamps_come_again_after_time_has_started_over():
    frames = OpenFrames(['detection'])
    assert report(frames, 'detection', 100, [DET], 0)
    assert report(frames, 'detection', 100, [DET], 0) is None
    frames.forget()
    assert report(frames, 'detection', 100, [DET], 0)


def test_frames_of_a_camera_that_shares_a_stage_are_nobody_s_loss():
    frames = OpenFrames(PLACES)
    assert frames.reported(Report('inference', (PRE._replace(arrived_ns=50), INF)), 300, 0) == ([], None)
    assert not list(frames.expired(0, 1000))


def test_cameras_that_are_triggered_together_are_told_apart():
    frames = OpenFrames(PLACES)
    theirs = Report('inference', (Span('preprocess', 2, 2, 3), Span('inference', 6, 6, 7)))
    early, own = frames.reported(theirs, 100, 0), Report('preprocess', (PRE,))
    assert early == ([], None)
    assert frames.reported(own, 100, 0) == ([own], None)
    assert frames.reported(theirs, 100, 0) == ([], None)
    assert report(frames, 'inference', 100, [PRE, INF], 0) is None
    whole = report(frames, 'detection', 100, [PRE, INF, DET], 0)
    assert sorted(whole.spans.values()) == sorted([PRE, INF, DET])


def test_a_report_of_a_frame_that_was_given_up_still_tells_that_its_stage_works():
    frames = OpenFrames(PLACES)
    report(frames, 'preprocess', 100, [PRE], 0)
    assert len(list(frames.expired(0, 10))) == 1
    late = Report('inference', (PRE, INF))
    assert frames.reported(late, 100, 20) == ([late], None)


def test_reports_that_wait_for_the_first_stage_s_are_told_with_it():
    frames = OpenFrames(PLACES)
    late, own = Report('inference', (PRE, INF)), Report('preprocess', (PRE,))
    assert frames.reported(late, 100, 0) == ([], None)
    assert frames.reported(own, 100, 0) == ([own, late], None)
