# SPDX-License-Identifier: Apache-2.0
"""Queries with logits."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.decoders.detr import decode

OPTIONS = {'input_wh': (200, 100), 'class_count': 2, 'score_threshold': 0.5}
CENTER = [[0.5, 0.5, 0.2, 0.4]]
PIXELS = [80, 30, 120, 70]


def run(logits: list, boxes: list, **options: object) -> tuple[list, list, list]:
    outputs = {
        'logits': np.array(logits, np.float32).reshape(len(boxes), -1) if boxes else np.zeros((0, 2), np.float32),
        'boxes': np.array(boxes, np.float32).reshape(-1, 4),
    }
    found = decode(outputs, **{**OPTIONS, **options})
    return found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()


@pytest.mark.parametrize(
    ('logits', 'count', 'score', 'class_id'),
    [
        ([], 0, None, 0),
        ([[0.0, -9.0]], 1, 0.5, 0),  # equal to the threshold
        ([[-0.01, -9.0]], 1, None, 0),
        ([[1.0, 2.0]], 1, 1 / (1 + np.exp(-2)), 1),
        ([[90.0, 2.0]], 1, 1.0, 0),
        ([[-1000.0, -1000.0]], 1, None, 0),  # exp overflows, quietly
    ],
)
def test_sigmoid(logits: list, count: int, score: float | None, class_id: int) -> None:
    boxes, scores, class_ids = run(logits, CENTER * count)
    assert scores == pytest.approx([] if score is None else [score])
    assert class_ids == ([] if score is None else [class_id])
    assert boxes == ([] if score is None else [pytest.approx(PIXELS)])


@pytest.mark.parametrize(
    ('logits', 'score', 'class_id'),
    [
        ([[0.0, 0.0, -100.0]], 0.5, 0),  # equal to the threshold, a tie
        ([[3.0, 5.0, 3.0]], np.exp(5) / (np.exp(5) + 2 * np.exp(3)), 1),
        ([[0.0, 0.0, 100.0]], None, 0),  # no object
        ([[1000.0, 0.0, 0.0]], 1.0, 0),  # no overflow
        ([[-np.inf, 0.0, -np.inf]], 1.0, 1),  # masked classes
    ],
)
def test_softmax(logits: list, score: float | None, class_id: int) -> None:
    _, scores, class_ids = run(logits, CENTER, activation='softmax')
    assert scores == pytest.approx([] if score is None else [score])
    assert class_ids == ([] if score is None else [class_id])


def test_softmax_needs_the_no_object_column() -> None:
    with pytest.raises(FrameError, match=r"'logits': got \(1, 2\), expected \(Q, 3\)"):
        run([[0.0, 0.0]], CENTER, activation='softmax')


def test_as_many_boxes_as_logits() -> None:
    outputs = {'logits': np.zeros((3, 2), np.float32), 'boxes': np.zeros((2, 4), np.float32)}
    with pytest.raises(FrameError, match=r"'boxes': got \(2, 4\), expected \(3, 4\)"):
        decode(outputs, **OPTIONS)


def test_unknown_activation() -> None:
    with pytest.raises(ConfigError, match="activation: got 'relu', expected one of none, sigmoid, softmax"):
        run([[0.0, 0.0]], CENTER, activation='relu')


@pytest.mark.parametrize('activation', ['sigmoid', 'softmax'])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_logits_that_are_no_numbers(activation: str, value: float) -> None:
    logits = [[value, 0.0]] if activation == 'sigmoid' else [[value, 0.0, 0.0]]
    with pytest.raises(FrameError, match="'logits': got NaN or infinity"):
        run(logits, CENTER, activation=activation)
