# SPDX-License-Identifier: Apache-2.0
"""Raw heads without anchors, in every order of their axes."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.decoders.heads.anchor_free_heads import decode

OPTIONS = {'input_wh': (40, 16), 'class_count': 2, 'score_threshold': 0.5}
GRIDS = {8: (2, 5), 16: (1, 3)}  # rows and columns by stride; 40 is no multiple of 16


def maps(sides: int) -> dict[str, np.ndarray]:
    """(H, W, C) of both levels: class 1 in row 1, column 3 of stride 8; class 0 in column 2 of stride 16."""
    outputs = {f'scores_{stride}': np.zeros((*grid, 2), np.float32) for stride, grid in GRIDS.items()}
    outputs |= {f'boxes_{stride}': np.zeros((*grid, sides), np.float32) for stride, grid in GRIDS.items()}
    outputs['scores_8'][1, 3, 1] = 0.75
    outputs['scores_16'][0, 2, 0] = 0.625
    return outputs


def ordered(array: np.ndarray, order: str) -> np.ndarray:
    channels = array.shape[-1]
    return {
        'NC': array.reshape(-1, channels),
        'CN': array.reshape(-1, channels).T,
        'CHW': np.moveaxis(array, -1, 0),
        'HWC': array,
    }[order].copy()


@pytest.mark.parametrize('order', ['NC', 'CN', 'CHW', 'HWC'])
def test_distances_in_strides(order: str) -> None:
    outputs = maps(4)
    outputs['boxes_8'][1, 3] = 0.5, 1, 1.5, 2
    outputs['boxes_16'][0, 2] = 0.5, 0.5, 0.25, 0.25
    found = decode({role: ordered(array, order) for role, array in outputs.items()}, **OPTIONS)
    # the cells' centres are (28, 12) and (40, 8)
    assert found.boxes.tolist() == [[24, 4, 40, 28], [32, 0, 44, 12]]
    assert (found.scores.tolist(), found.class_ids.tolist(), found.best_score) == ([0.75, 0.625], [1, 0], 0.75)


def test_distances_in_pixels_from_the_corner() -> None:
    outputs = maps(4)
    outputs['boxes_8'][1, 3] = 1, 2, 3, 4
    outputs['boxes_16'][0, 2] = 5, 6, 7, 8
    found = decode(outputs, **OPTIONS, distances='px', cell_offset=0)
    assert found.boxes.tolist() == [[23, 6, 27, 12], [27, -6, 39, 8]]


def test_distributions() -> None:
    outputs = maps(4 * 3)
    outputs['boxes_8'][1, 3].reshape(4, 3)[:] = [[0, 0, 0], [99, 0, 0], [0, 99, 0], [0, 0, 99]]  # 1, 0, 1, 2 strides
    outputs['scores_16'][:] = 0  # a level without candidates
    found = decode(outputs, **OPTIONS)
    np.testing.assert_allclose(found.boxes, [[20, 12, 36, 28]], atol=1e-5)


def test_objectness_and_sigmoid() -> None:
    outputs = {role: array if 'boxes' in role else np.full_like(array, -99) for role, array in maps(4).items()}
    outputs['scores_8'][1, 3, 1] = np.log(3)  # 0.75
    outputs |= {f'objectness_{stride}': np.zeros((*grid, 1), np.float32) for stride, grid in GRIDS.items()}  # 0.5
    found = decode(outputs, **{**OPTIONS, 'score_threshold': 0.3}, activation='sigmoid')
    assert found.scores.tolist() == pytest.approx([0.375])


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        ({'boxes_16': None}, "output 'boxes_16': missing"),
        ({'scores_16': None}, "output 'scores_16': missing"),
        ({'scores_8': np.zeros((9, 2), np.float32)}, r"'scores_8': got \(9, 2\), expected \(10, 2\), \(2, 10\), "),
        ({'boxes_8': np.zeros((10, 6), np.float32)}, r"'boxes_8': got \(10, 6\), expected \(10, 4\) or"),
        ({'scores_8': np.zeros((10, 3), np.float32)}, r"'scores_8': got \(10, 3\)"),
        ({'objectness_8': np.zeros((10, 2), np.float32)}, r"'objectness_8': got \(10, 2\)"),
    ],
)
def test_wrong_outputs(change: dict, says: str) -> None:
    outputs = {role: array for role, array in {**maps(4), **change}.items() if array is not None}
    with pytest.raises(FrameError, match=says):
        decode(outputs, **OPTIONS)


def test_no_level_at_all() -> None:
    with pytest.raises(FrameError, match="output 'scores_8': missing, got scores; .*scores_<stride> and boxes_<str"):
        decode({'scores': np.zeros(1)}, **OPTIONS)


def test_unknown_distances() -> None:
    with pytest.raises(ConfigError, match="distances: got 'cells', expected one of strides, px"):
        decode(maps(4), **OPTIONS, distances='cells')
