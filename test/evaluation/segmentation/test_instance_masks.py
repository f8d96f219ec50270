# SPDX-License-Identifier: Apache-2.0
"""Masks against their truth: pairs, missed and false ones, and windows that change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.evaluation import Boxes
from isaac_inference.evaluation.segmentation.boundary import boundary_f, tolerance_px
from isaac_inference.evaluation.segmentation.instance_masks import score_masks
from isaac_inference.ops.masks.masks import Masks

WH = (200, 150)  # a tolerance of 2 px


def objects(*items):
    """Each: class, (x, y, width, height), score."""
    crops = tuple(np.ones((height, width), np.bool_) for _, (_, _, width, height), _ in items)
    corners = np.array([place[:2] for _, place, _ in items], int).reshape(-1, 2)
    boxes = np.array([(x, y, x + w, y + h) for _, (x, y, w, h), _ in items], float).reshape(-1, 4)
    names, scores = tuple(item[0] for item in items), np.array([item[2] for item in items], float)
    return Boxes(boxes, names, scores, ('',) * len(items), Masks(WH, corners, crops))


def test_pairs_missed_and_false():
    truth = objects(('cup', (10, 10, 40, 40), 1.0), ('can', (100, 20, 30, 30), 0.9), ('cup', (100, 90, 20, 20), 0.5))
    found = objects(('cup', (14, 10, 40, 40), 0.8), ('can', (20, 90, 30, 30), 0.7))
    frame = score_masks(truth, found, 0.25)
    first, second, third = frame.objects
    assert (first.name, first.iou, first.visibility) == ('cup', pytest.approx(36 / 44), 1.0)
    full = [masks.masks.full(0) for masks in (found, truth)]
    assert first.boundary_f == pytest.approx(boundary_f(*full, tolerance_px(WH)))
    assert 0.4 < first.boundary_f < 0.9, 'two sides are off by 4 px, with a tolerance of 2'
    assert (second.is_found, second.iou, second.boundary_f) == (False, 0.0, 0.0)
    assert not third.is_found
    assert frame.false == (1,)
    assert frame.loss == pytest.approx(1 - 36 / 44 + 2 + 1)


def test_a_mask_of_another_class_is_no_match():
    place = (10, 10, 40, 40)
    frame = score_masks(objects(('cup', place, 1.0)), objects(('can', place, 0.9)), 0.25)
    assert (frame.objects[0].is_found, frame.false) == (False, (0,))


def test_each_mask_is_given_to_one_object():
    truth = objects(('cup', (10, 10, 40, 40), 1.0), ('cup', (14, 10, 40, 40), 1.0))
    frame = score_masks(truth, objects(('cup', (10, 10, 40, 40), 0.9)), 0.25)
    assert [item.is_found for item in frame.objects] == [True, False]


def test_hidden_objects_need_not_be_found_and_their_masks_are_not_false():
    truth = objects(('cup', (10, 10, 40, 40), 0.2))
    for found in (objects(), objects(('cup', (10, 10, 40, 40), 0.9))):
        frame = score_masks(truth, found, 0.25)
        assert (frame.objects, frame.false, frame.loss) == ((), (), 0)


@pytest.mark.parametrize('place', [(0, 0, 30, 30), (170, 120, 30, 30), (50, 0, 20, 150)])
def test_at_the_border_outlines_are_those_of_whole_images(place):
    x, y, width, height = place
    truth = objects(('cup', place, 1.0))
    found = objects(('cup', (x, y, width - 4, height - 3), 1.0))
    full = [masks.masks.full(0) for masks in (found, truth)]
    assert score_masks(truth, found, 0.0).objects[0].boundary_f == boundary_f(*full, tolerance_px(WH))
