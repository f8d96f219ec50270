# SPDX-License-Identifier: Apache-2.0
"""YOLOv5's rows."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.decoders.yolov5 import decode

OPTIONS = {'input_wh': (640, 640), 'class_count': 2, 'score_threshold': 0.3}


@pytest.mark.parametrize(
    ('rows', 'boxes', 'scores', 'class_ids'),
    [
        ([], [], [], []),
        ([[100, 50, 20, 10, 0.5, 0.1, 0.8]], [[90, 45, 110, 55]], [0.4], [1]),
        ([[100, 50, 20, 10, 0.2, 1.0, 1.0]], [], [], []),  # no object
        ([[100, 50, 20, 10, 0.5, 0.5, 0.5]], [], [], []),  # product under the threshold
        (
            [[9, 9, 2, 2, 1, 0.9, 0], [1, 1, 2, 2, 0, 1, 1], [5, 5, 2, 2, 1, 0, 1]],
            [[8, 8, 10, 10], [4, 4, 6, 6]],
            [0.9, 1.0],
            [0, 1],
        ),
    ],
)
def test_table(rows: list, boxes: list, scores: list, class_ids: list) -> None:
    found = decode({'predictions': np.array(rows, np.float32).reshape(-1, 7)}, **OPTIONS)
    assert found.boxes.tolist() == boxes
    assert found.scores.tolist() == pytest.approx(scores)
    assert found.class_ids.tolist() == class_ids


def test_nan_in_a_class_score_is_noticed() -> None:
    row = np.array([[9, 9, 2, 2, 1, np.nan, 0.9]], np.float32)
    with pytest.raises(FrameError, match='got NaN'):
        decode({'predictions': row}, **OPTIONS)


@pytest.mark.parametrize('shape', [(9, 6), (9, 8), (7, 9), (9,)])
def test_wrong_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match=r"'predictions': got .*expected \(N, 7\)"):
        decode({'predictions': np.zeros(shape, np.float32)}, **OPTIONS)
