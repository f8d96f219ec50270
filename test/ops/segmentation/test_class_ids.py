# SPDX-License-Identifier: Apache-2.0
"""Class ids of a network, of any type, and what is no class."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.segmentation.class_ids import class_ids

IDS = np.array([[0, 1, 2], [2, 1, 0]])


@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'int32', 'int64', 'uint16', 'float16', 'float32', 'float64'])
@pytest.mark.parametrize('axis', [False, True])
def test_any_type_with_and_without_an_axis_of_channels(dtype, axis):
    output = IDS.astype(dtype)[..., None] if axis else IDS.astype(dtype)
    found = class_ids(output, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, IDS)


def test_truth_values_are_ids_too():
    assert class_ids(np.array([[True, False]]), 2).tolist() == [[1, 0]]


def test_many_classes_take_two_bytes():
    found = class_ids(np.array([[299, -1, 255]], np.int64), 300)
    assert found.dtype == np.uint16
    assert found.tolist() == [[299, 65535, 255]]


def test_cells_without_a_class_are_unlabelled():
    assert class_ids(np.array([[0, -1, 255, 2]], np.int32), 3).tolist() == [[0, 255, 255, 2]]


@pytest.mark.parametrize(
    ('output', 'reason', 'says'),
    [
        (np.array([[0, 3]], np.int64), 'bad_class_id', 'got class 3, expected a whole number in 0..2'),
        (np.array([[0, -2]], np.int64), 'bad_class_id', 'got class -2'),
        (np.array([[0, 0.5]], np.float32), 'bad_class_id', 'one of scores rather than classes'),
        (np.array([[0, np.nan]], np.float32), 'non_finite_output', 'in a class id'),
        (np.array([[0, np.inf]], np.float32), 'non_finite_output', 'in a class id'),
        (np.zeros((3, 4, 5), np.int64), 'bad_output_shape', r'got \(3, 4, 5\)'),
        (np.zeros((0, 4), np.int64), 'bad_output_shape', r'got \(0, 4\)'),
        (np.zeros((2, 4), np.complex64), 'bad_output_type', 'complex64'),
    ],
)
def test_what_is_no_class_is_refused(output, reason, says):
    with pytest.raises(FrameError, match=says) as caught:
        class_ids(output, 3)
    assert caught.value.reason == reason
