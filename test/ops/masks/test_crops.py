# SPDX-License-Identifier: Apache-2.0
"""Masks that are stretched over their boxes against their definition; and what cannot be such masks."""

from __future__ import annotations

import numpy as np
import pytest
from support.masks.reference import crop_reference

from isaac_inference.errors import FrameError
from isaac_inference.ops.masks.crops import pasted_masks

WH = (60, 40)


@pytest.mark.parametrize('size', [(28, 28), (14, 7), (1, 1)])
@pytest.mark.parametrize('axes', [3, 4])
def test_masks_are_those_of_the_definition(size: tuple[int, int], axes: int) -> None:
    rng = np.random.default_rng(5)
    low = rng.uniform(-0.4, 0.9, (9, 2)) * WH
    boxes = np.concatenate((low, low + rng.uniform(0.02, 0.9, (9, 2)) * WH), axis=1).astype(np.float32)
    crops = rng.uniform(0.2, 1.0, (9, *size)).astype(np.float32)
    masks = pasted_masks(crops if axes == 3 else crops[:, None], boxes, WH)
    for index, box in enumerate(boxes.astype(np.float64)):
        expected = crop_reference(crops[index].astype(np.float64), box, WH)
        clear = np.abs(expected - 0.5) > 1e-5
        np.testing.assert_array_equal(masks.full(index)[clear], (expected > 0.5)[clear])


def test_logits_are_made_probabilities_before_they_are_interpolated() -> None:
    rng = np.random.default_rng(6)
    logits = rng.normal(size=(2, 1, 28, 28)).astype(np.float32) * 300  # some overflow an exponential
    boxes = np.array([[3, 2, 50, 38], [-20, 5, 30, 90]], np.float32)
    with np.errstate(over='ignore'):
        expected = pasted_masks(1 / (1 + np.exp(-logits)), boxes, WH)
    found = pasted_masks(logits, boxes, WH, activated=False)
    assert all(map(np.array_equal, found.crops, expected.crops))
    assert found.areas.min() > 100


@pytest.mark.parametrize('box', [(5, 5, 5, 9), (9, 9, 4, 4), (70, 1, 90, 5), (np.nan, 0, 9, 9), (-np.inf, 0, 9, 9)])
def test_a_box_over_no_pixel_has_an_empty_mask(box: tuple[float, ...]) -> None:
    masks = pasted_masks(np.ones((1, 28, 28), np.float32), np.array([box], np.float32), WH)
    assert masks.areas.tolist() == [0]


BOXES = np.array([[0, 0, 9, 9], [9, 9, 20, 20]], np.float32)


@pytest.mark.parametrize(
    ('crops', 'reason', 'says'),
    [
        (np.ones((3, 1, 28, 28), np.float32), 'bad_output_shape', 'got 3 masks for 2 boxes'),
        (np.ones((2, 5, 28, 28), np.float32), 'bad_output_shape', r'got \(2, 5, 28, 28\), expected \(N, 1, s, s\)'),
        (np.ones((2, 28), np.float32), 'bad_output_shape', r'got \(2, 28\)'),
        (np.ones((2, 1, 28, 28), np.uint8), 'bad_output_type', 'got uint8'),
        (np.full((2, 1, 28, 28), np.nan, np.float32), 'non_finite_output', "'masks': got NaN or infinity"),
    ],
)
def test_what_cannot_be_masks(crops: np.ndarray, reason: str, says: str) -> None:
    with pytest.raises(FrameError, match=says) as error:
        pasted_masks(crops, BOXES, WH)
    assert error.value.reason == reason
