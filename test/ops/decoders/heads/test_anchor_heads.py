# SPDX-License-Identifier: Apache-2.0
"""Raw heads with anchors, in every order of their axes."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.decoders.heads.anchor_heads import decode

ANCHORS = [[(4, 2), (8, 6), (2, 2)], [(16, 20), (30, 10), (10, 10)]]
OPTIONS = {'input_wh': (40, 16), 'class_count': 2, 'score_threshold': 0.5, 'anchors': ANCHORS}
GRIDS = {8: (2, 5), 16: (1, 3)}
QUARTER = float(-np.log(3.0))  # a logit whose sigmoid is 0.25


def maps(value: float = -99.0) -> dict[str, np.ndarray]:
    """(A, H, W, 7) of both levels; no anchor is an object."""
    outputs = {f'predictions_{stride}': np.zeros((3, *grid, 7), np.float32) for stride, grid in GRIDS.items()}
    for array in outputs.values():
        array[..., 4:] = value
    return outputs


def ordered(array: np.ndarray, order: str) -> np.ndarray:
    anchors, height, width, columns = array.shape
    return {
        'AHWC': array,
        'HWAC': np.moveaxis(array, 0, 2),
        'ACHW': np.moveaxis(array, 3, 1).reshape(anchors * columns, height, width),
        'HWAC flat': np.moveaxis(array, 0, 2).reshape(height, width, anchors * columns),
    }[order].copy()


@pytest.mark.parametrize('order', ['AHWC', 'HWAC', 'ACHW', 'HWAC flat'])
@pytest.mark.parametrize(
    ('formula', 'expected'),
    [
        # row 1, column 3 of stride 8, anchor (8, 6): centre (28, 12 - 2) px, size 1 and 3 anchors
        ('v3', [28 - 4, 10 - 9, 28 + 4, 10 + 9]),
        # the same outputs: y is 2 * 0.25 - 0.5 + 1 cells; size (2 * 0.5)^2 and (2 * s(log 3))^2 anchors
        ('v5', [28 - 4, 8 - 6.75, 28 + 4, 8 + 6.75]),
    ],
)
def test_both_formulas(order: str, formula: str, expected: list[float]) -> None:
    outputs = maps()
    outputs['predictions_8'][1, 1, 3] = 0, QUARTER, 0, np.log(3), 99, -99, np.log(3)
    found = decode({role: ordered(a, order) for role, a in outputs.items()}, **OPTIONS, formula=formula)
    np.testing.assert_allclose(found.boxes, [expected], rtol=1e-6)
    assert (found.scores.tolist(), found.class_ids.tolist()) == ([pytest.approx(0.75)], [1])
    assert found.best_score == pytest.approx(0.75)


@pytest.mark.parametrize(
    ('formula', 'size', 'expected'), [('v3', 0, [16, -2, 32, 18]), ('v5', 0.25, [22, 5.5, 26, 10.5])]
)
def test_the_sigmoid_may_be_in_the_model(formula: str, size: float, expected: list[float]) -> None:
    outputs = maps(0.0)
    outputs['predictions_16'][0, 0, 1] = 0.5, 0.5, size, size, 1, 0.75, 0.5  # centre (24, 8), anchor (16, 20)
    found = decode(outputs, **OPTIONS, formula=formula, activated=True)
    assert found.boxes.tolist() == [expected] and found.scores.tolist() == [0.75]


def test_objectness_times_class_score() -> None:
    outputs = maps(0.0)
    outputs['predictions_8'][0, 0, 0, 4:] = 0.75, 0.5, 0.25  # 0.375: under the threshold
    found = decode(outputs, **OPTIONS, activated=True)
    assert (len(found), found.best_score) == (0, 0.375)


@pytest.mark.parametrize('column', [0, 2, 4, 6])
def test_an_infinite_logit_is_noticed(column: int) -> None:
    outputs = maps()
    outputs['predictions_8'][0, 0, 0] = 0, 0, 0, 0, 9, -9, 9
    outputs['predictions_8'][0, 0, 0, column] = np.inf
    with pytest.raises(FrameError, match='got NaN or infinity'):
        decode(outputs, **OPTIONS)


@pytest.mark.parametrize('shape', [(20, 2, 5), (3, 2, 5, 6), (3, 5, 2, 7), (10, 21)])
def test_wrong_shapes(shape: tuple[int, ...]) -> None:
    outputs = {**maps(), 'predictions_8': np.zeros(shape, np.float32)}
    with pytest.raises(FrameError, match=r"'predictions_8': got .*expected \(21, 2, 5\), \(2, 5, 21\), \(3, 2, 5, 7\)"):
        decode(outputs, **OPTIONS)


@pytest.mark.parametrize(
    'anchors', [[], ANCHORS[:1], [[(4, 2)], [4, 2]], [[(4, 2)], [(0, 2)]], [[(4, 2)], 'x'], [[], []]]
)
def test_anchors_that_are_no_sizes(anchors: list) -> None:
    with pytest.raises(ConfigError, match=r'anchors: got .*for each of the strides \[8, 16\]'):
        decode(maps(), **{**OPTIONS, 'anchors': anchors})


def test_unknown_formula() -> None:
    with pytest.raises(ConfigError, match="formula: got 'v9', expected one of v3, v5"):
        decode(maps(), **OPTIONS, formula='v9')
