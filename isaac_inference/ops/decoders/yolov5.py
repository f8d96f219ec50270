# SPDX-License-Identifier: Apache-2.0
"""YOLOv5 (v3, v4, v6, v7 exports alike): finished boxes with an objectness."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import to_corners
from isaac_inference.ops.decoders.base import (
    Decoder,
    check_mask_channels,
    check_thresholds,
    collect,
    last_columns,
    score_candidates,
    take_output,
)


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    box_format: str = 'cxcywh',
    normalized: bool = False,
    mask_channels: int = 0,
) -> Detections:
    """Reads boxes that are in pixels, or fractions of the input, already.

    Roles:
        predictions: (N, 5 + class_count + mask_channels) as a box in input pixels, objectness and class scores in
            [0, 1], and mask coefficients.

    Args:
        box_format: what the box's four columns are; see `BoxFormat`.
        normalized: boxes are in fractions of the input's width and height instead of pixels.
        mask_channels: coefficients of each box's mask, which stand last; 0 for a model without masks.

    The score is objectness times the best class score.

    Example:
        >>> outputs = {'predictions': np.array([[10, 20, 4, 2, 0.5, 0.25, 1.0]], np.float32)}
        >>> found = decode(outputs, input_wh=(32, 32), class_count=2, score_threshold=0.25)
        >>> found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()
        ([[8.0, 19.0, 12.0, 21.0]], [0.5], [1])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    check_mask_channels(mask_channels)
    predictions = take_output(outputs, 'predictions', ('N', 5 + class_count + mask_channels))
    index, scores, class_ids, best = score_candidates(predictions[:, : 5 + class_count], thresholds)
    boxes = to_corners(predictions[index, :4], box_format, input_wh if normalized else None)
    coefficients = last_columns(predictions[index], mask_channels) if mask_channels else None
    return collect(boxes, scores, class_ids, thresholds, 'predictions', coefficients=coefficients, best_score=best)


DECODER = Decoder(
    'yolov5',
    ('predictions',),
    needs_nms=True,
    option_names=('box_format', 'normalized', 'mask_channels'),
    decode=decode,
    ranks={'predictions': 2},
)
