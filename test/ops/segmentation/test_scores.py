# SPDX-License-Identifier: Apache-2.0
"""The best class of each cell, and how sure it is, against NumPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.ops.segmentation.scores import (
    against_rest,
    as_byte,
    best_class,
    class_planes,
    confidence,
    confidence_against_rest,
    is_class,
)

RNG = np.random.default_rng(11)


@pytest.mark.parametrize('classes', [1, 2, 21, 300])
def test_the_best_class_is_argmax(classes):
    planes = RNG.standard_normal((classes, 9, 13)).astype(np.float32)
    ids, best = best_class(planes)
    assert ids.dtype == (np.uint16 if classes == 300 else np.uint8)
    np.testing.assert_array_equal(ids, planes.argmax(axis=0))
    np.testing.assert_array_equal(best, planes.max(axis=0))


def test_the_first_of_equal_scores_wins():
    planes = RNG.integers(0, 2, (5, 40, 40)).astype(np.float32)
    np.testing.assert_array_equal(best_class(planes)[0], planes.argmax(axis=0))


@pytest.mark.parametrize('dtype', [np.float32, np.float16, np.float64, np.int8, np.uint8, np.int32])
def test_both_layouts_and_all_types_give_the_same_planes(dtype):
    scores = (RNG.standard_normal((4, 6, 7)) * 40).astype(dtype)
    planes = class_planes(scores)
    assert planes.dtype == np.float32
    assert planes.flags.c_contiguous
    np.testing.assert_array_equal(planes, scores.astype(np.float32))
    turned = class_planes(np.ascontiguousarray(scores.transpose(1, 2, 0)), TensorLayout.NHWC)
    np.testing.assert_array_equal(turned, planes)


@pytest.mark.parametrize('wrong', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('place', [(0, 0, 0), (2, 4, 5), (1, 3, 2)])
def test_nan_and_infinity_are_refused_wherever_they_are(wrong, place):
    scores = RNG.standard_normal((3, 5, 6)).astype(np.float32)
    scores[place] = wrong
    with pytest.raises(FrameError, match='NaN or infinity in a score') as caught:
        class_planes(scores)
    assert caught.value.reason == 'non_finite_output'


def test_huge_numbers_are_no_infinity():
    scores = np.full((2, 3, 3), 3e38, np.float32)
    np.testing.assert_array_equal(class_planes(scores), scores)


def test_axes_that_are_no_map_are_refused():
    for shape in ((3, 4), (1, 2, 3, 4), (0, 4, 4)):
        with pytest.raises(FrameError) as caught:
            class_planes(np.zeros(shape, np.float32))
        assert caught.value.reason == 'bad_output_shape'
    with pytest.raises(FrameError) as caught:
        class_planes(np.zeros((2, 3, 3), np.complex64))
    assert caught.value.reason == 'bad_output_type'


def test_confidence_is_the_softmax_of_the_winner():
    planes = (RNG.standard_normal((21, 8, 9)) * 6).astype(np.float32)
    sure = confidence(planes, planes.max(axis=0), 'softmax')
    np.testing.assert_allclose(sure, softmax(planes.astype(np.float64), axis=0).max(axis=0), rtol=1e-5)


def test_confidence_by_sigmoid_and_of_probabilities():
    planes = (RNG.standard_normal((3, 8, 9)) * 3).astype(np.float32)
    best = planes.max(axis=0)
    np.testing.assert_allclose(confidence(planes, best, 'sigmoid'), expit(best), rtol=1e-5)
    np.testing.assert_array_equal(confidence(planes, best, 'none'), np.clip(best, 0, 1))


@pytest.mark.parametrize('activation', ['sigmoid', 'none'])
@pytest.mark.parametrize('threshold', [0.3, 0.5, 0.9])
def test_one_class_wins_above_its_threshold(activation, threshold):
    probability = np.linspace(0.01, 0.99, 99, dtype=np.float32)[None, None]
    scores = np.log(probability / (1 - probability)) if activation == 'sigmoid' else probability
    ids, _ = best_class(against_rest(scores, activation, threshold))
    np.testing.assert_array_equal(is_class(scores[0, 0], activation, threshold), ids[0])
    assert is_class(scores[0, 0], activation, threshold).dtype == ids.dtype
    off_the_threshold = np.abs(probability[0] - threshold) > 1e-3
    np.testing.assert_array_equal(ids[off_the_threshold], (probability[0] > threshold)[off_the_threshold])
    sure = confidence_against_rest(scores[0], ids, activation)
    np.testing.assert_allclose(sure, np.where(ids == 1, probability[0], 1 - probability[0]), atol=1e-5)


def test_bytes_are_rounded():
    assert as_byte(np.array([0, 0.001, 0.002, 0.998, 0.999, 1], np.float32)).tolist() == [0, 0, 1, 254, 255, 255]
