# SPDX-License-Identifier: Apache-2.0
"""YOLOX's grid."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.decoders.yolox import decode

OPTIONS = {'input_wh': (64, 32), 'class_count': 2, 'score_threshold': 0.3}
CELLS = [(stride, x, y) for stride in (8, 16, 32) for y in range(32 // stride) for x in range(64 // stride)]


def blank() -> np.ndarray:
    return np.zeros((len(CELLS), 7), np.float32)


def test_every_cell_against_the_formula() -> None:
    predictions = np.random.default_rng(0).uniform(0, 1, (len(CELLS), 7)).astype(np.float32)
    predictions[:, 4] = 1.0
    found = decode({'predictions': predictions}, **{**OPTIONS, 'score_threshold': 0.0})
    assert len(found) == len(CELLS)
    for (stride, x, y), row, box in zip(CELLS, predictions, found.boxes, strict=True):
        center = (row[0] + x) * stride, (row[1] + y) * stride
        half = math.exp(row[2]) * stride / 2, math.exp(row[3]) * stride / 2
        expected = [center[0] - half[0], center[1] - half[1], center[0] + half[0], center[1] + half[1]]
        assert box == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ('objectness', 'classes', 'score', 'class_id'),
    [
        (0.5, (0.8, 0.1), 0.4, 0),
        (0.5, (0.1, 0.8), 0.4, 1),
        (0.9, (0.5, 0.5), 0.45, 0),  # a tie: the first class
        (0.5, (0.5, 0.5), None, 0),  # 0.25 is under the threshold, though both factors are over it
        (0.29, (1.0, 1.0), None, 0),
    ],
)
def test_score_is_the_product(
    objectness: float, classes: tuple[float, float], score: float | None, class_id: int
) -> None:
    predictions = blank()
    predictions[5, 4:] = (objectness, *classes)
    found = decode({'predictions': predictions}, **OPTIONS)
    assert found.scores.tolist() == pytest.approx([] if score is None else [score])
    assert found.class_ids.tolist() == ([] if score is None else [class_id])


def test_own_strides() -> None:
    predictions = np.zeros((2 * 1, 7), np.float32)
    predictions[1, 4:6] = 1.0
    found = decode({'predictions': predictions}, **OPTIONS, strides=(32,))
    assert found.boxes.tolist() == [[16.0, -16.0, 48.0, 16.0]]  # cell (1, 0), as large as the stride


@pytest.mark.parametrize('shape', [(41, 7), (43, 7), (42, 6), (42, 8), (0, 7), (7, 42)])
def test_wrong_shapes(shape: tuple[int, int]) -> None:
    with pytest.raises(FrameError, match=r"'predictions': got .*expected \((42|N), 7\)") as caught:
        decode({'predictions': np.zeros(shape, np.float32)}, **OPTIONS)
    assert caught.value.reason == 'bad_output_shape'


@pytest.mark.parametrize('strides', [(), (0,), (8, -16), (8.5,)])
def test_wrong_strides(strides: tuple) -> None:
    with pytest.raises(ConfigError, match='strides: got'):
        decode({'predictions': blank()}, **OPTIONS, strides=strides)


def test_a_size_beyond_all_numbers_is_noticed() -> None:
    predictions = blank()
    predictions[0, 2], predictions[0, 4:] = 1000.0, 1.0
    with pytest.raises(FrameError, match=r'size of exp\(1000\) cells.*decode its boxes itself.* yolov5'):
        decode({'predictions': predictions}, **OPTIONS)
    predictions[0, 2] = np.nan
    with pytest.raises(FrameError, match='NaN or infinity in a box or score.*check the precision'):
        decode({'predictions': predictions}, **OPTIONS)
