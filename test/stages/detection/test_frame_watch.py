# SPDX-License-Identifier: Apache-2.0
"""What stands out over many frames: scores that never come near the threshold, and outputs that never change."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.stages.detection.frame_watch import QUIET_FRACTION, FrameWatch, Remarks

THRESHOLD, WH = 0.25, (64, 48)
NEAR = QUIET_FRACTION * THRESHOLD


def frame(best, *boxes):
    """A frame with that best raw score and these boxes, all of that score."""
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(rows, np.full(len(rows), best, np.float32), np.zeros(len(rows), np.int32), best_score=best)


class Watched:
    """A watch of three frames that is shown a different picture each time, unless told otherwise."""

    def __init__(self):
        self.watch, self.numbers = FrameWatch(3), itertools.count()

    def __call__(self, found, threshold=THRESHOLD, picture=...):
        mark = str(next(self.numbers)).encode() if picture is ... else picture
        return self.watch.add(found, WH, threshold, mark)


@pytest.fixture
def watched():
    return Watched()


def test_frames_without_a_score_near_the_threshold_are_told_with_the_best_of_them(watched):
    assert watched(frame(0.01)) == watched(frame(0.03)) == Remarks()
    text = watched(frame(0.02)).quiet
    assert 'best raw score 0.03 in the last 3 frames, score_threshold 0.25' in text
    for place in ('preprocess', 'assumes', 'isaac-inference info'):
        assert place in text
    assert 'best raw score 0.03 in the last 4 frames' in watched(frame(0.011)).quiet


def test_one_score_near_the_threshold_ends_that_and_it_counts_anew(watched):
    for best in (0.01, 0.02, 0.03):
        remarks = watched(frame(best))
    assert remarks.quiet
    assert watched(frame(NEAR)) == Remarks()
    assert watched(frame(0.011)) == watched(frame(0.012)) == Remarks()
    assert 'best raw score 0.013 in the last 3' in watched(frame(0.013)).quiet


@pytest.mark.parametrize(('best', 'threshold'), [(math.nan, 0.25), (0.05, 0.25), (0.01, 0.05), (0.0, 0.0)])
def test_what_is_near_enough_or_unknown_is_not_quiet(watched, best, threshold):
    assert [watched(frame(best + 1e-6 * number), threshold).quiet for number in range(9)] == [''] * 9


def test_the_same_best_score_of_different_pictures_is_told(watched):
    assert watched(frame(0.1)) == watched(frame(0.1)) == Remarks()
    text = watched(frame(0.1)).constant
    assert 'the best raw score is exactly 0.1 in each of the last 3 frames, although the pictures differ' in text
    assert watched(frame(0.10001)) == Remarks()


@pytest.mark.parametrize('picture', [None, b'the same'])
def test_pictures_that_are_the_same_or_unknown_may_give_the_same(watched, picture):
    assert [watched(frame(0.5, (1, 2, 3, 4)), picture=picture) for _ in range(9)] == [Remarks()] * 9


def test_a_picture_that_stands_still_for_a_while_changes_no_count(watched):
    watched(frame(0.5, (1, 2, 3, 4)), picture=b'a')
    for _ in range(5):
        assert watched(frame(0.5, (1, 2, 3, 4)), picture=b'a') == Remarks()
    watched(frame(0.5, (1, 2, 3, 4)), picture=b'b')
    assert watched(frame(0.5, (1, 2, 3, 4)), picture=b'c').constant


def test_the_same_boxes_are_told_though_their_scores_differ(watched):
    for number in range(3):
        remarks = watched(frame(0.5 + 0.01 * number, (1, 2, 3, 4), (0, 0, *WH)))
    assert 'the boxes are exactly the same in each of the last 3 frames' in remarks.constant
    assert watched(frame(0.5, (1, 2, 3, 5), (0, 0, *WH))) == Remarks()


def test_a_rounded_score_may_stay_the_same_while_boxes_move(watched):
    assert [watched(frame(1.0, (1, 2, 3, 4 + number))) for number in range(9)] == [Remarks()] * 9


def test_an_object_that_fills_the_picture_is_the_same_box_every_time(watched):
    assert [watched(frame(1.0, (0, 0, *WH))) for _ in range(9)] == [Remarks()] * 9


@pytest.mark.parametrize('best', [0.0, -1.0, math.nan])
def test_nothing_found_by_a_model_that_gives_only_what_it_found_is_not_constant(watched, best):
    assert [watched(frame(best)).constant for _ in range(9)] == [''] * 9
