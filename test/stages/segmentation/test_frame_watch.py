# SPDX-License-Identifier: Apache-2.0
"""What stands out over many frames: the same output of different pictures, and one class everywhere."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from isaac_inference.stages.segmentation.frame_watch import FrameWatch, Remarks
from isaac_inference.stages.segmentation.segmenter import Segmentation

FRAMES = 3
_marks = itertools.count()


def frame(only_class=None, mark=None):
    """A frame whose output is like no other one unless its mark is given."""
    return Segmentation(np.zeros((1, 1), np.uint8), None, only_class, next(_marks) if mark is None else mark)


class Watched:
    """A watch of three frames that is shown a different picture each time, unless told otherwise."""

    def __init__(self):
        self.watch, self.numbers = FrameWatch(FRAMES, ['floor', 'wall']), itertools.count()

    def __call__(self, found, picture=...):
        return self.watch.add(found, str(next(self.numbers)).encode() if picture is ... else picture)


@pytest.fixture
def watched():
    return Watched()


def test_the_same_output_of_different_pictures(watched):
    assert watched(frame(mark=7)) == watched(frame(mark=7)) == Remarks()
    remarks = watched(frame(mark=7))
    assert 'exactly the same in each of the last 3 frames' in remarks.constant
    assert 'isaac-inference info' in remarks.constant
    assert not remarks.uniform
    assert watched(frame()) == Remarks()


def test_one_class_everywhere(watched):
    assert watched(frame(1)) == watched(frame(1)) == Remarks()
    remarks = watched(frame(1))
    assert 'one class everywhere, wall, in each of the last 3 frames' in remarks.uniform
    assert not remarks.constant
    assert 'of the last 4' not in watched(frame(0)).uniform  # another class begins anew
    assert watched(frame()) == Remarks()


def test_cells_that_are_all_unlabelled(watched):
    for _ in range(FRAMES):
        remarks = watched(frame(255))
    assert 'one class everywhere, unlabelled' in remarks.uniform


@pytest.mark.parametrize('picture', [b'same', None])
def test_a_camera_that_stands_still_says_nothing(watched, picture):
    for _ in range(3 * FRAMES):
        assert watched(frame(1, mark=7), picture) == Remarks()


def test_different_classes_say_nothing(watched):
    for index in range(3 * FRAMES):
        assert watched(frame(index % 2)) == Remarks()
