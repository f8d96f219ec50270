# SPDX-License-Identifier: Apache-2.0
"""Raw heads of anchor-based detectors (YOLOv3, v4, v5, v7): one map for each level, several anchors in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import corners_from_centers, sigmoid
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    check_thresholds,
    collect,
    find_candidates,
    highest,
    non_finite,
    take_floats,
)
from isaac_inference.ops.decoders.heads.levels import grid_shape, join, level_strides

_FORMULAS = ('v3', 'v5')


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    anchors: Sequence[Sequence[Sequence[float]]],
    formula: str = 'v5',
    activated: bool = False,
) -> Detections:
    """Decodes each anchor of each cell: s(p) is the sigmoid.

    'v3' (Redmon and Farhadi, arXiv 1804.02767): centre = (s(p) + cell) * stride, size = anchor * exp(p).
    'v5' (Ultralytics YOLOv5): centre = (2 s(p) - 0.5 + cell) * stride, size = anchor * (2 s(p))^2.

    Roles, for each level with its stride in pixels, A anchors in each of H * W cells:
        predictions_<stride>: (A * (5 + class_count), H, W), (H, W, A * (5 + class_count)), (A, H, W, 5 + class_count)
            or (H, W, A, 5 + class_count), each anchor as (x, y, w, h, objectness, class scores). Where two of them fit,
            the one that is named first is it.

    Args:
        anchors: for each level, in the order of rising strides, its anchors' (width, height) in input pixels.
        formula: 'v3' or 'v5'.
        activated: the sigmoid is part of the model ('v3': of all but the size, which has none).

    The score is objectness times the best class score.

    Raises:
        ConfigError: an unknown formula, or anchors that are not such a list for each level.

    Example: the only cell of an 8x8 input, one anchor; s(0) is 0.5.
        >>> outputs = {'predictions_8': np.array([0, 0, 0, 0, 9, 9], np.float32).reshape(6, 1, 1)}
        >>> found = decode(outputs, input_wh=(8, 8), class_count=1, score_threshold=0.5, anchors=[[(4, 2)]])
        >>> found.boxes.tolist()
        [[2.0, 3.0, 6.0, 5.0]]
    """
    if formula not in _FORMULAS:
        raise ConfigError(f'formula: got {formula!r}, expected one of {", ".join(_FORMULAS)}')
    thresholds = check_thresholds(score_threshold, class_count)
    strides = level_strides(outputs, ('predictions',))
    sizes = check_anchors(anchors, strides)
    parts = []
    for stride, level_anchors in zip(strides, sizes, strict=True):
        role = f'predictions_{stride}'
        maps = take_maps(outputs, role, len(level_anchors), grid_shape(input_wh, stride), 5 + class_count)
        parts.append(_decode_level(maps, role, stride, level_anchors, thresholds, formula, activated))
    return join(parts)


def check_anchors(anchors: Sequence[Sequence[Sequence[float]]], strides: Sequence[int]) -> tuple[np.ndarray, ...]:
    """The anchors of each level, (A, 2) float32 each.

    Raises:
        ConfigError: they are not a list of (width, height) for each level.

    Example:
        >>> [level.tolist() for level in check_anchors([[(10, 13)], [(30, 61)]], strides=(8, 16))]
        [[[10.0, 13.0]], [[30.0, 61.0]]]
    """
    try:
        levels = tuple(np.array(level, np.float32) for level in anchors)
    except (TypeError, ValueError):
        levels = ()
    good = all(level.ndim == 2 and level.shape[1] == 2 and len(level) and (level > 0).all() for level in levels)
    if not good or len(levels) != len(strides):
        raise ConfigError(
            f'anchors: got {anchors!r}, expected for each of the strides {list(strides)} a list of [width, height] in '
            'input pixels, such as [[10, 13], [16, 30], [33, 23]]'
        )
    return levels


def take_maps(
    outputs: Mapping[str, np.ndarray], role: str, anchor_count: int, cells: tuple[int, int], columns: int
) -> np.ndarray:
    """A level's output as (A, H, W, 5 + class_count) float32, a view of whichever layout `decode` lists.

    Raises:
        FrameError: 'missing_output', 'bad_output_shape' or 'bad_output_type'.

    Example:
        >>> take_maps({'predictions_8': np.zeros((18, 4, 5))}, 'predictions_8', 3, (4, 5), columns=6).shape
        (3, 4, 5, 6)
    """
    array = take_floats(outputs, role)
    height, width = cells
    if array.shape == (anchor_count * columns, height, width):
        return np.moveaxis(array.reshape(anchor_count, columns, height, width), 1, 3)
    if array.shape == (height, width, anchor_count * columns):
        return np.moveaxis(array.reshape(height, width, anchor_count, columns), 2, 0)
    if array.shape == (anchor_count, height, width, columns):
        return array
    if array.shape == (height, width, anchor_count, columns):
        return np.moveaxis(array, 2, 0)
    raise bad_shape(
        role,
        array,
        f'({anchor_count * columns}, {height}, {width}), ({height}, {width}, {anchor_count * columns}), '
        f'({anchor_count}, {height}, {width}, {columns}) or ({height}, {width}, {anchor_count}, {columns})',
    )


def _decode_level(
    maps: np.ndarray,
    role: str,
    stride: int,
    anchors: np.ndarray,
    thresholds: np.ndarray,
    formula: str,
    activated: bool,
) -> Detections:
    """One level; maps (A, H, W, 5 + class_count), anchors (A, 2) px."""
    objectness = _scores(maps[..., 4].ravel(), role, activated)
    index = find_candidates(objectness, thresholds, role)
    asked = index if len(index) else np.array([objectness.argmax()])  # the best one's score is worth knowing
    anchor, row, column = np.unravel_index(asked, maps.shape[:3])
    raw = maps[anchor, row, column]
    class_ids = raw[:, 5:].argmax(axis=1)
    scores = objectness[asked] * _scores(raw[np.arange(len(raw)), 5 + class_ids], role, activated)
    best = highest(scores)
    left = find_candidates(scores, thresholds, role)
    cells = np.stack((column, row), axis=1).astype(np.float32)[left]
    boxes = _boxes(raw[left, :4], cells, stride, anchors[anchor[left]], formula, activated)
    return collect(boxes, scores[left], class_ids[left], thresholds, role, best_score=best)


def _scores(values: np.ndarray, role: str, activated: bool) -> np.ndarray:
    if activated:
        return values
    if np.isposinf(values).any():  # which the sigmoid would hide
        raise non_finite(role)
    return sigmoid(values)


def _boxes(
    raw: np.ndarray, cells: np.ndarray, stride: int, anchors: np.ndarray, formula: str, activated: bool
) -> np.ndarray:
    """(K, 4) corners, from the columns x, y, w, h of each anchor."""
    if not np.isfinite(raw).all():  # a sigmoid would hide infinity; `collect` reports it
        return np.full_like(raw, np.nan)
    xy = raw[:, :2] if activated else sigmoid(raw[:, :2])
    if formula == 'v3':
        with np.errstate(over='ignore'):  # an infinite size is reported too
            size = anchors * np.exp(raw[:, 2:])
        centre = (xy + cells) * np.float32(stride)
    else:
        wh = raw[:, 2:] if activated else sigmoid(raw[:, 2:])
        size = anchors * (2 * wh) ** 2
        centre = (2 * xy - np.float32(0.5) + cells) * np.float32(stride)
    return corners_from_centers(np.concatenate((centre, size), axis=1))


DECODER = Decoder(
    'anchor_heads',
    (),
    needs_nms=True,
    option_names=('anchors', 'formula', 'activated'),
    decode=decode,
    ranks={'predictions': 3},
    level_roles=('predictions',),
    other_ranks={'predictions': (4,)},
)
