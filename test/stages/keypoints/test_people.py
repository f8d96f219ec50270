# SPDX-License-Identifier: Apache-2.0
"""Which boxes are cropped, and what is said of those that are not."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.stages.keypoints.people import choose_people

SOURCE = (640, 480)
LEFT, RIGHT = (100, 100, 180, 300), (190, 110, 270, 310)
BOTH = (98, 98, 272, 312)


def choose(*boxes, scores=None, most=8):
    scores = np.linspace(0.9, 0.5, len(boxes)) if scores is None else np.array(scores)
    return choose_people(np.array(boxes, float).reshape(-1, 4), scores, SOURCE, most)


def reasons(pairs):
    return [reason for reason, _ in pairs]


def test_the_highest_score_comes_first_and_of_equals_the_first():
    assert choose(LEFT, RIGHT, (400, 0, 440, 100), scores=[0.5, 0.9, 0.5]).rows == (1, 0, 2)


def test_nobody():
    chosen = choose()
    assert (chosen.rows, chosen.left_out, chosen.noted) == ((), (), ())


def test_more_than_are_wanted_are_left_out_by_score_and_counted():
    boxes = [(30 * index, 0, 30 * index + 20, 60) for index in range(20)]
    chosen = choose(*boxes, scores=[index / 20 for index in range(20)], most=5)
    assert chosen.rows == (19, 18, 17, 16, 15)
    assert reasons(chosen.left_out) == ['max_people'] * 15


@pytest.mark.parametrize(
    'box', [(640, 0, 700, 50), (-50, 0, 0, 50), (0, 480, 10, 500), (0, -9, 10, 0), (900, 900, 950, 950)]
)
def test_a_box_outside_of_the_image_is_named(box):
    chosen = choose(LEFT, box)
    assert chosen.rows == (0,)
    [(reason, text)] = chosen.left_out
    assert reason == 'empty_crop'
    assert f'box ({box[0]}, {box[1]}) to ({box[2]}, {box[3]})' in text
    assert '640x480' in text


def test_a_box_at_the_border_is_cropped():
    assert choose((600, 300, 640, 480), (0, 0, 10, 20), (-30, -30, 5, 5)).rows == (0, 1, 2)


@pytest.mark.parametrize('place', [0, 1, 2])
def test_a_box_around_two_people_is_left_out_and_they_are_not(place):
    boxes = [LEFT, RIGHT]
    boxes.insert(place, BOTH)
    chosen = choose(*boxes)
    assert sorted(chosen.rows) == [row for row in range(3) if row != place]
    [(reason, text)] = chosen.left_out
    assert reason == 'several_people'
    assert '(98, 98) to (272, 312) is around two people' in text
    assert not chosen.noted


def test_somebody_near_with_two_far_behind_is_one_person():
    """The two are inside, but span little of that box."""
    near, far, farther = (100, 20, 400, 470), (130, 60, 160, 130), (200, 70, 225, 120)
    chosen = choose(near, far, farther)
    assert set(chosen.rows) == {0, 1, 2}
    assert not chosen.left_out
    assert reasons(chosen.noted) == ['people_overlap']


def test_somebody_near_with_others_at_both_edges_is_one_person():
    """From a photo: the two behind touch all four sides of the box, and fill less than half of it."""
    near, left, right = (0, 4, 427, 475), (0, 11, 135, 470), (273, 9, 422, 297)
    chosen = choose(near, left, right)
    assert set(chosen.rows) == {0, 1, 2}


def test_two_boxes_of_one_person_inside_a_larger_one_are_not_two_people():
    assert not choose(BOTH, LEFT, (102, 103, 181, 298)).left_out


def test_somebody_inside_another_s_box_is_noted_there():
    child = (120, 180, 160, 290)
    chosen = choose(LEFT, child)
    assert chosen.rows == (0, 1)
    [(reason, text)] = chosen.noted
    assert reason == 'people_overlap'
    assert text.startswith('box (100, 100) to (180, 300) has box (120, 180) to (160, 290) inside')


def test_the_same_box_twice_is_neither_in_the_other():
    chosen = choose(LEFT, LEFT)
    assert (chosen.rows, chosen.noted) == ((0, 1), ())


def test_a_box_around_two_people_takes_nobody_s_place():
    """The next one is cropped instead of it, not left out as one too many."""
    chosen = choose(BOTH, LEFT, RIGHT, (400, 0, 440, 100), scores=[0.9, 0.8, 0.7, 0.6], most=2)
    assert chosen.rows == (1, 2)
    assert reasons(chosen.left_out) == ['several_people', 'max_people']


def test_every_box_is_cropped_or_left_out_once():
    rng = np.random.default_rng(4)
    for count in (1, 7, 60):
        corners = rng.uniform(-100, 640, (count, 2))
        boxes = np.hstack((corners, corners + rng.uniform(5, 300, (count, 2))))
        chosen = choose_people(boxes, rng.uniform(0, 1, count), SOURCE, 5)
        assert len(chosen.rows) == len(set(chosen.rows)) <= 5
        assert len(chosen.rows) + len(chosen.left_out) == count


def test_thousands_of_boxes_are_no_matter():
    """Only those with a chance to be cropped are compared with each other."""
    boxes = np.tile(np.array([LEFT], float), (20000, 1))
    chosen = choose_people(boxes, np.linspace(0, 1, 20000), SOURCE, 8)
    assert chosen.rows == tuple(range(19999, 19991, -1))
    assert len(chosen.left_out) == 20000 - 8
