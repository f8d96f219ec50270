# SPDX-License-Identifier: Apache-2.0
"""End-to-end detectors (YOLOv10, YOLO26, exports with built-in NMS): one row per finished box."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.base import (
    Decoder,
    check_labels,
    check_thresholds,
    collect,
    find_candidates,
    take_output,
)


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
) -> Detections:
    """Reads finished boxes.

    Roles:
        predictions: (N, 6) as (x_min, y_min, x_max, y_max) in input pixels, score in [0, 1] and class id.
            Rows below the threshold may hold anything.

    Example:
        >>> outputs = {'predictions': np.array([[0, 0, 8, 4, 0.75, 2], [1, 1, 2, 2, 0.125, 0]], np.float32)}
        >>> found = decode(outputs, input_wh=(32, 32), class_count=3, score_threshold=0.5)
        >>> found.boxes.tolist(), found.class_ids.tolist()
        ([[0.0, 0.0, 8.0, 4.0]], [2])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    predictions = take_output(outputs, 'predictions', ('N', 6))
    rows = predictions[find_candidates(predictions[:, 4], thresholds, 'predictions')]
    class_ids = check_labels(rows[:, 5], class_count, 'predictions')
    return collect(rows[:, :4], rows[:, 4], class_ids, thresholds, 'predictions')


DECODER = Decoder('end_to_end', ('predictions',), needs_nms=False, option_names=(), decode=decode)
