# SPDX-License-Identifier: Apache-2.0
"""Boxes that move: velocity from positions, prediction, coasting, rows."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.tracking.box_filter import BoxFilter

BOX = np.array([[100.0, 100.0, 180.0, 140.0]])
ROW = np.array([0])
NO, YES = np.array([False]), np.array([True])
STEP_S = 1 / 30
SPEED = np.array([90.0, -60.0, 90.0, -60.0])  # px/s of the corners


def moved(filter_, seconds, speed=SPEED):
    for frame in range(1, round(seconds / STEP_S) + 1):
        filter_.predict(STEP_S, NO)
        filter_.correct(ROW, BOX + speed * frame * STEP_S)
    return filter_


@pytest.fixture
def one():
    filter_ = BoxFilter()
    filter_.append(BOX)
    return filter_


def test_a_steady_box_is_predicted_where_it_will_be(one):
    moved(one, 1.0).predict(0.2, NO)
    here = one.boxes()
    np.testing.assert_allclose(here, BOX + SPEED * 1.2, atol=0.5)
    one.predict(1.0, NO)
    np.testing.assert_allclose(one.boxes() - here, [SPEED], atol=1.0)


def test_a_hidden_box_slows_down_and_stops(one):
    moved(one, 1.0)
    for _ in range(300):
        one.predict(STEP_S, YES)
    here = one.boxes()
    ahead = here[0] - (BOX + SPEED)[0]
    np.testing.assert_allclose(ahead, 0.2 * SPEED, atol=1.0)  # coast_s times the speed
    one.predict(1.0, NO)
    np.testing.assert_allclose(one.boxes(), here, atol=1e-6)


def test_one_long_step_is_many_short_ones(one):
    other = BoxFilter()
    other.append(BOX)
    moved(one, 0.5).predict(0.3, YES)
    moved(other, 0.5)
    for _ in range(30):
        other.predict(0.01, YES)
    np.testing.assert_allclose(one.boxes(), other.boxes(), atol=1e-9)


def test_noise_is_smoothed(one):
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(200):
        one.predict(STEP_S, NO)
        one.correct(ROW, BOX + rng.normal(0.0, 3.0, 4))
        errors.append(one.boxes() - BOX)
    assert np.std(errors[50:]) < 0.7 * 3.0


def test_a_shrinking_box_keeps_an_area(one):
    moved(one, 0.5, speed=np.array([60.0, 30.0, -60.0, -30.0])).predict(10.0, NO)
    low, high = one.boxes()[0, :2], one.boxes()[0, 2:]
    assert (high > low).all()


def test_rows_go_and_the_others_stay(one):
    one.append(BOX + 50.0)
    one.append(BOX + 100.0)
    one.keep(np.array([True, False, True]))
    np.testing.assert_allclose(one.boxes(), np.concatenate((BOX, BOX + 100.0)))
    one.predict(STEP_S, np.array([False, True]))
    one.correct(np.array([1]), BOX + 100.0)
    assert len(one) == 2


def test_without_boxes_nothing_happens():
    empty = BoxFilter()
    empty.predict(STEP_S, np.empty(0, np.bool_))
    empty.correct(np.empty(0, np.int64), np.empty((0, 4)))
    assert empty.boxes().shape == (0, 4)
