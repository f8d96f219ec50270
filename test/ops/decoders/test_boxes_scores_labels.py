# SPDX-License-Identifier: Apache-2.0
"""Finished boxes as three tensors."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.decoders.boxes_scores_labels import decode

OPTIONS = {'input_wh': (200, 100), 'class_count': 3, 'score_threshold': 0.5}


def outputs(scores: list, labels: list, dtype: type = np.int64, box: tuple = (1, 2, 3, 4)) -> dict[str, np.ndarray]:
    return {
        'boxes': np.tile(np.array(box, np.float32), (len(scores), 1)).reshape(-1, 4),
        'scores': np.array(scores, np.float32),
        'labels': np.array(labels, dtype),
    }


@pytest.mark.parametrize(
    ('scores', 'labels', 'kept'),
    [
        ([], [], []),
        ([0.9], [2], [0]),
        ([0.5, 0.49], [0, 0], [0]),  # both sides of the threshold
        ([0.1, 0.9, 0.0], [99, 1, -1], [1]),  # what is under the threshold may have any label
        ([0.6, 0.6], [1, 1], [0, 1]),
    ],
)
@pytest.mark.parametrize('dtype', [np.int64, np.int32, np.float32])
def test_table(scores: list, labels: list, kept: list, dtype: type) -> None:
    found = decode(outputs(scores, labels, dtype), **OPTIONS)
    assert found.class_ids.tolist() == [labels[i] for i in kept]
    assert found.scores.tolist() == pytest.approx([scores[i] for i in kept])
    assert found.boxes.tolist() == [[1, 2, 3, 4]] * len(kept)


def test_normalized_boxes() -> None:
    found = decode(outputs([0.9], [0], box=(0.25, 0.5, 0.5, 1.0)), **OPTIONS, normalized=True)
    assert found.boxes.tolist() == [[50, 50, 100, 100]]


@pytest.mark.parametrize(('label', 'dtype'), [(3, np.int64), (-1, np.int64), (0.5, np.float32), (np.nan, np.float32)])
def test_bad_class_ids(label: float, dtype: type) -> None:
    with pytest.raises(FrameError, match="'labels': got class .*0..2") as caught:
        decode(outputs([0.9], [label], dtype), **OPTIONS)
    assert caught.value.reason == 'bad_class_id'


@pytest.mark.parametrize(
    ('change', 'error'),
    [
        ({'boxes': np.zeros((2, 5), np.float32)}, r"'boxes': got \(2, 5\), expected \(N, 4\)"),
        ({'scores': np.zeros(3, np.float32)}, r"'scores': got \(3,\), expected \(2\)"),
        ({'scores': np.zeros((2, 2), np.float32)}, r"'scores': got \(2, 2\), expected \(2\)"),
        ({'labels': np.zeros(1, np.int64)}, r"'labels': got \(1,\), expected \(2\)"),
    ],
)
def test_wrong_shapes(change: dict, error: str) -> None:
    with pytest.raises(FrameError, match=error) as caught:
        decode({**outputs([0.9, 0.9], [0, 0]), **change}, **OPTIONS)
    assert caught.value.reason == 'bad_output_shape'


def test_labels_of_a_wrong_type() -> None:
    with pytest.raises(FrameError, match="'labels': got bool, expected integers"):
        decode(outputs([0.9], [True], np.bool_), **OPTIONS)


@pytest.mark.parametrize('dtype', [np.int64, np.float32])
def test_labels_from_one(dtype: type) -> None:
    found = decode(outputs([0.9, 0.8, 0.7], [1, 0, 3], dtype), **OPTIONS, first_label=1)
    assert found.class_ids.tolist() == [0, 2]
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])  # 0 is no object


@pytest.mark.parametrize('label', [-1, 4])
def test_bad_labels_from_one(label: int) -> None:
    with pytest.raises(FrameError, match=f"'labels': got class {label}"):
        decode(outputs([0.9], [label]), **OPTIONS, first_label=1)


@pytest.mark.parametrize('first', [-1, 0.5])
def test_bad_first_label(first: float) -> None:
    with pytest.raises(ConfigError, match='first_label: got '):
        decode(outputs([0.9], [1]), **OPTIONS, first_label=first)


def test_scores_in_the_fifth_column() -> None:
    boxes = np.array([[1, 2, 3, 4, 0.75], [1, 2, 3, 4, 0.25]], np.float32)
    found = decode({'boxes': boxes, 'labels': np.array([2, 0])}, **OPTIONS)
    assert (found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()) == ([[1, 2, 3, 4]], [0.75], [2])


def test_no_scores_anywhere() -> None:
    given = {**outputs([0.9], [0])}
    del given['scores']
    with pytest.raises(FrameError, match="output 'scores': missing") as caught:
        decode(given, **OPTIONS)
    assert caught.value.reason == 'missing_output'
