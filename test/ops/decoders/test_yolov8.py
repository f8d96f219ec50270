# SPDX-License-Identifier: Apache-2.0
"""YOLOv8's channels, whichever axis they are on."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.decoders.yolov8 import decode


def one_box(channels: int, anchors: int, class_count: int) -> np.ndarray:
    """(channels, anchors): a box at anchor 2 with the last class, noise in the extra channels."""
    predictions = np.zeros((channels, anchors), np.float32)
    predictions[4 + class_count :] = 55.0
    predictions[:4, 2] = (100, 50, 20, 10)
    predictions[3 + class_count, 2] = 0.9
    return predictions


@pytest.mark.parametrize(
    ('channels', 'anchors', 'class_count', 'input_wh'),
    [
        (84, 8400, 80, (640, 640)),
        (116, 8400, 80, (640, 640)),  # with mask coefficients
        (56, 8400, 1, (640, 640)),  # with key points
        (5, 8400, 1, (640, 640)),
        (7, 5, 3, (96, 96)),  # fewer anchors than channels, exact channel count
        (116, 84, 80, (64, 64)),  # as many anchors as there are channels without the extras
        (37, 21, 1, (32, 32)),  # extras, fewer anchors than channels
        (84, 2100, 80, (512, 512)),  # other strides than usual
        (116, 2100, 80, (512, 512)),
        (84, 3000, 80, (1280, 416)),  # a wide input
    ],
)
@pytest.mark.parametrize('is_transposed', [False, True])
def test_finds_the_channels(
    channels: int, anchors: int, class_count: int, input_wh: tuple[int, int], is_transposed: bool
) -> None:
    predictions = one_box(channels, anchors, class_count)
    if is_transposed:
        predictions = np.ascontiguousarray(predictions.T)
    found = decode({'predictions': predictions}, input_wh=input_wh, class_count=class_count, score_threshold=0.5)
    assert found.boxes.tolist() == [[90, 45, 110, 55]]
    assert found.scores.tolist() == pytest.approx([0.9])
    assert found.class_ids.tolist() == [class_count - 1]


def test_a_square_is_read_channels_first() -> None:
    found = decode({'predictions': one_box(7, 7, 3)}, input_wh=(640, 640), class_count=3, score_threshold=0.5)
    assert found.boxes.tolist() == [[90, 45, 110, 55]]


def test_nothing() -> None:
    for shape in ((7, 0), (0, 7)):
        predictions = np.zeros(shape, np.float32)
        assert len(decode({'predictions': predictions}, input_wh=(64, 64), class_count=3, score_threshold=0.5)) == 0


@pytest.mark.parametrize(
    ('scores', 'threshold', 'found'),
    [
        ((0.5, 0.5, 0.5), 0.5, (0.5, 0)),  # a tie: the first class; equal to the threshold: kept
        ((0.1, 0.6, 0.5), 0.5, (0.6, 1)),
        ((0.1, 0.6, 0.5), np.array([0.5, 0.7, 0.4]), None),  # the best class decides, and is under its own
        ((0.1, 0.6, 0.5), np.array([0.9, 0.6, 0.9]), (0.6, 1)),
    ],
)
def test_best_class(scores: tuple[float, ...], threshold: float | np.ndarray, found: tuple[float, int] | None) -> None:
    predictions = np.zeros((7, 9), np.float32)
    predictions[4:, 3] = scores
    result = decode({'predictions': predictions}, input_wh=(64, 64), class_count=3, score_threshold=threshold)
    assert result.scores.tolist() == pytest.approx([] if found is None else [found[0]])
    assert result.class_ids.tolist() == ([] if found is None else [found[1]])


@pytest.mark.parametrize(
    ('shape', 'class_count'),
    [((84, 8400), 90), ((8400, 84), 90), ((6, 6), 3), ((5, 100), 2), ((84,), 80)],
)
def test_wrong_shapes(shape: tuple[int, ...], class_count: int) -> None:
    with pytest.raises(FrameError, match="'predictions': got .*expected") as caught:
        decode(
            {'predictions': np.zeros(shape, np.float32)},
            input_wh=(640, 640),
            class_count=class_count,
            score_threshold=0.5,
        )
    assert caught.value.reason == 'bad_output_shape'
