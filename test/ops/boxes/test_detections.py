# SPDX-License-Identifier: Apache-2.0
"""The detection type."""

from __future__ import annotations

import numpy as np
import pytest
from support.detections import detections

from isaac_inference.errors import FrameError
from isaac_inference.ops.boxes.detections import Detections

BOXES = np.zeros((2, 4), np.float32)
SCORES = np.zeros(2, np.float32)
CLASS_IDS = np.zeros(2, np.int32)


def test_empty() -> None:
    nothing = Detections.empty()
    assert len(nothing) == 0
    assert nothing.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ('index', 'expected'),
    [
        (np.array([], np.intp), []),
        (np.array([2]), [2]),
        (np.array([2, 0]), [2, 0]),  # keeps the order asked for
        (np.array([1, 1]), [1, 1]),  # may repeat
        (np.array([True, False, True]), [0, 2]),
        (np.zeros(3, np.bool_), []),
    ],
)
def test_select(index: np.ndarray, expected: list[int]) -> None:
    three = detections(([0, 0, 1, 1], 0.1, 0), ([0, 0, 2, 2], 0.2, 1), ([0, 0, 3, 3], 0.3, 2))
    chosen = three.select(index)
    assert chosen.class_ids.tolist() == expected
    assert chosen.boxes[:, 2].tolist() == [i + 1 for i in expected]
    assert chosen.scores.dtype == np.float32


def test_select_keeps_each_row_s_keypoints() -> None:
    keypoints = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    both = Detections(BOXES, SCORES, CLASS_IDS, keypoints)
    chosen = both.select(np.array([1, 0, 1])).keypoints
    assert chosen is not None
    np.testing.assert_array_equal(chosen, keypoints[[1, 0, 1]])
    nothing = both.select(np.zeros(2, np.bool_)).keypoints
    assert nothing is not None
    assert nothing.shape == (0, 4, 3)
    assert Detections(BOXES, SCORES, CLASS_IDS).select(np.array([1])).keypoints is None


@pytest.mark.parametrize(
    ('keypoints', 'error'),
    [
        (np.zeros((1, 4, 3), np.float32), r'keypoints: got float32 \(1, 4, 3\), expected float32 \(2, 4, 3\)'),
        (np.zeros((2, 4, 2), np.float32), r'keypoints: got float32 \(2, 4, 2\), expected float32 \(2, 4, 3\)'),
        (np.zeros((2, 12), np.float32), r'keypoints: got float32 \(2, 12\)'),
        (np.zeros((2, 4, 3)), r'keypoints: got float64 \(2, 4, 3\)'),
    ],
)
def test_rejects_other_keypoints(keypoints: np.ndarray, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        Detections(BOXES, SCORES, CLASS_IDS, keypoints)
    assert caught.value.reason == 'bad_detections'


@pytest.mark.parametrize(
    ('boxes', 'scores', 'class_ids', 'error'),
    [
        (BOXES[:1], SCORES, CLASS_IDS, r'boxes: got float32 \(1, 4\), expected float32 \(2, 4\)'),
        (BOXES[:, :3], SCORES, CLASS_IDS, r'boxes: got float32 \(2, 3\)'),
        (BOXES.astype(np.float64), SCORES, CLASS_IDS, 'boxes: got float64'),
        (BOXES, SCORES.astype(np.float16), CLASS_IDS, 'scores: got float16'),
        (BOXES, SCORES[:, None], CLASS_IDS, r'scores: got float32 \(2, 1\)'),
        (BOXES, SCORES, CLASS_IDS.astype(np.int64), 'class_ids: got int64'),
        (BOXES, SCORES, CLASS_IDS[:1], r'class_ids: got int32 \(1,\)'),
    ],
)
def test_rejects_other_shapes_and_types(
    boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray, error: str
) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        Detections(boxes, scores, class_ids)
    assert caught.value.reason == 'bad_detections'


def test_select_keeps_each_row_s_angle_and_the_best_score() -> None:
    both = Detections(BOXES, SCORES, CLASS_IDS, angles=np.array([0.25, 0.5], np.float32), best_score=0.75)
    chosen = both.select(np.array([1, 0, 1]))
    assert (chosen.angles.tolist(), chosen.best_score) == ([0.5, 0.25, 0.5], 0.75)
    assert np.isnan(Detections.empty().best_score)


@pytest.mark.parametrize('angles', [np.zeros(3, np.float32), np.zeros(2), np.zeros((2, 1), np.float32)])
def test_one_angle_per_box(angles: np.ndarray) -> None:
    with pytest.raises(FrameError, match='Detections.angles: got'):
        Detections(BOXES, SCORES, CLASS_IDS, angles=angles)
