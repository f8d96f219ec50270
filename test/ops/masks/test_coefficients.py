# SPDX-License-Identifier: Apache-2.0
"""Mask coefficients stand last in each row of boxes, and stay with their box; so does the number of its row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.nms import nms
from isaac_inference.ops.decoders import DECODERS

WH, CLASSES, CHANNELS = (64, 64), 3, 5
Outputs = dict[str, np.ndarray]
ROWS = 15
SCORES = np.linspace(0.05, 0.95, ROWS).astype(np.float32)
FIRST = int((SCORES < 0.5).sum())  # row that reaches the threshold


def coefficients() -> np.ndarray:
    return np.random.default_rng(8).normal(size=(ROWS, CHANNELS)).astype(np.float32)


def centres() -> np.ndarray:
    """(ROWS, 4) boxes side by side."""
    return np.array([[5 * row + 3, 20, 4, 9] for row in range(ROWS)], np.float32)


def corners() -> np.ndarray:
    boxes = centres()
    return np.concatenate((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), axis=1)


def class_scores() -> np.ndarray:
    scores = np.zeros((ROWS, CLASSES), np.float32)
    scores[:, 1] = SCORES
    return scores


def table(*columns: np.ndarray) -> np.ndarray:
    return np.concatenate([np.reshape(part, (ROWS, -1)) for part in columns], axis=1).astype(np.float32)


ONES, LABELS, POINTS = np.ones(ROWS), np.ones(ROWS, np.int64), np.full((ROWS, 6), 0.5)
KEYPOINTS = {'keypoint_count': 2, 'keypoint_dims': 3}
BUILDERS: dict[str, Callable[[np.ndarray], tuple[Outputs, dict[str, Any]]]] = {
    'yolov5': lambda mask: ({'predictions': table(centres(), ONES, class_scores(), mask)}, {}),
    'yolov8': lambda mask: ({'predictions': table(centres(), class_scores(), mask).T}, {}),
    'yolov8 rows first': lambda mask: ({'predictions': table(centres(), class_scores(), mask)}, {}),
    'yolov8_pose': lambda mask: ({'predictions': table(centres(), class_scores(), POINTS, mask).T}, KEYPOINTS),
    'end_to_end': lambda mask: ({'predictions': table(corners(), SCORES, LABELS, mask)}, {}),
    'end_to_end_pose': lambda mask: ({'predictions': table(corners(), SCORES, LABELS, POINTS, mask)}, KEYPOINTS),
    'boxes_scores': lambda mask: ({'boxes': table(corners(), mask), 'scores': class_scores()}, {}),
    'boxes_scores_labels': lambda mask: (
        {'boxes': table(corners(), mask), 'scores': SCORES, 'labels': LABELS},
        {},
    ),
    'boxes_scores_labels score in the box': lambda mask: (
        {'boxes': table(corners(), SCORES, mask), 'labels': LABELS},
        {},
    ),
}


def run(name: str, mask: np.ndarray, channels: int | None = CHANNELS, threshold: Any = 0.5) -> Detections:
    outputs, options = BUILDERS[name](mask)
    given = options if channels is None else {**options, 'mask_channels': channels}
    return DECODERS[name.split()[0]].decode(
        outputs, input_wh=WH, class_count=CLASSES, score_threshold=threshold, **given
    )


def test_every_decoder_that_takes_coefficients_is_tested_here() -> None:
    able = {name for name, decoder in DECODERS.items() if 'mask_channels' in decoder.option_names}
    assert able == {name.split()[0] for name in BUILDERS}


@pytest.mark.parametrize('name', BUILDERS)
@pytest.mark.parametrize('threshold', [0.5, np.array([0.1, 0.5, 0.1])], ids=['one', 'by class'])
def test_they_stay_with_their_box(name: str, threshold: Any) -> None:
    found = run(name, coefficients(), threshold=threshold)
    assert found.coefficients is not None
    np.testing.assert_allclose(found.boxes, corners()[FIRST:], atol=1e-5)
    np.testing.assert_array_equal(found.coefficients, coefficients()[FIRST:])
    assert found.class_ids.tolist() == [1] * (ROWS - FIRST)
    assert found.keypoints is None or found.keypoints.tolist() == np.full((ROWS - FIRST, 2, 3), 0.5).tolist()


@pytest.mark.parametrize('name', BUILDERS)
def test_they_stay_with_it_through_nms(name: str) -> None:
    found = nms(run(name, coefficients(), threshold=0.0), iou_threshold=0.5, max_detections=4)
    np.testing.assert_array_equal(found.coefficients, coefficients()[::-1][:4])


@pytest.mark.parametrize('name', BUILDERS)
def test_nothing_found_has_no_coefficients_but_their_number(name: str) -> None:
    found = run(name, coefficients(), threshold=0.99)
    assert found.coefficients is not None
    assert found.coefficients.shape == (0, CHANNELS)


@pytest.mark.parametrize('name', BUILDERS)
@pytest.mark.parametrize('columns', [CHANNELS - 1, CHANNELS + 1])
def test_another_number_than_the_card_says_is_refused(name: str, columns: int) -> None:
    mask = np.zeros((ROWS, columns), np.float32)
    with pytest.raises(FrameError, match=r"output '(predictions|boxes|scores)': ") as error:
        run(name, mask)
    # without the fifth column there is no score in the box either
    is_score_gone = name.endswith('score in the box') and columns < CHANNELS
    assert error.value.reason == ('missing_output' if is_score_gone else 'bad_output_shape')


@pytest.mark.parametrize('name', BUILDERS)
@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_one_that_is_not_finite_is_named_where_its_box_counts(name: str, bad: float) -> None:
    mask = coefficients()
    mask[0, 2] = bad
    assert len(run(name, mask)) == ROWS - FIRST
    mask[-1, 2] = bad
    with pytest.raises(FrameError, match='NaN or infinity in a mask coefficient') as error:
        run(name, mask)
    assert error.value.reason == 'non_finite_output'


@pytest.mark.parametrize('name', BUILDERS)
@pytest.mark.parametrize('count', [-1, 2.5])
def test_what_is_no_number_of_coefficients(name: str, count: Any) -> None:
    with pytest.raises(ConfigError, match=f'mask_channels: got {count}'):
        run(name, coefficients(), channels=count)


@pytest.mark.parametrize('name', ['end_to_end', 'end_to_end_pose', 'boxes_scores', 'boxes_scores_labels'])
def test_the_number_of_a_box_s_row(name: str) -> None:
    found = run(name, np.empty((ROWS, 0)), channels=None)
    assert found.rows is not None
    assert found.rows.tolist() == list(range(FIRST, ROWS))
    kept = nms(found, iou_threshold=0.5, max_detections=2)
    assert kept.rows.tolist() == [ROWS - 1, ROWS - 2]


def test_the_number_of_a_row_counts_those_that_fill_up_the_output() -> None:
    rows = table(corners(), SCORES, LABELS)
    rows[[8, 9], 5] = -1
    found = DECODERS['end_to_end'].decode({'predictions': rows}, input_wh=WH, class_count=CLASSES, score_threshold=0.5)
    assert found.rows.tolist() == [row for row in range(FIRST, ROWS) if row not in (8, 9)]


def test_the_number_of_a_query_s_and_of_a_selected_row() -> None:
    logits = np.where(class_scores() > 0, np.log(SCORES / (1 - SCORES))[:, None], -9).astype(np.float32)
    found = DECODERS['detr'].decode(
        {'logits': logits, 'boxes': corners() / 64}, input_wh=WH, class_count=CLASSES, score_threshold=0.5
    )
    assert found.rows.tolist() == list(range(FIRST, ROWS))
    outputs = {'boxes': table(corners(), coefficients()), 'scores': class_scores()}
    outputs['selected'] = np.array([[0, 1, 14], [0, 1, 8], [-1, -1, -1]])
    found = DECODERS['boxes_scores'].decode(
        outputs, input_wh=WH, class_count=CLASSES, score_threshold=0.5, mask_channels=CHANNELS
    )
    assert found.rows.tolist() == [14, 8]
    np.testing.assert_array_equal(found.coefficients, coefficients()[[14, 8]])


@pytest.mark.parametrize('name', sorted(name for name, decoder in DECODERS.items() if decoder.tells_rows))
def test_decoders_that_say_so_tell_the_row_of_nothing_too(name: str) -> None:
    outputs: Outputs = {
        'predictions': np.zeros((4, 6), np.float32),
        'boxes': np.zeros((4, 4), np.float32),
        'scores': np.zeros((4, 3) if name == 'boxes_scores' else 4, np.float32),
        'labels': np.zeros(4, np.int64),
        'logits': np.full((4, 3), -9, np.float32),
        'num_detections': np.array(4),
    }
    options: dict[str, Any] = {}
    if name == 'end_to_end_pose':
        options, outputs['predictions'] = KEYPOINTS, np.zeros((4, 12), np.float32)
    elif name == 'movenet_multipose':
        options, outputs['predictions'] = KEYPOINTS, np.zeros((4, 11), np.float32)
    wanted = {role: outputs[role] for role in (*DECODERS[name].roles, 'scores') if role in outputs}
    found = DECODERS[name].decode(wanted, input_wh=WH, class_count=CLASSES, score_threshold=0.5, **options)
    assert found.rows is not None
    assert found.rows.shape == (0,)
