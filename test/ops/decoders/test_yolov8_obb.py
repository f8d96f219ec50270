# SPDX-License-Identifier: Apache-2.0
"""Rotated boxes."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.decoders.yolov8_obb import decode

OPTIONS = {'input_wh': (64, 64), 'class_count': 2, 'score_threshold': 0.5}


@pytest.mark.parametrize('transposed', [False, True])
def test_the_angle_belongs_to_the_box_before_its_turn(transposed: bool) -> None:
    predictions = np.zeros((84, 7), np.float32)
    predictions[3] = 30, 20, 16, 4, 0.25, 0.75, -0.5
    predictions[4] = 30, 20, 16, 4, 0.25, 0.375, np.nan  # no candidate, no matter
    found = decode({'predictions': predictions if transposed else predictions.T.copy()}, **OPTIONS)
    assert found.boxes.tolist() == [[22, 18, 38, 22]]
    assert (found.angles.tolist(), found.scores.tolist(), found.class_ids.tolist()) == ([-0.5], [0.75], [1])


def test_nothing_found_has_no_angle_but_its_array() -> None:
    found = decode({'predictions': np.zeros((7, 84), np.float32)}, **OPTIONS)
    assert found.angles.shape == (0,) and found.best_score == 0


def test_an_angle_that_is_no_number_is_noticed() -> None:
    with pytest.raises(FrameError, match='got NaN or infinity in an angle'):
        decode({'predictions': np.array([[30, 20, 16, 4, 0.25, 0.75, np.nan]], np.float32)}, **OPTIONS)


def test_wrong_shape() -> None:
    with pytest.raises(FrameError, match=r'expected \(7, N\) or \(N, 7\), box, class scores and angle'):
        decode({'predictions': np.zeros((6, 84), np.float32)}, **OPTIONS)
