# SPDX-License-Identifier: Apache-2.0
"""YOLOv8-pose's layout: boxes, scores and each box's keypoints, either axis first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.keypoints.yolov8_pose import decode


def output(class_count: int, count: int, dims: int, anchors: int = 20) -> np.ndarray:
    """(C, anchors) with two boxes, at anchors 3 and 7; keypoint k of anchor a is at (100 a + k, -k), of
    confidence k / 100.
    """
    predictions = np.zeros((4 + class_count + count * dims, anchors), np.float32)
    k = np.arange(count)
    for anchor, score in ((3, 0.6), (7, 0.9)):
        predictions[:4, anchor] = (100, 50, 20, 10)
        predictions[3 + class_count, anchor] = score
        points = np.stack((100 * anchor + k, -k, k / 100), axis=1)[:, :dims]
        predictions[4 + class_count :, anchor] = points.ravel()
    return predictions


def read(predictions: np.ndarray, class_count: int = 5, score_threshold: Any = 0.5, **options: int) -> Detections:
    return decode(
        {'predictions': predictions},
        input_wh=(64, 64),
        class_count=class_count,
        score_threshold=score_threshold,
        **{'keypoint_count': 8, **options},
    )


@pytest.mark.parametrize('is_transposed', [False, True])
@pytest.mark.parametrize(
    ('class_count', 'count', 'dims', 'anchors'),
    [(5, 8, 3, 20), (1, 17, 3, 8400), (80, 4, 2, 84), (1, 1, 2, 20), (5, 8, 2, 30), (5, 8, 3, 33)],
)
def test_every_box_has_its_own_keypoints(
    class_count: int, count: int, dims: int, anchors: int, is_transposed: bool
) -> None:
    predictions = output(class_count, count, dims, anchors)
    if is_transposed and len(predictions) != anchors:  # a square is read channels first
        predictions = np.ascontiguousarray(predictions.T)
    found = read(predictions, class_count, keypoint_count=count, keypoint_dims=dims)
    assert found.boxes.tolist() == [[90, 45, 110, 55]] * 2
    np.testing.assert_array_equal(found.scores, np.float32([0.6, 0.9]))
    assert found.class_ids.tolist() == [class_count - 1] * 2
    k = np.arange(count)
    confidence = k / 100 if dims == 3 else np.ones(count)
    expected = [np.stack((100 * anchor + k, -k, confidence), axis=1) for anchor in (3, 7)]
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints, expected, rtol=1e-6)
    assert found.keypoints.dtype == np.float32


def test_a_threshold_a_class_keeps_keypoints_and_boxes_together() -> None:
    predictions = output(5, 8, 3)
    predictions[4, 3], predictions[8, 3] = 0.6, 0.0  # the first box is of class 0 now
    found = read(predictions, score_threshold=np.array([0.7, 0.1, 0.1, 0.1, 0.1]))
    assert found.scores.tolist() == pytest.approx([0.9])
    assert found.keypoints is not None
    assert found.keypoints[0, 0].tolist() == [700, 0, 0]


def test_nothing_found_still_says_how_many_keypoints_there_would_be() -> None:
    for score_threshold in (0.95, np.full(5, 0.95)):
        keypoints = read(output(5, 8, 3), score_threshold=score_threshold).keypoints
        assert keypoints is not None
        assert keypoints.shape == (0, 8, 3)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('channel', [9, 10, 11, 32])  # x, y and confidence of the first, confidence of the last
def test_keypoints_that_are_no_numbers_are_noticed(channel: int, value: float) -> None:
    predictions = output(5, 8, 3)
    predictions[channel, 5] = value  # no candidate, no matter
    assert len(read(predictions)) == 2
    predictions[channel, 7] = value
    with pytest.raises(FrameError, match="'predictions': got NaN or infinity in a keypoint") as caught:
        read(predictions)
    assert caught.value.reason == 'non_finite_output'


def test_a_rounded_confidence_is_brought_back_into_its_range() -> None:
    predictions = output(5, 8, 3)
    predictions[11, 7], predictions[14, 7] = 1.0005, -0.0005
    keypoints = read(predictions, score_threshold=0.8).keypoints
    assert keypoints is not None
    assert keypoints[0, :2, 2].tolist() == [1.0, 0.0]


def test_keypoints_outlive_the_output() -> None:
    predictions = output(5, 8, 2)
    keypoints = read(predictions, keypoint_dims=2).keypoints
    assert keypoints is not None
    before = keypoints.copy()
    predictions[:] = 5.0
    np.testing.assert_array_equal(keypoints, before)


@pytest.mark.parametrize('shape', [(32, 20), (34, 20), (20, 34), (33,), (9, 20)])
def test_another_number_of_channels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match=r"'predictions': got .*expected") as caught:
        read(np.zeros(shape, np.float32))
    assert caught.value.reason == 'bad_output_shape'


@pytest.mark.parametrize('options', [{'keypoint_count': 0}, {'keypoint_dims': 1}, {'keypoint_dims': 4}])
def test_numbers_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match='keypoint_count and keypoint_dims: got .*expected 1 or more'):
        read(output(5, 8, 3), **options)
