# SPDX-License-Identifier: Apache-2.0
"""Models that output one row for each box, score and class: YOLOv10, YOLO26, SSD, Paddle, exports with built-in NMS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import to_corners
from isaac_inference.ops.decoders.base import (
    Decoder,
    check_mask_channels,
    check_thresholds,
    collect,
    find_candidates,
    highest,
    last_columns,
    take_output,
)
from isaac_inference.ops.decoders.boxes_scores_labels import read_labels
from isaac_inference.ops.decoders.efficient_nms import take_count

_BOXES = {
    frozenset(('x1', 'y1', 'x2', 'y2')): (('x1', 'y1', 'x2', 'y2'), 'xyxy'),
    frozenset(('cx', 'cy', 'w', 'h')): (('cx', 'cy', 'w', 'h'), 'cxcywh'),
}
_NO_CLASS = -1
_OTHERS = ('score', 'class', 'image', 'angle')


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    columns: Sequence[str] = ('x1', 'y1', 'x2', 'y2', 'score', 'class'),
    normalized: bool = False,
    first_label: int = 0,
    mask_channels: int = 0,
) -> Detections:
    """Reads finished boxes.

    Roles:
        predictions: (N, columns), or (N, columns + mask_channels). Rows below the threshold may hold anything.
        num_detections: optional, one element in any shape: only so many rows count.

    Args:
        columns: what the columns are, each once and in any order: x1, y1, x2, y2 or cx, cy, w, h of the box in input
            pixels; `score` in [0, 1]; `class`, the label, and rows of class -1 are filling and ignored; `image`, the
            number of the image within the batch, and rows of other images than 0 are ignored too; `angle` [rad] of
            a rotated box, clockwise. Without `class` there is one class only.
        normalized: boxes are in fractions of the input's width and height instead of pixels.
        first_label: what the model outputs for the first class; see `boxes_scores_labels`.
        mask_channels: coefficients of each box's mask, which stand last; 0 for a model without masks.

    Raises:
        ConfigError: unknown, repeated or missing columns, besides the common ones.

    Example:
        >>> outputs = {'predictions': np.array([[0, 0, 8, 4, 0.75, 2], [1, 1, 2, 2, 0.125, 0]], np.float32)}
        >>> found = decode(outputs, input_wh=(32, 32), class_count=3, score_threshold=0.5)
        >>> found.boxes.tolist(), found.class_ids.tolist()
        ([[0.0, 0.0, 8.0, 4.0]], [2])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    box_columns, box_format = check_columns(columns, class_count)
    at = {name: place for place, name in enumerate(columns)}
    check_mask_channels(mask_channels)
    predictions = take_output(outputs, 'predictions', ('N', len(at) + mask_channels))
    if 'num_detections' in outputs:
        predictions = predictions[: take_count(outputs, len(predictions))]
    scores = predictions[:, at['score']]
    is_filling = np.zeros(len(predictions), bool)
    if 'image' in at:
        is_filling |= predictions[:, at['image']] != 0
    if 'class' in at:
        is_filling |= predictions[:, at['class']] == _NO_CLASS
    numbers = np.flatnonzero(~is_filling)
    if is_filling.any():
        predictions, scores = predictions[numbers], scores[numbers]
    index = find_candidates(scores, thresholds, 'predictions')
    if 'class' in at:
        index, class_ids = read_labels(predictions[:, at['class']], index, class_count, first_label, 'predictions')
    else:
        class_ids = np.zeros(len(index), np.int32)
    rows = predictions[index]
    boxes = to_corners(rows[:, [at[name] for name in box_columns]], box_format, input_wh if normalized else None)
    return collect(
        boxes,
        scores[index],
        class_ids,
        thresholds,
        'predictions',
        angles=rows[:, at['angle']] if 'angle' in at else None,
        coefficients=last_columns(rows, mask_channels),
        rows=numbers[index],
        best_score=highest(scores),
    )


def check_columns(columns: Sequence[str], class_count: int) -> tuple[tuple[str, ...], str]:
    """The names of the box's columns, in the order of the box format that is returned with them.

    Raises:
        ConfigError: unknown, repeated or missing columns.

    Example: an SSD.
        >>> check_columns(('image', 'class', 'score', 'x1', 'y1', 'x2', 'y2'), class_count=80)
        (('x1', 'y1', 'x2', 'y2'), 'xyxy')
    """
    names = set(columns)
    box = _BOXES.get(frozenset(names.difference(_OTHERS)))
    if box is None or len(names) != len(columns) or 'score' not in names or ('class' not in names and class_count > 1):
        raise ConfigError(
            f'columns: got {list(columns)}, expected each once and in the order of the output: x1, y1, x2, y2 or cx, '
            'cy, w, h; score; class (unless there is one class only); and image and angle where there are such'
        )
    return box


DECODER = Decoder(
    'end_to_end',
    ('predictions',),
    needs_nms=False,
    option_names=('columns', 'normalized', 'first_label', 'mask_channels'),
    decode=decode,
    ranks={'predictions': 2, 'num_detections': 0},
    optional_roles=('num_detections',),
    other_ranks={'num_detections': (1,)},
    tells_rows=True,
)
