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
    highest,
    take_output,
)
from isaac_inference.ops.decoders.grid import boxes_around, expected_bins, grid_points


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    strides: Sequence[int] = (8, 16, 32, 64),
    cell_offset: float = 0.0,
) -> Detections:
    """Decodes the distances from a cell's point to the box's sides.

    A distance is the expectation of a softmax over 0..reg_max, times the stride (Generalized Focal Loss, Li
    et al., arXiv 2006.04388).

    Roles:
        predictions: (N, class_count + 4 * (reg_max + 1)) as class scores, already after their sigmoid, and
            the logits of the distances left, top, right and bottom; N cells over all strides, each level row
            by row.

    Args:
        strides: pixels per cell of each level.
        cell_offset: where a cell's point is, in cells from its top-left corner along x and y: 0 is the corner, 0.5 the
            centre.

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
    best = predictions[:, :class_count].max(axis=1)
    index = find_candidates(best, thresholds, 'predictions')
    rows = predictions[index]
    class_ids = rows[:, :class_count].argmax(axis=1)
    distances = expected_bins(rows[:, class_count:].reshape(len(rows), 4, bins)) * strides_px[index]
    boxes = boxes_around((cells[index] + np.float32(cell_offset)) * strides_px[index], distances)
    return collect(boxes, best[index], class_ids, thresholds, 'predictions', best_score=highest(best))


DECODER = Decoder(
    'nanodet',
    ('predictions',),
    needs_nms=True,
    option_names=('strides', 'cell_offset'),
    decode=decode,
    ranks={'predictions': 2},
)
