# SPDX-License-Identifier: Apache-2.0
"""NanoDet-Plus' distances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.decoders.nanodet import decode

STRIDES = (8, 16, 32, 64)
OPTIONS = {'input_wh': (96, 64), 'class_count': 2, 'score_threshold': 0.3}
# 96 isn't a multiple of 64: the coarsest level has a second column all the same
CELLS = [
    (stride, x, y) for stride in STRIDES for y in range(math.ceil(64 / stride)) for x in range(math.ceil(96 / stride))
]
BINS = 8


def distance(logits: np.ndarray, stride: int) -> float:
    weights = [math.exp(value) for value in logits.tolist()]
    return stride * sum(i * weight for i, weight in enumerate(weights)) / sum(weights)


def test_every_cell_against_the_formula() -> None:
    rng = np.random.default_rng(0)
    predictions = rng.normal(0, 2, (len(CELLS), 2 + 4 * BINS)).astype(np.float32)
    predictions[:, :2] = rng.uniform(0.4, 0.9, (len(CELLS), 2))
    found = decode({'predictions': predictions}, **OPTIONS)
    assert len(found) == len(CELLS)
    for (stride, x, y), row, box, score, class_id in zip(
        CELLS, predictions, found.boxes, found.scores, found.class_ids, strict=True
    ):
        left, top, right, bottom = (distance(row[2 + side * BINS :][:BINS], stride) for side in range(4))
        expected = [x * stride - left, y * stride - top, x * stride + right, y * stride + bottom]
        assert box == pytest.approx(expected, abs=1e-3)
        assert score == row[:2].max()
        assert class_id == row[:2].argmax()


@pytest.mark.parametrize('bins', [1, 8, 17])
def test_any_reg_max(bins: int) -> None:
    predictions = np.zeros((len(CELLS), 2 + 4 * bins), np.float32)
    predictions[0, 1] = 0.9
    found = decode({'predictions': predictions}, **OPTIONS)
    half = 8 * (bins - 1) / 2  # all bins alike
    assert found.boxes.tolist() == [[-half, -half, half, half]]
    assert found.class_ids.tolist() == [1]


def test_large_logits_do_not_overflow() -> None:
    predictions = np.zeros((len(CELLS), 2 + 4 * BINS), np.float32)
    predictions[1, 0] = 0.9
    predictions[1, 2:].reshape(4, BINS)[:, 3] = 5000.0
    found = decode({'predictions': predictions}, **OPTIONS)
    assert found.boxes.tolist() == [[8 - 24, -24, 8 + 24, 24]]


@pytest.mark.parametrize(
    'shape',
    [
        (len(CELLS) - 1, 2 + 4 * BINS),
        (len(CELLS), 2 + 4 * BINS + 1),  # not four equal parts
        (len(CELLS), 2),  # no distances
        (len(CELLS), 1),
    ],
)
def test_wrong_shapes(shape: tuple[int, int]) -> None:
    with pytest.raises(FrameError, match=rf'expected \({len(CELLS)}, 2 \+ 4 \* \(reg_max \+ 1\)\)') as caught:
        decode({'predictions': np.zeros(shape, np.float32)}, **OPTIONS)
    assert caught.value.reason == 'bad_output_shape'


def test_a_cell_s_point_may_be_its_centre() -> None:
    predictions = np.zeros((len(CELLS), 2 + 4 * 2), np.float32)
    predictions[len(CELLS) - 1, 0] = 0.75  # stride 64, column 1, row 0; half a stride to each side
    found = decode({'predictions': predictions}, **OPTIONS, cell_offset=0.5)
    assert found.boxes.tolist() == [[64, 0, 128, 64]]
