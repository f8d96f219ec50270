# SPDX-License-Identifier: Apache-2.0
"""Outputs that say how many of their rows count."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.decoders.efficient_nms import decode

OPTIONS = {'input_wh': (200, 100), 'class_count': 3, 'score_threshold': 0.5}


def outputs(count: np.ndarray) -> dict[str, np.ndarray]:
    """Three good rows and one of rubbish."""
    return {
        'num_detections': count,
        'boxes': np.array([[1, 2, 3, 4]] * 3 + [[np.nan] * 4], np.float32),
        'scores': np.array([0.9, 0.4, 0.8, np.nan], np.float32),
        'labels': np.array([0, 1, 2, 77], np.int32),
    }


@pytest.mark.parametrize('dtype', [np.int32, np.int64, np.float32])
@pytest.mark.parametrize('shape', [(), (1,), (1, 1)])
@pytest.mark.parametrize(('count', 'class_ids'), [(0, []), (1, [0]), (2, [0]), (3, [0, 2])])
def test_rows_that_count(dtype: type, shape: tuple[int, ...], count: int, class_ids: list[int]) -> None:
    found = decode(outputs(np.full(shape, count, dtype)), **OPTIONS)
    assert found.class_ids.tolist() == class_ids


def test_normalized_boxes() -> None:
    found = decode(outputs(np.array(1)), **OPTIONS, normalized=True)
    assert found.boxes.tolist() == [[200, 200, 600, 400]]


@pytest.mark.parametrize('count', [-1, 5, 1.5, np.nan, np.inf])
def test_count_out_of_range(count: float) -> None:
    with pytest.raises(FrameError, match='got .*expected a whole number in 0..4') as caught:
        decode(outputs(np.array([count])), **OPTIONS)
    assert caught.value.reason == 'bad_num_detections'


def test_rows_that_count_are_checked() -> None:
    with pytest.raises(FrameError, match='got NaN'):
        decode(outputs(np.array([4])), **OPTIONS)


@pytest.mark.parametrize('shape', [(2,), (2, 1), (0,)])
def test_wrong_shape_of_the_count(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match=r"'num_detections': got .*expected one number"):
        decode(outputs(np.zeros(shape, np.int32)), **OPTIONS)


def test_labels_from_one_and_another_box_format() -> None:
    found = decode(outputs(np.array(3)), **OPTIONS, first_label=1, box_format='xywh')
    assert found.class_ids.tolist() == [1] and found.boxes.tolist() == [[1, 2, 4, 6]]
