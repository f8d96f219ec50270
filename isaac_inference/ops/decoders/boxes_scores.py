# SPDX-License-Identifier: Apache-2.0
"""Models that output decoded boxes and the scores of all classes as two tensors (SSD, YOLOv4, EfficientDet)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import to_corners
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    best_classes,
    check_labels,
    check_thresholds,
    collect,
    find_candidates,
    highest,
    rate,
    score_columns,
    split_coefficients,
    take,
    take_any,
    take_output,
)


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    box_format: str = 'xyxy',
    normalized: bool = False,
    activation: str = 'none',
    background: str = 'none',
    mask_channels: int = 0,
) -> Detections:
    """Reads one box per row, with its best class.

    Roles:
        boxes: (N, 4) or (N, 1, 4), in input pixels; or (N, 4 + mask_channels).
        scores: (N, C) or (C, N), C classes and the background if there is one. A square is read as (N, C).
        selected: (M, 3) as (image, class, row), where the graph has suppressed boxes itself: ONNX's NonMaxSuppression
            gives that. Then these are the detections; rows with a negative number fill up the output.
        anchors: (N, 4) as (y_min, x_min, y_max, x_max) in input pixels; then boxes are (dy, dx, dh, dw) relative to
            them: the centre in anchor sizes, the logarithm of the size (EfficientDet in PyTorch).

    Args:
        box_format: what the box's four columns are; see `BoxFormat`.
        normalized: boxes are in fractions of the input's width and height instead of pixels.
        activation: what makes scores of `scores`, 'none' where they are in [0, 1] already.
        background: which of the C columns means 'no object': 'none', 'first' or 'last'. Class ids count without it.
        mask_channels: coefficients of each box's mask, which stand last; 0 for a model without masks.

    Example: the first column is the background.
        >>> outputs = {'boxes': np.array([[[0, 0, 8, 4]]], np.float32), 'scores': np.array([[0.125, 0.25, 0.625]])}
        >>> options = {'background': 'first', 'class_count': 2, 'score_threshold': 0.5}
        >>> found = decode(outputs, input_wh=(32, 32), **options)
        >>> found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()
        ([[0.0, 0.0, 8.0, 4.0]], [0.625], [1])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    outputs, coefficients = split_coefficients(outputs, 'boxes', mask_channels)
    is_deep = take(outputs, 'boxes').ndim == 3
    boxes = take_output(outputs, 'boxes', ('N', 1, 4) if is_deep else ('N', 4)).reshape(-1, 4)
    table = take_output(outputs, 'scores', ('N', 'C'))
    columns = score_columns(class_count, background)
    if table.shape == (columns, len(boxes)) and columns != len(boxes):
        table = table.T
    if table.shape != (len(boxes), columns):
        raise bad_shape('scores', table, f'({len(boxes)}, {columns}) or ({columns}, {len(boxes)})')
    if 'selected' in outputs:
        return _selected(
            outputs, boxes, table, thresholds, class_count, box_format, input_wh if normalized else None, coefficients
        )
    if 'anchors' in outputs:
        boxes = _from_anchors(boxes, take_output(outputs, 'anchors', (len(boxes), 4)))
    scores = rate(table, 'scores', activation, background)
    index = find_candidates(scores, thresholds, 'scores')
    class_ids = best_classes(table[index], background)
    corners = to_corners(boxes[index], box_format, input_wh if normalized else None)
    return collect(
        corners,
        scores[index],
        class_ids,
        thresholds,
        'boxes',
        coefficients=None if coefficients is None else coefficients[index],
        rows=index,
        best_score=highest(scores),
    )


def _from_anchors(offsets: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """(N, 4) offsets from anchors to (x_min, y_min, x_max, y_max), as `decode` describes them."""
    sizes = anchors[:, 2:] - anchors[:, :2]
    with np.errstate(over='ignore', invalid='ignore'):  # `collect` reports what is not finite
        centers = offsets[:, :2] * sizes + (anchors[:, :2] + anchors[:, 2:]) / 2
        half = np.exp(offsets[:, 2:]) * sizes / 2
        corners = np.concatenate((centers - half, centers + half), axis=1)
    return corners[:, [1, 0, 3, 2]]


def _selected(
    outputs: Mapping[str, np.ndarray],
    boxes: np.ndarray,
    table: np.ndarray,
    thresholds: np.ndarray,
    class_count: int,
    box_format: str,
    input_wh: tuple[int, int] | None,
    coefficients: np.ndarray | None,
) -> Detections:
    """The boxes that the graph has selected; `table` is (N, C)."""
    chosen = take_any(outputs, 'selected', ('M', 3)).astype(np.int64)
    chosen = chosen[(chosen >= 0).all(axis=1)]
    _, class_ids, rows = chosen.T
    if (rows >= len(boxes)).any():
        raise bad_shape('boxes', boxes, f'({rows.max() + 1} or more, 4)')
    check_labels(class_ids, class_count, 'selected')
    scores = table[rows, class_ids]
    left = find_candidates(scores, thresholds, 'scores')
    corners = to_corners(boxes[rows[left]], box_format, input_wh)
    return collect(
        corners,
        scores[left],
        class_ids[left],
        thresholds,
        'boxes',
        coefficients=None if coefficients is None else coefficients[rows[left]],
        rows=rows[left],
        best_score=highest(scores),
    )


DECODER = Decoder(
    'boxes_scores',
    ('boxes', 'scores'),
    needs_nms=True,
    option_names=('box_format', 'normalized', 'activation', 'background', 'mask_channels'),
    decode=decode,
    ranks={'boxes': 2, 'scores': 2, 'selected': 2, 'anchors': 2},
    optional_roles=('selected', 'anchors'),
    other_ranks={'boxes': (3,)},
    tells_rows=True,
)
