# SPDX-License-Identifier: Apache-2.0
"""Which skeletons are one person's."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.keypoints.similarity import ALIKE, keypoint_similarity, same_as

AREA = 100.0 * 200.0
RNG = np.random.default_rng(11)
PERSON = np.column_stack((RNG.uniform(0, 100, 17), RNG.uniform(0, 200, 17), np.full(17, 0.8)))


def moved(x=0.0, y=0.0, confidence=0.8):
    return np.column_stack((PERSON[:, :2] + (x, y), np.full(17, confidence)))


def test_the_same_is_one_and_far_away_is_none():
    assert keypoint_similarity(PERSON, PERSON, AREA, 0.3) == 1.0
    assert keypoint_similarity(PERSON, moved(x=1000), AREA, 0.3) == pytest.approx(0.0)


def test_it_falls_as_coco_s_does():
    """exp(-d**2 / (2 * area * k**2)), k = 0.1."""
    distance = 20.0
    assert keypoint_similarity(PERSON, moved(x=distance), AREA, 0.3) == pytest.approx(
        np.exp(-(distance**2) / (2 * AREA * 0.01))
    )


@pytest.mark.parametrize('sure', [0, 1])
def test_what_is_not_sure_is_compared_with_nothing(sure):
    """One point that both are sure of may be a shared one: hands that are held."""
    one = PERSON.copy()
    one[sure:, 2] = 0.1
    assert keypoint_similarity(one, PERSON, AREA, 0.3) == 0.0


def test_unsure_points_do_not_count():
    other = moved()
    other[5:, :2] += 500.0
    other[5:, 2] = 0.1
    assert keypoint_similarity(PERSON, other, AREA, 0.3) == 1.0


def test_the_better_one_is_kept_whatever_the_order():
    people = np.stack([moved(x=1), moved(), moved(x=150), moved(x=2)])
    ranks = np.array([0.5, 0.9, 0.1, 0.6])
    assert same_as(people, np.full(4, AREA), ranks, 0.3, 0.9) == {0: 1, 3: 1}
    assert same_as(people[::-1], np.full(4, AREA), ranks[::-1], 0.3, 0.9) == {3: 2, 0: 2}


def test_of_equals_the_first_is_kept():
    assert same_as(np.stack([PERSON] * 3), np.full(3, AREA), np.zeros(3), 0.3, 0.9) == {1: 0, 2: 0}


def test_people_side_by_side_are_two():
    """A child before a grown-up is as far away as a fifth of a body."""
    people = np.stack([moved(), moved(x=25)])
    assert same_as(people, np.full(2, AREA), np.zeros(2), 0.3, 0.9) == {}


def test_above_one_nobody_is_the_same():
    assert same_as(np.stack([PERSON, PERSON]), np.full(2, AREA), np.zeros(2), 0.3, 1.01) == {}


def test_nobody_at_all():
    assert same_as(np.empty((0, 17, 3)), np.empty(0), np.empty(0), 0.3, 0.9) == {}


def test_alike_is_a_distance_of_a_few_percent_of_the_box():
    """One measure for the network that finds one person in two crops, and for the detector that finds one twice."""
    diagonal = float(np.hypot(100.0, 200.0))
    for share, is_same in ((0.02, True), (0.04, False)):
        people = np.stack((PERSON, moved(x=share * diagonal)))
        assert bool(same_as(people, np.full(2, AREA), np.ones(2), 0.3, ALIKE)) is is_same, share
