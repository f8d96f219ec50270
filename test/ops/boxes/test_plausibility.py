# SPDX-License-Identifier: Apache-2.0
"""What no model would give is named, and what a model may well give passes."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.plausibility import Tally, implausible, implausibly_alike, tally

WH = (640, 480)
WHOLE = [0, 0, 640, 480]


def detections(boxes: list, scores: object = 0.5, class_ids: object = 0) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.broadcast_to(np.asarray(scores, np.float32), (count,)).copy(),
        np.broadcast_to(np.asarray(class_ids, np.int32), (count,)).copy(),
    )


def scattered(count: int = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    center, size = rng.uniform((0, 0), WH, (count, 2)), rng.uniform(8, 200, (count, 2))
    return np.hstack((center - size / 2, center + size / 2))


def reason(found: Detections, best_score: float = np.nan) -> str | None:
    """Of either check, as a decoder without NMS is judged."""
    wrong = implausible(found, WH, best_score) or implausibly_alike(found, WH)
    return None if wrong is None else wrong.reason


def as_xyxy(boxes: np.ndarray) -> np.ndarray:
    """Corners of boxes that are written as centre and size and read as corners."""
    return np.hstack(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]))


# What a wrong card gives


@pytest.mark.parametrize(
    ('boxes', 'expected'),
    [
        (scattered() / [*WH, *WH], 'boxes_below_one_pixel'),  # fractions that are read as pixels
        (scattered(1) / [*WH, *WH], 'boxes_below_one_pixel'),
        ([[-1.2, -0.4, 2.5, 3.1], [0.1, 0.2, 1.9, 0.4]], 'boxes_below_one_pixel'),  # a raw grid
        (scattered() * [*WH, *WH], 'boxes_outside'),  # pixels that are read as fractions
        (scattered(1) * [*WH, *WH], 'boxes_outside'),
        (as_xyxy(scattered()), 'boxes_inverted'),
        (scattered()[:, [2, 3, 0, 1]], 'boxes_inverted'),
        ([*scattered().tolist(), [50, 50, 40, 60]], 'boxes_inverted'),  # one is enough
        ([WHOLE] * 25, 'boxes_all_whole_picture'),
        ([[-3, -3, 700, 500]] * 23 + [[1, 2, 30, 40]] * 2, 'boxes_all_whole_picture'),
        ([[10, 20, 30, 40]] * 20, 'boxes_identical'),
        ([[10, 20, 30, 40.25]] * 10 + [[10, 20, 30, 40]] * 13 + [[50, 50, 90, 90]] * 2, 'boxes_identical'),
    ],
)
def test_boxes_that_no_model_gives(boxes: object, expected: str) -> None:
    assert reason(detections(np.asarray(boxes).tolist())) == expected


@pytest.mark.parametrize(
    ('scores', 'best', 'expected'),
    [
        ([1.5, 0.5], np.nan, 'scores_above_one'),
        ([0.5, 0.5], 3.0, 'scores_above_one'),  # of a class that is filtered out
        ([], 1.1, 'scores_above_one'),
        ([], -4.6, 'scores_below_zero'),  # logits of an empty picture
    ],
)
def test_scores_that_no_model_gives(scores: list, best: float, expected: str) -> None:
    assert reason(detections(scattered(len(scores)).tolist(), scores), best) == expected


# What a good card gives


@pytest.mark.parametrize(
    'boxes',
    [
        [],
        [WHOLE],
        [WHOLE] * 19,
        [WHOLE] * 20 + scattered(20).tolist(),
        [[-300, -200, 900, 700]],  # over all edges
        [[-30, 10, 50, 90], [600, 400, 700, 520]],
        [[-2000, 0, 50, 90], *scattered(3).tolist()],  # one wild box
        [[10, 20, 10.5, 20.5], *scattered(3).tolist()],  # one tiny box
        [[10, 20, 300, 20.5]] * 3,  # thin
        [[0, 0, 6, 6]],  # in the corner
        [[10, 20, 10, 40], [30, 30, 29.5, 50]],  # without a width, up to rounding
        [[10, 20, 30, 40]] * 19,
        scattered().tolist(),
    ],
)
def test_boxes_that_a_model_may_give(boxes: list) -> None:
    assert reason(detections(boxes)) is None


@pytest.mark.parametrize('different', [{'class_ids': np.arange(24) // 2}, {'scores': np.linspace(0.3, 0.9, 24)}])
def test_the_same_box_of_other_classes_or_scores(different: dict) -> None:
    assert reason(detections([[10, 20, 30, 40]] * 24, **different)) is None


@pytest.mark.parametrize(
    ('scores', 'best'), [([1.0], 1.0), ([1.0005, 0.5], 1.0005), ([], 0.0), ([], -1.0), ([], np.nan), ([0.5], -1.0)]
)
def test_scores_that_a_model_may_give(scores: list, best: float) -> None:
    assert reason(detections(scattered(len(scores)).tolist(), scores), best) is None


def test_rows_that_fill_up_an_output_are_not_looked_at() -> None:
    rows = [[10, 20, 30, 40]] + [[0, 0, 0, 0]] * 99
    assert reason(detections(rows, [0.5] + [0.0] * 99)) is None
    assert tally(detections(rows, [0.5] + [0.0] * 99), WH) == Tally(1, 0, 0, 0, 0.5)


# What it says


def test_the_sentence_says_what_arrived_what_was_expected_and_where_to_look() -> None:
    wrong = implausible(detections((scattered() / [*WH, *WH]).tolist()), WH)
    assert wrong is not None
    assert wrong.sentence == (
        '40 of 40 boxes are smaller than one pixel of the input of 640x480 px, or all within its first pixels, '
        'expected boxes in pixels; check decoder (one for raw grids where the model outputs such), '
        'decoder_options.normalized (true for boxes in fractions of the input) and box_format in the model card'
    )


def test_what_there_is_to_count() -> None:
    boxes = [[0, 0, 0.5, 0.5], [0, 0, 0.5, 50], [9, 9, 5, 20], [-700, 0, 20, 20], [0, 0, 90, 961], [5, 5, 4.5, 9]]
    assert tally(detections(boxes), WH, 0.75) == Tally(boxes=6, inverted=1, outside=2, tiny=1, best_score=0.75)
