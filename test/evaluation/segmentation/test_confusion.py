# SPDX-License-Identifier: Apache-2.0
"""The confusion matrix and IoU, by values that were computed by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.segmentation.confusion import ClassScore, ConfusionMatrix

NAMES = ['floor', 'wall', 'cup']


def matrix(*pairs, names=NAMES):
    made = ConfusionMatrix(names)
    for found, truth in pairs:
        made.add(np.array(found), np.array(truth))
    return made


def test_by_hand():
    made = matrix(([[0, 0, 1, 2], [0, 1, 1, 0]], [[0, 0, 1, 1], [0, 1, 2, 2]]))
    assert made.counts.tolist() == [[3, 0, 0, 0], [0, 2, 1, 0], [1, 1, 0, 0]]
    scores = made.scores()
    assert scores['floor'] == ClassScore(3 / 4, 1.0, 3 / 4, 3)
    assert scores['wall'] == ClassScore(2 / 4, 2 / 3, 2 / 3, 3)
    assert scores['cup'] == ClassScore(0.0, 0.0, 0.0, 2)
    assert made.mean_iou == pytest.approx((0.75 + 0.5 + 0.0) / 3)
    assert made.pixel_accuracy == 5 / 8


def test_pictures_are_summed_and_not_averaged():
    one = ([[0, 0]], [[0, 1]])
    other = ([[1, 1, 1, 1]], [[1, 1, 1, 1]])
    made = matrix(one, other)
    assert made.scores()['wall'].iou == 4 / 5
    assert made.scores()['floor'].iou == 1 / 2


def test_pixels_whose_truth_is_no_class_do_not_count():
    made = matrix(([[0, 1, 2]], [[0, 255, -1]]))
    assert made.counts.sum() == 1
    assert made.pixel_accuracy == 1.0


def test_pixels_that_were_not_labelled_are_misses():
    made = matrix((np.array([[0, 255, 255, 1]], np.uint8), np.array([[0, 0, 1, 1]], np.uint8)))
    assert made.counts.tolist() == [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]]
    assert made.scores()['floor'] == ClassScore(0.5, 0.5, 1.0, 2)


def test_a_class_that_is_nowhere_is_not_in_the_mean():
    made = matrix(([[0, 1]], [[0, 1]]))
    assert math.isnan(made.scores()['cup'].iou)
    assert made.mean_iou == 1.0


def test_a_class_that_was_only_found_wrongly_is_in_the_mean():
    made = matrix(([[0, 2]], [[0, 0]]))
    assert made.scores()['cup'].iou == 0.0
    assert math.isnan(made.scores()['cup'].recall)
    assert made.mean_iou == pytest.approx(0.25)


def test_nothing_yet():
    assert math.isnan(matrix().mean_iou)
    assert math.isnan(matrix().pixel_accuracy)
    assert json.loads(json.dumps(matrix().as_json()))['mean_iou'] is None


def test_a_report_is_json():
    report = json.loads(json.dumps(matrix(([[0, 1]], [[0, 0]])).as_json(), allow_nan=False))
    assert report['classes']['floor'] == {'iou': 0.5, 'recall': 0.5, 'precision': 1.0, 'pixels': 2}
    assert report['confusion'] == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ('found', 'truth'), [(np.zeros((2, 2), int), np.zeros((2, 3), int)), (np.zeros((2, 2)), np.zeros((2, 2), int))]
)
def test_masks_that_do_not_fit_are_refused(found, truth):
    with pytest.raises(ConfigError, match='class masks'):
        ConfusionMatrix(NAMES).add(found, truth)


def test_many_classes_and_a_big_picture():
    rng = np.random.default_rng(1)
    found, truth = (rng.integers(0, 300, (200, 300)).astype(np.uint16) for _ in range(2))
    made = matrix((found, truth), names=[str(number) for number in range(300)])
    for number in (0, 7, 299):
        inter = np.count_nonzero((found == number) & (truth == number))
        union = np.count_nonzero((found == number) | (truth == number))
        assert made.scores()[str(number)].iou == inter / union


def test_pictures_counted_apart_and_merged_are_as_counted_together():
    rng = np.random.default_rng(4)
    together, merged = ConfusionMatrix(['a', 'b', 'c']), ConfusionMatrix(['a', 'b', 'c'])
    for _ in range(3):
        found, truth = rng.integers(0, 5, (2, 8, 9))
        one = ConfusionMatrix(['a', 'b', 'c'])
        for matrix in (together, one):
            matrix.add(found, truth)
        merged.merge(one)
    np.testing.assert_array_equal(merged.counts, together.counts)
    with pytest.raises(ConfigError, match='expected the same classes'):
        merged.merge(ConfusionMatrix(['a', 'b']))
