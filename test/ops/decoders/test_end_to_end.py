# SPDX-License-Identifier: Apache-2.0
"""Finished boxes, one a row."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.decoders.end_to_end import decode

OPTIONS = {'input_wh': (640, 640), 'class_count': 3, 'score_threshold': 0.5}
BOX = [10, 20, 30, 40]


@pytest.mark.parametrize(
    ('rows', 'scores', 'class_ids'),
    [
        ([], [], []),
        ([[*BOX, 0.9, 2]], [0.9], [2]),
        ([[*BOX, 0.5, 0], [*BOX, 0.49, 0]], [0.5], [0]),  # both sides of the threshold
        ([[*BOX, 0.9, 0], [*BOX, 0.0, -1], [*BOX, 0.8, 1]], [0.9, 0.8], [0, 1]),  # a filler row between
        ([[*BOX, 0.6, 0], [*BOX, 0.9, 0]], [0.6, 0.9], [0, 0]),  # the model's order stays
    ],
)
def test_table(rows: list, scores: list, class_ids: list) -> None:
    found = decode({'predictions': np.array(rows, np.float32).reshape(-1, 6)}, **OPTIONS)
    assert found.boxes.tolist() == [BOX] * len(scores)
    assert found.scores.tolist() == pytest.approx(scores)
    assert found.class_ids.tolist() == class_ids


@pytest.mark.parametrize('class_id', [-1, 3, 1.5, np.nan, np.inf])
def test_bad_class_ids(class_id: float) -> None:
    rows = np.array([[*BOX, 0.9, 1], [*BOX, 0.9, class_id]], np.float32)
    with pytest.raises(FrameError, match=f'got class {np.float32(class_id)!s}.*0..2') as caught:
        decode({'predictions': rows}, **OPTIONS)
    assert caught.value.reason == 'bad_class_id'


@pytest.mark.parametrize('shape', [(300, 7), (6, 300), (6,)])
def test_wrong_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match=r"'predictions': got .*expected \(N, 6\)"):
        decode({'predictions': np.zeros(shape, np.float32)}, **OPTIONS)
