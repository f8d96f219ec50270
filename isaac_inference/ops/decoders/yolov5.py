# SPDX-License-Identifier: Apache-2.0
"""YOLOv5 (v3, v4, v6, v7 exports alike): boxes in pixels with an objectness."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.base import (
    Decoder,
    check_thresholds,
    collect,
    corners_from_centers,
    find_candidates,
    score_candidates,
    take_output,
)


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
) -> Detections:
    """Reads boxes that are in pixels already.

    Roles:
        predictions: (N, 5 + class_count) as (x_center, y_center, width, height) in input pixels, objectness
            and class scores in [0, 1].

    The score is objectness times the best class score.

    Example:
        >>> outputs = {'predictions': np.array([[10, 20, 4, 2, 0.5, 0.25, 1.0]], np.float32)}
        >>> found = decode(outputs, input_wh=(32, 32), class_count=2, score_threshold=0.25)
        >>> found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()
        ([[8.0, 19.0, 12.0, 21.0]], [0.5], [1])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    predictions = take_output(outputs, 'predictions', ('N', 5 + class_count))
    index = find_candidates(predictions[:, 4], thresholds, 'predictions')
    index, scores, class_ids = score_candidates(predictions, index, thresholds)
    boxes = corners_from_centers(predictions[index, :4])
    return collect(boxes, scores, class_ids, thresholds, 'predictions')


DECODER = Decoder('yolov5', ('predictions',), needs_nms=True, option_names=(), decode=decode)
