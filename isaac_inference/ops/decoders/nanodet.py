# SPDX-License-Identifier: Apache-2.0
"""NanoDet-Plus: class scores and box sides as distributions over distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    check_thresholds,
    collect,
    find_candidates,
    take_output,
)
from isaac_inference.ops.decoders.grid import grid_points


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    strides: Sequence[int] = (8, 16, 32, 64),
) -> Detections:
    """Decodes the distances from a cell's corner to the box's sides.

    A distance is the expectation of a softmax over 0..reg_max, times the stride (Generalized Focal Loss, Li
    et al., arXiv 2006.04388). A cell's point is its top-left corner, column * stride and row * stride.

    Roles:
        predictions: (N, class_count + 4 * (reg_max + 1)) as class scores, already after their sigmoid, and
            the logits of the distances left, top, right and bottom; N cells over all strides, each level row
            by row.

    Example: the only cell lies at (0, 0); equal logits over the distances 0 and 1 mean half a stride, 4 px.
        >>> predictions = np.array([[0.75] + [0] * 8], np.float32)
        >>> outputs = {'predictions': predictions}
        >>> decode(outputs, input_wh=(8, 8), class_count=1, score_threshold=0.5, strides=[8]).boxes.tolist()
        [[-4.0, -4.0, 4.0, 4.0]]
    """
    thresholds = check_thresholds(score_threshold, class_count)
    predictions = take_output(outputs, 'predictions', ('N', 'C'))
    cells, strides_px = grid_points(input_wh, strides)
    bins, rest = divmod(predictions.shape[1] - class_count, 4)
    if len(predictions) != len(cells) or bins < 1 or rest:
        raise bad_shape('predictions', predictions, f'({len(cells)}, {class_count} + 4 * (reg_max + 1))')
    index = find_candidates(predictions[:, :class_count].max(axis=1), thresholds, 'predictions')
    rows = predictions[index]
    class_ids = rows[:, :class_count].argmax(axis=1)
    scores = rows[np.arange(len(rows)), class_ids]
    distances = _expectation(rows[:, class_count:].reshape(len(rows), 4, bins)) * strides_px[index]
    points = cells[index] * strides_px[index]
    boxes = np.concatenate((points - distances[:, :2], points + distances[:, 2:]), axis=1)
    return collect(boxes, scores, class_ids, thresholds, 'predictions')


def _expectation(logits: np.ndarray) -> np.ndarray:
    """(K, 4, bins) logits to (K, 4) expected bins of their softmax."""
    with np.errstate(invalid='ignore'):  # infinity minus infinity is NaN, which is reported
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    return (weights @ np.arange(logits.shape[2], dtype=np.float32)) / weights.sum(axis=2)


DECODER = Decoder('nanodet', ('predictions',), needs_nms=True, option_names=('strides',), decode=decode)
