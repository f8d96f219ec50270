# SPDX-License-Identifier: Apache-2.0
"""MoveNet for several people: y before x, fractions of the input, keypoints before the box."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.decoders.keypoints.movenet_multipose import decode

INPUT_WH = (320, 192)
RNG = np.random.default_rng(11)


def rows_of(keypoints: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(6, 56) of (N, 17, 3) x, y in px and confidence, (N, 4) corners in px and (N,) scores; other rows are zeros."""
    width, height = INPUT_WH
    rows = np.zeros((6, 56), np.float32)
    for row, points, (x0, y0, x1, y1), score in zip(rows, keypoints, boxes, scores, strict=False):
        row[0:51:3], row[1:51:3], row[2:51:3] = points[:, 1] / height, points[:, 0] / width, points[:, 2]
        row[51:] = y0 / height, x0 / width, y1 / height, x1 / width, score
    return rows


def test_rows_come_in_px_of_an_input_that_is_not_square() -> None:
    keypoints = RNG.uniform((0, 0, 0), (*INPUT_WH, 1), (3, 17, 3))
    boxes = np.array([[10, 20, 50, 120], [100, 0, 160, 192], [300, 5, 320, 9]])
    scores = np.array([0.9, 0.3, 0.6])
    found = decode(
        {'predictions': rows_of(keypoints, boxes, scores)},
        input_wh=INPUT_WH,
        class_count=1,
        score_threshold=0.5,
        keypoint_count=17,
    )
    assert found.keypoints is not None and found.rows is not None
    np.testing.assert_allclose(found.boxes, boxes[[0, 2]], atol=1e-3)
    np.testing.assert_allclose(found.keypoints, keypoints[[0, 2]], atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.9, 0.6], atol=1e-6)
    assert found.class_ids.tolist() == [0, 0] and found.rows.tolist() == [0, 2]
    assert found.best_score == pytest.approx(0.9)


def test_only_rows_that_count_are_read() -> None:
    rows = np.zeros((6, 56), np.float32)
    rows[3, 4] = np.nan
    options = {'input_wh': INPUT_WH, 'class_count': 1, 'score_threshold': 0.5, 'keypoint_count': 17}
    assert len(decode({'predictions': rows}, **options)) == 0
    rows[3, 55] = 0.7
    with pytest.raises(FrameError, match='NaN or infinity in a keypoint'):
        decode({'predictions': rows}, **options)
    with pytest.raises(FrameError, match=r'got \(6, 57\), expected \(N, 56\)'):
        decode({'predictions': np.zeros((6, 57), np.float32)}, **options)
