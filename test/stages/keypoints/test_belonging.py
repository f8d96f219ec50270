# SPDX-License-Identifier: Apache-2.0
"""Whose keypoints are found in a crop: its person's, somebody else's, or nobody's."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.stages.keypoints.belonging import left_out

FRONT, REAR = np.array([100.0, 100, 200, 400]), np.array([160.0, 90, 260, 380])
NEXT = np.array([210.0, 100, 310, 400])


def person(box, confidence=0.8, count=17, seed=5):
    """Keypoints that fill a box."""
    shares = np.random.default_rng(seed).uniform(0, 1, (count, 2))
    shares[:2] = (0, 0), (1, 1)
    return np.column_stack((box[:2] + shares * (box[2:] - box[:2]), np.full(count, confidence)))


def judged(points, boxes, alike=0.9):
    return left_out(np.stack(points), np.stack(boxes), 0.3, alike)


def test_people_with_their_own_keypoints_are_all_kept():
    boxes = [FRONT, REAR, NEXT]
    assert judged([person(box) for box in boxes], boxes) == {}


@pytest.mark.parametrize('order', [(0, 1), (1, 0)])
@pytest.mark.parametrize('sure', [(0.5, 0.9), (0.9, 0.5)])
def test_the_same_person_twice_stays_with_whose_box_it_fills(order, sure):
    """The network prefers the one in front in both crops; how sure it is says nothing of whose box it was."""
    boxes = [FRONT, REAR]
    points = [person(FRONT, sure[0]), person(FRONT, sure[1]) + (2, 1, 0)]
    found = judged([points[index] for index in order], [boxes[index] for index in order])
    front = order.index(0)
    assert found == {1 - front: ('same_person', front)}


def test_keypoints_of_the_neighbour_are_not_given_out():
    """Who is not detected, so that nobody else has these keypoints."""
    assert judged([person(NEXT)], [FRONT]) == {0: ('outside_box', -1)}


def test_an_outstretched_arm_is_no_neighbour():
    points = person(FRONT)
    points[:5, 0] += 150
    assert judged([points], [FRONT]) == {}


def test_unsure_keypoints_are_no_evidence():
    points = person(FRONT)
    points[3:, :2] += 400
    points[3:, 2] = 0.1
    assert judged([points], [FRONT]) == {}
    assert judged([person(NEXT, confidence=0.1)], [FRONT]) == {}  # low confidence says enough


def test_nobody_seen():
    assert judged([person(FRONT, 0.0), person(NEXT)], [FRONT, NEXT]) == {0: ('nobody_seen', -1)}


def test_who_is_left_out_takes_nobody_else_with_them():
    """The rear box shows the front one: outside of its box, it is no rival for the same keypoints."""
    far = np.array([400.0, 100, 500, 400])
    assert judged([person(FRONT), person(FRONT)], [far, FRONT]) == {0: ('outside_box', -1)}


def test_no_crops():
    assert left_out(np.empty((0, 17, 3)), np.empty((0, 4)), 0.3, 0.9) == {}
