# SPDX-License-Identifier: Apache-2.0
"""A NaN never becomes a figure."""

from __future__ import annotations

import numpy as np
import pytest
from support.frame_records import boxes, pose, poses

from isaac_inference.errors import FrameError
from isaac_inference.evaluation import Boxes, Poses


def refused(make):
    with pytest.raises(FrameError) as caught:
        make()
    assert caught.value.reason == 'bad_estimate'
    return str(caught.value)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_what_is_not_finite_is_refused_and_named(value):
    wild = pose()
    wild[0, 3] = value
    assert 'poses[1]' in refused(lambda: poses(('cup', 1, pose()), ('cup', 1, wild)))
    assert 'boxes[0]' in refused(lambda: boxes(('cup', 1, (0, 0, value, 10))))
    assert 'scores[0]' in refused(lambda: boxes(('cup', value, (0, 0, 10, 10))))
    assert 'sizes[0]' in refused(lambda: poses(('cup', 1, pose()), size=(0.1, value, 0.1)))


@pytest.mark.parametrize('matrix', [2 * np.eye(4), np.diag([1.0, 1, -1, 1]), np.zeros((4, 4))])
def test_what_is_no_rotation_is_refused(matrix):
    assert 'is not a rotation' in refused(lambda: poses(('cup', 1, matrix)))


def test_lengths_that_differ_are_refused():
    assert 'boxes: got shape (2, 4)' in refused(lambda: Boxes(np.zeros((2, 4)), ('cup',), np.ones(1), ('',)))
    assert 'scores: got shape (2,)' in refused(lambda: Boxes(np.zeros((1, 4)), ('cup',), np.ones(2), ('',)))
    assert 'ids: got 0' in refused(lambda: Boxes(np.zeros((1, 4)), ('cup',), np.ones(1), ()))


def test_nothing_is_something():
    assert len(Boxes.empty()) == len(Poses.empty()) == 0
