# SPDX-License-Identifier: Apache-2.0
"""YOLOv8-OBB, 11-OBB and any other export of that layout: YOLOv8's boxes and scores, then the box's angle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import corners_from_centers
from isaac_inference.ops.decoders.base import Decoder, check_thresholds, collect, take_output
from isaac_inference.ops.decoders.yolov8 import exact_channels_first, read_scores


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
) -> Detections:
    """Reads rotated boxes that are in pixels already.

    Roles:
        predictions: (5 + class_count, N) or its transpose, as (x_center, y_center, width, height) of the box before its
            turn in input pixels, class scores in [0, 1], and the angle [rad] by which it is turned about its centre,
            clockwise. A square is read channels first.

    Example: a box of 8x2 pixels that stands upright.
        >>> outputs = {'predictions': np.array([[10, 20, 8, 2, 0.75, 1.5]], np.float32)}
        >>> found = decode(outputs, input_wh=(32, 32), class_count=1, score_threshold=0.5)
        >>> found.boxes.tolist(), found.angles.tolist()
        ([[6.0, 19.0, 14.0, 21.0]], [1.5])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    predictions = take_output(outputs, 'predictions', ('C', 'N'))
    channels = exact_channels_first(predictions, 5 + class_count, 'box, class scores and angle')
    index, scores, class_ids, best = read_scores(channels, class_count, thresholds)
    return collect(
        corners_from_centers(channels[:4, index].T),
        scores,
        class_ids,
        thresholds,
        'predictions',
        angles=channels[4 + class_count, index],
        best_score=best,
    )


DECODER = Decoder(
    'yolov8_obb',
    ('predictions',),
    needs_nms=True,
    option_names=(),
    decode=decode,
    ranks={'predictions': 2},
)
