# SPDX-License-Identifier: Apache-2.0
"""Finished boxes, one a row."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
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


def test_rows_without_a_class_fill_up_the_output() -> None:
    rows = np.array([[*BOX, 0.9, 1], [*BOX, 0.9, -1]], np.float32)
    assert decode({'predictions': rows}, **OPTIONS).class_ids.tolist() == [1]


@pytest.mark.parametrize('class_id', [-2, 3, 1.5, np.nan, np.inf])
def test_bad_class_ids(class_id: float) -> None:
    rows = np.array([[*BOX, 0.9, 1], [*BOX, 0.9, class_id]], np.float32)
    with pytest.raises(FrameError, match=f'got class {np.float32(class_id)!s}.*0..2') as caught:
        decode({'predictions': rows}, **OPTIONS)
    assert caught.value.reason == 'bad_class_id'


@pytest.mark.parametrize('shape', [(300, 7), (6, 300), (6,)])
def test_wrong_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match=r"'predictions': got .*expected \(N, 6\)"):
        decode({'predictions': np.zeros(shape, np.float32)}, **OPTIONS)


@pytest.mark.parametrize(
    ('columns', 'row'),
    [
        ('x1 y1 x2 y2 score class', [10, 20, 30, 40, 0.75, 2]),
        ('class score x1 y1 x2 y2', [2, 0.75, 10, 20, 30, 40]),  # Paddle
        ('image class score x1 y1 x2 y2', [0, 2, 0.75, 10, 20, 30, 40]),  # OpenVINO, Caffe
        ('image x1 y1 x2 y2 class score', [0, 10, 20, 30, 40, 2, 0.75]),  # YOLOv7 end2end
        ('y1 x1 y2 x2 score class', [20, 10, 40, 30, 0.75, 2]),
        ('cx cy w h score class', [20, 30, 20, 20, 0.75, 2]),
        ('cx cy w h score class angle', [20, 30, 20, 20, 0.75, 2, 0.5]),
    ],
)
def test_columns_in_any_order(columns: str, row: list) -> None:
    found = decode({'predictions': np.array([row], np.float32)}, **OPTIONS, columns=columns.split())
    assert (found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()) == ([BOX], [0.75], [2])
    assert (None if found.angles is None else found.angles.tolist()) == ([0.5] if 'angle' in columns else None)


def test_fractions_of_the_input() -> None:
    options = {**OPTIONS, 'input_wh': (64, 32), 'normalized': True}
    found = decode({'predictions': np.array([[0.25, 0.5, 0.75, 1, 0.75, 2]], np.float32)}, **options)
    assert found.boxes.tolist() == [[16, 16, 48, 32]]


def test_rows_of_other_images_and_filling_are_ignored() -> None:
    rows = [[0, 1, 0.75, *BOX], [1, 1, 0.9, *BOX], [-1, 0, 0.9, *BOX], [0, -1, 0.9, *BOX], [-1] * 7]
    columns = ['image', 'class', 'score', 'x1', 'y1', 'x2', 'y2']
    found = decode({'predictions': np.array(rows, np.float32)}, **OPTIONS, columns=columns)
    assert (found.scores.tolist(), found.class_ids.tolist(), found.best_score) == ([0.75], [1], 0.75)


def test_classes_from_one() -> None:
    rows = np.array([[*BOX, 0.9, 0], [*BOX, 0.8, 1], [*BOX, 0.7, 3]], np.float32)
    found = decode({'predictions': rows}, **OPTIONS, first_label=1)
    assert found.class_ids.tolist() == [0, 2] and found.scores.tolist() == pytest.approx([0.8, 0.7])
    with pytest.raises(FrameError, match='got class 3'):
        decode({'predictions': rows}, **OPTIONS)


@pytest.mark.parametrize('count', [np.array(1), np.array([1], np.int32), np.array([[1.0]], np.float32)])
def test_only_as_many_rows_as_the_model_says(count: np.ndarray) -> None:
    rows = np.array([[*BOX, 0.9, 0], [np.nan] * 6], np.float32)
    assert len(decode({'predictions': rows, 'num_detections': count}, **OPTIONS)) == 1


def test_one_class_needs_no_column() -> None:
    options = {**OPTIONS, 'class_count': 1, 'columns': ['x1', 'y1', 'x2', 'y2', 'score']}
    assert decode({'predictions': np.array([[*BOX, 0.9]], np.float32)}, **options).class_ids.tolist() == [0]


@pytest.mark.parametrize(
    'columns',
    [
        'x1 y1 x2 y2 score',  # three classes
        'x1 y1 x2 y2 class',
        'x1 y1 x2 score class',
        'x1 y1 w h score class',
        'x1 y1 x2 y2 score class class',
        'x1 y1 x2 y2 score label',
        '',
    ],
)
def test_columns_that_are_no_box(columns: str) -> None:
    with pytest.raises(ConfigError, match='columns: got '):
        decode({'predictions': np.zeros((1, 6), np.float32)}, **OPTIONS, columns=columns.split())


def test_the_number_of_columns_is_the_model_s() -> None:
    with pytest.raises(FrameError, match=r"'predictions': got \(1, 6\), expected \(N, 7\)"):
        decode(
            {'predictions': np.zeros((1, 6), np.float32)},
            **OPTIONS,
            columns=['image', 'class', 'score', 'x1', 'y1', 'x2', 'y2'],
        )
