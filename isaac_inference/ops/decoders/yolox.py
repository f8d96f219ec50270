# SPDX-License-Identifier: Apache-2.0
"""YOLOX: anchor-free grid outputs with objectness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import corners_from_centers
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    check_thresholds,
    collect,
    non_finite,
    score_candidates,
    take_output,
)
from isaac_inference.ops.decoders.grid import grid_points

DECODED_ALREADY = 'the graph seems to decode its boxes itself: then the decoder is yolov5; else check the precision'
"""What to look at where a raw grid's sizes are no numbers."""

_MOST_LOG_SIZE = 80.0  # float32 ends at exp(88)


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    strides: Sequence[int] = (8, 16, 32),
) -> Detections:
    """Decodes the raw grid: centre = (p + cell) * stride, size = exp(p) * stride (Ge et al., arXiv
    2107.08430).

    Roles:
        predictions: (N, 5 + class_count) as (x, y, w, h, objectness, class scores), the scores already
            after their sigmoid; N cells over all strides, each level row by row.

    The score is objectness times the best class score. For exports that are in pixels already use 'yolov5'.

    Example: the only cell of an 8x8 input; its centre is half a cell from the corner, its size exp(0) cells.
        >>> outputs = {'predictions': np.array([[0.5, 0.5, 0, 0, 0.5, 1.0]], np.float32)}
        >>> found = decode(outputs, input_wh=(8, 8), class_count=1, score_threshold=0.25, strides=[8])
        >>> found.boxes.tolist(), found.scores.tolist()
        ([[0.0, 0.0, 8.0, 8.0]], [0.5])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    predictions = take_output(outputs, 'predictions', ('N', 5 + class_count))
    cells, strides_px = grid_points(input_wh, strides)
    if len(predictions) != len(cells):
        raise bad_shape('predictions', predictions, (len(cells), 5 + class_count))
    index, scores, class_ids, best = score_candidates(predictions, thresholds)
    raw, stride_px = predictions[index, :4], strides_px[index]
    if len(raw) and np.isfinite(raw).all() and raw[:, 2:].max() > _MOST_LOG_SIZE:
        raise non_finite('predictions', f'a size of exp({raw[:, 2:].max():.4g}) cells', DECODED_ALREADY)
    with np.errstate(over='ignore'):  # NaN and infinity are reported below
        boxes = np.concatenate(((raw[:, :2] + cells[index]) * stride_px, np.exp(raw[:, 2:]) * stride_px), axis=1)
    return collect(corners_from_centers(boxes), scores, class_ids, thresholds, 'predictions', best_score=best)


DECODER = Decoder(
    'yolox',
    ('predictions',),
    needs_nms=True,
    option_names=('strides',),
    decode=decode,
    ranks={'predictions': 2},
)
