# SPDX-License-Identifier: Apache-2.0
"""Box formats and class scores."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ops.boxes.formats import BoxFormat, best_scores, class_scores, to_corners, without_background

CORNERS = [[10.0, 20.0, 14.0, 26.0]]
WRITTEN = {
    'xyxy': [10, 20, 14, 26],
    'cxcywh': [12, 23, 4, 6],
    'xywh': [10, 20, 4, 6],
    'yxyx': [20, 10, 26, 14],
}


def test_every_format_is_tested_here() -> None:
    assert set(WRITTEN) == {str(kind) for kind in BoxFormat}


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('box_format', WRITTEN)
def test_one_box_in_every_format(box_format: str, dtype: type) -> None:
    boxes = np.array([WRITTEN[box_format]], dtype)
    corners = to_corners(boxes, box_format)
    assert corners.tolist() == CORNERS and corners.dtype == dtype


@pytest.mark.parametrize('box_format', WRITTEN)
def test_fractions_of_the_input(box_format: str) -> None:
    x_y = [64, 32, 64, 32] if box_format != 'yxyx' else [32, 64, 32, 64]
    fractions = np.array([WRITTEN[box_format]], np.float64) / x_y
    np.testing.assert_allclose(to_corners(fractions, box_format, (64, 32)), CORNERS)


@pytest.mark.parametrize('box_format', WRITTEN)
def test_no_box_at_all(box_format: str) -> None:
    assert to_corners(np.empty((0, 4), np.float32), box_format, (64, 32)).shape == (0, 4)


def test_an_unknown_format() -> None:
    with pytest.raises(ConfigError, match="box_format: got 'xxyy', expected one of xyxy, cxcywh, xywh, yxyx"):
        to_corners(np.zeros((1, 4)), 'xxyy')


E = np.e


@pytest.mark.parametrize(
    ('activation', 'background', 'scores', 'expected'),
    [
        ('none', 'none', [0.25, 0.5], [0.25, 0.5]),
        ('none', 'first', [0.9, 0.25, 0.5], [0.25, 0.5]),
        ('none', 'last', [0.25, 0.5, 0.9], [0.25, 0.5]),
        ('sigmoid', 'none', [0.0, np.log(3.0)], [0.5, 0.75]),
        ('sigmoid', 'first', [9.0, 0.0, np.log(3.0)], [0.5, 0.75]),
        ('softmax', 'none', [1.0, 0.0], [E / (E + 1), 1 / (E + 1)]),
        ('softmax', 'last', [1.0, 0.0, 2.0], [E / (E + 1 + E * E), 1 / (E + 1 + E * E)]),
        ('softmax', 'first', [1000.0, 0.0, -1000.0], [0.0, 0.0]),  # no overflow
    ],
)
def test_class_scores(activation: str, background: str, scores: list, expected: list) -> None:
    table = np.array([scores])
    np.testing.assert_allclose(class_scores(table, activation, background), [expected], atol=1e-12)
    np.testing.assert_allclose(best_scores(table, activation, background), [max(expected)], atol=1e-12)
    np.testing.assert_allclose(best_scores(table.T, activation, background, axis=0), [max(expected)], atol=1e-12)


def test_the_background_is_dropped_along_any_axis() -> None:
    assert without_background(np.arange(6).reshape(2, 3), 'first', axis=0).tolist() == [[3, 4, 5]]


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        ({'activation': 'relu'}, "activation: got 'relu', expected one of none, sigmoid, softmax"),
        ({'background': 'middle'}, "background: got 'middle', expected one of none, first, last"),
    ],
)
def test_unknown_choices(options: dict, says: str) -> None:
    for function in (class_scores, best_scores):
        with pytest.raises(ConfigError, match=says):
            function(np.zeros((1, 2)), **options)
