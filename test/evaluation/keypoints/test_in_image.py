# SPDX-License-Identifier: Apache-2.0
"""PCK and OKS by values that were computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isaac_inference.evaluation.keypoints.in_image import (
    COCO17_SIGMAS,
    correct_keypoints,
    object_keypoint_similarity,
    pixel_errors,
    reference_lengths,
)

TRUTH = np.random.default_rng(1).uniform(50, 400, (3, 17, 2))
ALL = np.ones((3, 17), np.bool_)


def moved(by):
    return pixel_errors(TRUTH + np.array([by, 0.0]), TRUTH)


def test_errors_are_distances():
    np.testing.assert_allclose(pixel_errors(TRUTH + np.array([3.0, -4.0]), TRUTH), 5.0)


def test_pck_is_by_the_longer_side_of_each_persons_box():
    boxes = np.array([[0, 0, 50, 100], [0, 0, 80, 40], [10, 10, 10, 10]], float)
    reference = reference_lengths(boxes)
    assert reference.tolist() == [100, 80, 0]
    right = correct_keypoints(moved(9.0), reference, 0.1)
    assert right.mean(axis=1).tolist() == [1, 0, 0]
    assert correct_keypoints(moved(9.0), reference, 0.2).mean(axis=1).tolist() == [1, 1, 0]


def test_what_was_not_found_is_not_right():
    found = TRUTH.copy()
    found[0, 3] = np.nan
    errors = pixel_errors(found, TRUTH)
    assert np.isnan(errors[0, 3])
    assert correct_keypoints(errors, np.full(3, 100.0), 0.1).sum() == 3 * 17 - 1
    assert object_keypoint_similarity(errors, np.full(3, 1e4), ALL)[0] == pytest.approx(16 / 17)


def test_oks_is_cocos():
    area, by = 100.0 * 200.0, 12.0
    expected = np.mean([math.exp(-(by**2) / (2 * area * (2 * sigma) ** 2)) for sigma in COCO17_SIGMAS])
    np.testing.assert_allclose(object_keypoint_similarity(moved(by), np.full(3, area), ALL), expected)
    assert object_keypoint_similarity(moved(0.0), np.full(3, area), ALL).tolist() == [1, 1, 1]


def test_oks_is_of_visible_keypoints_alone():
    visible = np.zeros((3, 17), np.bool_)
    visible[0], visible[1, 0] = True, True
    found = TRUTH.copy()
    found[1, 1:] += 300.0
    similarity = object_keypoint_similarity(pixel_errors(found, TRUTH), np.full(3, 1e4), visible)
    assert similarity[:2].tolist() == [1.0, 1.0] and math.isnan(similarity[2])


def test_sigmas_are_alike_left_and_right():
    np.testing.assert_array_equal(COCO17_SIGMAS[1::2], COCO17_SIGMAS[2::2])
    assert COCO17_SIGMAS.argmax() == 11, 'nobody sees where a hip is'


def test_of_nobody():
    none = np.empty((0, 17, 2))
    errors = pixel_errors(none, none)
    assert correct_keypoints(errors, reference_lengths(np.empty((0, 4))), 0.1).shape == (0, 17)
    assert object_keypoint_similarity(errors, np.empty(0), np.empty((0, 17), np.bool_)).shape == (0,)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r'expected \(N, K, 2\)'):
        pixel_errors(TRUTH, TRUTH[:2])
    with pytest.raises(ValueError, match='do not fit'):
        object_keypoint_similarity(moved(1.0)[:, :9], np.ones(3), ALL[:, :9])
