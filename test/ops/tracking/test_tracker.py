# SPDX-License-Identifier: Apache-2.0
"""Ids: when they are given, that they stay, and when they end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.tracking import Tracker, TrackerSettings

STEP_S = 1 / 30


def box(cx, cy=200.0, size=60.0):
    return [cx - size / 2, cy - size / 2, cx + size / 2, cy + size / 2]


def update(tracker, frame, boxes, scores=0.9, classes=0):
    """One frame at 30 Hz; `scores` and `classes` for all boxes or one each."""
    count = len(boxes)
    return tracker.update(
        frame * STEP_S,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.broadcast_to(np.asarray(scores, np.float32), count),
        np.broadcast_to(np.asarray(classes, np.int32), count),
    ).tolist()


@pytest.fixture
def tracker():
    return Tracker()


def test_the_first_frame_s_sure_detections_get_ids_at_once(tracker):
    assert update(tracker, 0, [box(100), box(300), box(500)], [0.9, 0.2, 0.8]) == [1, 0, 2]


def test_later_ones_get_theirs_after_the_third_hit(tracker):
    update(tracker, 0, [box(100)])
    ids = [update(tracker, frame, [box(300), box(100)]) for frame in range(1, 4)]
    assert ids == [[0, 1], [0, 1], [2, 1]]


def test_a_single_false_alarm_never_gets_an_id(tracker):
    update(tracker, 0, [box(100)])
    for frame in range(1, 40):
        boxes = [box(100)] + ([box(400)] if frame % 9 == 0 else [])
        assert update(tracker, frame, boxes)[1:] in ([], [0])


def test_a_new_object_that_flickers_is_confirmed_in_the_end(tracker):
    update(tracker, 0, [])
    ids = [update(tracker, frame, [box(100)]) for frame in (1, 3, 6)]
    assert ids == [[0], [0], [1]]


def test_an_id_stays_over_a_gap_of_five_frames_while_the_object_moves(tracker):
    for frame in range(40):
        seen = not 20 <= frame < 25
        ids = update(tracker, frame, [box(100 + 5 * frame)] if seen else [])
        assert ids == ([1] if seen else [])


def test_an_id_ends_after_its_age_in_seconds_whatever_the_frame_rate(tracker):
    update(tracker, 0, [box(100)])
    assert update(tracker, 29, [box(100)]) == [1]  # 0.97 s later
    assert update(tracker, 60, [box(100)]) == [0]  # 1.03 s after that
    for frame in (61, 62):
        last = update(tracker, frame, [box(100)])
    assert last == [2]


def test_a_slow_camera_s_new_objects_are_confirmed_too(tracker):
    ids = [update(tracker, frame, [box(100)] + [box(400)] * (frame > 0)) for frame in (0, 20, 40, 60)]
    assert ids[-1] == [1, 2]


def test_an_unsure_detection_continues_a_track_but_begins_none(tracker):
    update(tracker, 0, [box(100)])
    for frame in range(1, 60):
        assert update(tracker, frame, [box(100 + frame), box(400)], [0.15, 0.3]) == [1, 0]


def test_what_is_below_the_low_score_is_ignored(tracker):
    update(tracker, 0, [box(100)])
    assert update(tracker, 1, [box(100)], 0.09) == [0]


def test_a_sure_detection_has_the_first_choice(tracker):
    update(tracker, 0, [box(100)])
    assert update(tracker, 1, [box(100), box(110)], [0.3, 0.9]) == [0, 1]


def test_another_class_is_another_object(tracker):
    assert update(tracker, 0, [box(100), box(100)], classes=[0, 1]) == [1, 2]
    assert update(tracker, 1, [box(100), box(100)], classes=[1, 0]) == [2, 1]
    assert update(tracker, 2, [box(100)], classes=2) == [0]


@pytest.mark.parametrize('hidden', [range(0), range(26, 35)], ids=['both seen', 'one hidden at the crossing'])
def test_two_of_a_class_cross_and_keep_their_ids(tracker, hidden):
    for frame in range(60):
        left, right = box(100 + 5 * frame), box(400 - 5 * frame, 205.0)
        boxes = [left] if frame in hidden else [left, right]
        assert update(tracker, frame, boxes) == [1, 2][: len(boxes)], frame


def test_a_hidden_one_that_waits_does_not_take_the_id_of_what_passes(tracker):
    for frame in range(60):
        passing, waiting = box(100 + 6 * frame), box(280)
        is_hidden = abs(100 + 6 * frame - 280) < 50
        boxes = [passing] if is_hidden else [passing, waiting]
        assert update(tracker, frame, boxes) == [1, 2][: len(boxes)], frame


def test_a_camera_that_turns_fast_loses_nothing(tracker):
    rows = [box(100, 100), box(200, 250), box(330, 160)]
    for frame in range(40):
        shift = 120 * np.sin(frame / 5)  # up to 24 px, 0.4 of a box, per frame
        assert update(tracker, frame, [np.add(row, (shift, 0, shift, 0)) for row in rows]) == [1, 2, 3]


def test_after_a_reset_ids_go_on_and_none_is_given_twice(tracker):
    update(tracker, 100, [box(100), box(300)])
    tracker.reset()
    assert update(tracker, 0, [box(100)]) == [3]


def test_time_must_not_go_backwards(tracker):
    update(tracker, 5, [box(100)])
    with pytest.raises(FrameError, match='expected one that is not earlier') as caught:
        update(tracker, 4, [box(100)])
    assert caught.value.reason == 'time_backwards'
    assert update(tracker, 5, [box(100)]) == [1]  # nothing has changed, and the same stamp again does no harm


def test_a_stamp_that_is_no_number_is_refused_from_the_first_frame_on(tracker):
    with pytest.raises(FrameError, match='expected one that is not earlier'):
        update(tracker, np.nan, [box(100)])
    assert update(tracker, 0, [box(100)]) == [1]


def test_boxes_that_are_none_are_ignored(tracker):
    boxes = [[np.nan, 0, 1, 1], [10, 10, 5, 20], [0, 0, np.inf, 9], [5, 5, 5, 9], box(100)]
    assert update(tracker, 0, boxes) == [0, 0, 0, 0, 1]
    assert update(tracker, 1, boxes, [0.9, 0.9, 0.9, 0.9, np.nan]) == [0] * 5


def test_arrays_that_do_not_fit_together_are_refused(tracker):
    with pytest.raises(FrameError, match=r'got boxes \(2, 4\), scores \(1,\)'):
        tracker.update(0.0, np.zeros((2, 4)), np.zeros(1), np.zeros(1, int))


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'low_score': 0.6}, 'low_score and high_score: got 0.6 and 0.4'),
        ({'min_iou': 0.0}, 'min_iou: got 0.0'),
        ({'confirm_hits': 0}, 'confirm_hits, margin'),
        ({'max_age_s': -1.0}, 'max_age_s'),
    ],
)
def test_settings_out_of_range_are_refused(values, words):
    with pytest.raises(ConfigError, match=words):
        TrackerSettings(**values)


detection = st.tuples(st.floats(0, 200), st.floats(0, 200), st.floats(0, 1), st.integers(0, 1))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(detection, max_size=6), min_size=1, max_size=12))
def test_whatever_comes_an_id_is_once_in_a_frame_and_of_one_class(frames):
    first, second = Tracker(), Tracker()
    class_of = {}
    for frame, rows in enumerate(frames):
        boxes, scores, classes = [box(x, y) for x, y, _, _ in rows], [r[2] for r in rows], [r[3] for r in rows]
        ids = update(first, frame, boxes, np.array(scores), np.array(classes, int))
        assert ids == update(second, frame, boxes, np.array(scores), np.array(classes, int))
        given_ids = [number for number in ids if number]
        assert len(set(given_ids)) == len(given_ids)
        for number, kind in zip(ids, classes, strict=True):
            assert number == 0 or class_of.setdefault(number, kind) == kind
