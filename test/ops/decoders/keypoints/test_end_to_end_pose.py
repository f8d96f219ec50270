# SPDX-License-Identifier: Apache-2.0
"""Finished boxes with keypoints: each row its own, and rows that only fill up the output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.keypoints.end_to_end_pose import decode


def output(count: int = 8, dims: int = 3, rows: int = 20) -> np.ndarray:
    """(rows, C) with two boxes, in rows 0 and 7, of classes 4 and 1; keypoint k of row r is at (100 r + k, -k), of
    confidence k / 100. All other rows are zeros.
    """
    predictions = np.zeros((rows, 6 + count * dims), np.float32)
    k = np.arange(count)
    for row, score, class_id in ((0, 0.9, 4), (7, 0.6, 1)):
        predictions[row, :6] = (90, 45, 110, 55, score, class_id)
        predictions[row, 6:] = np.stack((100 * row + k, -k, k / 100), axis=1)[:, :dims].ravel()
    return predictions


def read(predictions: np.ndarray, score_threshold: Any = 0.5, **options: int) -> Detections:
    return decode(
        {'predictions': predictions},
        input_wh=(64, 64),
        class_count=5,
        score_threshold=score_threshold,
        **{'keypoint_count': 8, **options},
    )


@pytest.mark.parametrize(('count', 'dims'), [(8, 3), (17, 3), (4, 2), (1, 2)])
@pytest.mark.parametrize('rows', [20, 30, 57])  # 30 and 57 are also numbers of columns
def test_every_box_has_its_own_keypoints(count: int, dims: int, rows: int) -> None:
    found = read(output(count, dims, rows), keypoint_count=count, keypoint_dims=dims)
    assert found.boxes.tolist() == [[90, 45, 110, 55]] * 2
    np.testing.assert_array_equal(found.scores, np.float32([0.9, 0.6]))
    assert found.class_ids.tolist() == [4, 1]
    k = np.arange(count)
    confidence = k / 100 if dims == 3 else np.ones(count)
    expected = [np.stack((100 * row + k, -k, confidence), axis=1) for row in (0, 7)]
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints, expected, rtol=1e-6)
    assert found.keypoints.dtype == np.float32


def test_a_threshold_a_class_keeps_keypoints_and_boxes_together() -> None:
    found = read(output(), score_threshold=np.array([0.1, 0.1, 0.1, 0.1, 0.95]))
    assert found.class_ids.tolist() == [1]
    assert found.keypoints is not None
    assert found.keypoints[0, 0].tolist() == [700, 0, 0]


def test_nothing_found_still_says_how_many_keypoints_there_would_be() -> None:
    for predictions in (output(), np.zeros((0, 30), np.float32)):
        keypoints = read(predictions, score_threshold=0.95).keypoints
        assert keypoints is not None
        assert keypoints.shape == (0, 8, 3)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('column', [6, 7, 8, 29])  # x, y and confidence of the first, confidence of the last
def test_keypoints_that_are_no_numbers_are_noticed(column: int, value: float) -> None:
    predictions = output()
    predictions[5, column] = value  # no candidate, no matter
    assert len(read(predictions)) == 2
    predictions[7, column] = value
    with pytest.raises(FrameError, match="'predictions': got NaN or infinity in a keypoint") as caught:
        read(predictions)
    assert caught.value.reason == 'non_finite_output'


def test_a_rounded_confidence_is_brought_back_into_its_range() -> None:
    predictions = output()
    predictions[0, [8, 11]] = 1.0005, -0.0005
    keypoints = read(predictions, score_threshold=0.8).keypoints
    assert keypoints is not None
    assert keypoints[0, :2, 2].tolist() == [1.0, 0.0]


@pytest.mark.parametrize('class_id', [5, -1, 0.5])
def test_a_class_that_the_model_does_not_have_is_refused(class_id: float) -> None:
    predictions = output()
    predictions[0, 5] = class_id
    with pytest.raises(FrameError, match=r"'predictions': got class .*expected a whole number in 0..4") as caught:
        read(predictions)
    assert caught.value.reason == 'bad_class_id'


@pytest.mark.parametrize('shape', [(20, 29), (20, 31), (30, 20), (30,)])
def test_another_number_of_columns_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match=r"'predictions': got .*expected \(N, 30\)") as caught:
        read(np.zeros(shape, np.float32))
    assert caught.value.reason == 'bad_output_shape'


@pytest.mark.parametrize('options', [{'keypoint_count': 0}, {'keypoint_dims': 1}, {'keypoint_dims': 4}])
def test_numbers_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match='keypoint_count and keypoint_dims: got .*expected 1 or more'):
        read(output(), **options)
