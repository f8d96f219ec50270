# SPDX-License-Identifier: Apache-2.0
"""Boxes and the scores of all classes."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.decoders.boxes_scores import decode

OPTIONS = {'input_wh': (200, 100), 'class_count': 2, 'score_threshold': 0.5}
BOXES = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
SCORES = [[0.1, 0.9], [0.2, 0.3], [0.75, 0.5]]


def run(boxes: list, scores: list, **options: object) -> tuple[list, list, list]:
    outputs = {'boxes': np.array(boxes, np.float32), 'scores': np.array(scores, np.float32)}
    found = decode(outputs, **{**OPTIONS, **options})
    return found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()


EXPECTED = ([BOXES[0], BOXES[2]], [pytest.approx(0.9), 0.75], [1, 0])


@pytest.mark.parametrize('scores', [SCORES, np.transpose(SCORES).tolist()], ids=['rows', 'columns'])
@pytest.mark.parametrize('boxes', [BOXES, [[box] for box in BOXES]], ids=['flat', 'deep'])
def test_either_axis_of_the_scores_and_a_deep_box(boxes: list, scores: list) -> None:
    assert run(boxes, scores) == EXPECTED


def test_a_square_has_a_row_for_each_box() -> None:
    assert run(BOXES[:2], [[0.1, 0.9], [0.2, 0.3]]) == ([BOXES[0]], [pytest.approx(0.9)], [1])


@pytest.mark.parametrize('background', ['first', 'last'])
def test_a_background_is_no_class(background: str) -> None:
    def with_background(row: list) -> list:
        return [0.99, *row] if background == 'first' else [*row, 0.99]

    assert run(BOXES, [with_background(row) for row in SCORES], background=background) == EXPECTED


def test_softmax_with_a_background() -> None:
    powers = [np.log(0.125), np.log(0.625), np.log(0.25)]
    assert run(BOXES[:1], [powers], activation='softmax', background='first') == (
        [BOXES[0]],
        [pytest.approx(0.625)],
        [0],
    )


@pytest.mark.parametrize(
    ('boxes', 'scores', 'says'),
    [
        (BOXES, [[0.1, 0.2, 0.3]] * 4, r"'scores': got \(4, 3\), expected \(3, 2\) or \(2, 3\)"),
        ([[1, 2, 3]], [[0.1, 0.2]], r"'boxes': got \(1, 3\), expected \(N, 4\)"),
        ([[[1, 2, 3, 4]] * 2], [[0.1, 0.2]], r"'boxes': got \(1, 2, 4\), expected \(N, 1, 4\)"),
    ],
)
def test_wrong_shapes(boxes: list, scores: list, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        run(boxes, scores)


def test_what_the_graph_has_selected_are_the_detections() -> None:
    boxes = np.float32([[0, 0, 8, 8], [0, 0, 9, 9], [16, 16, 24, 24]])
    scores = np.float32([[0.9, 0.2, 0.7], [0.1, 0.1, 0.6]])  # (classes, boxes)
    selected = np.int64([[0, 0, 0], [0, 1, 2], [-1, -1, -1]])
    outputs = {'boxes': boxes, 'scores': scores, 'selected': selected}
    found = decode(outputs, input_wh=(32, 32), class_count=2, score_threshold=0.5)
    assert found.boxes.tolist() == [[0, 0, 8, 8], [16, 16, 24, 24]] and found.class_ids.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])


def test_offsets_from_anchors() -> None:
    anchors = np.float32([[10, 20, 30, 60]])  # y from 10 to 30, x from 20 to 60
    offsets = np.float32([[0.5, -0.25, np.log(2), 0]])  # down by 10, left by 10, twice as high
    outputs = {'boxes': offsets, 'scores': np.float32([[0.75]]), 'anchors': anchors}
    found = decode(outputs, input_wh=(64, 64), class_count=1, score_threshold=0.5)
    assert found.boxes[0] == pytest.approx([10, 10, 50, 50], abs=1e-4)
