# SPDX-License-Identifier: Apache-2.0
"""Pose models that output finished boxes: YOLO26-pose, and any pose export with built-in NMS."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
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
from isaac_inference.ops.decoders.keypoints.yolov8_pose import check_keypoints, read_keypoints


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    keypoint_count: int,
    keypoint_dims: int = 3,
    mask_channels: int = 0,
) -> Detections:
    """Reads finished boxes and their keypoints.

    Roles:
        predictions: (N, 6 + keypoint_dims * keypoint_count + mask_channels): x_min, y_min, x_max, y_max in input
            pixels, score in [0, 1], class, then for each keypoint x and y in input pixels and, for 3 dims, a
            confidence in [0, 1], then the mask coefficients. Rows below the threshold may hold anything.

    Args:
        keypoint_count: keypoints per box, 1 or more.
        keypoint_dims: 3, or 2 for a model without confidences, which are then 1.
        mask_channels: coefficients of each box's mask, which stand last; 0 for a model without masks.

    Only the candidates' keypoints are read and checked; a confidence that rounding has put outside [0, 1] is clipped.

    Example: one keypoint without a confidence, and a row that fills up the output.
        >>> outputs = {'predictions': np.array([[8, 19, 12, 21, 0.75, 2, 9, 21], [0] * 8], np.float32)}
        >>> options = {'keypoint_count': 1, 'keypoint_dims': 2}
        >>> found = decode(outputs, input_wh=(32, 32), class_count=3, score_threshold=0.5, **options)
        >>> found.boxes.tolist(), found.class_ids.tolist(), found.keypoints.tolist()
        ([[8.0, 19.0, 12.0, 21.0]], [2], [[[9.0, 21.0, 1.0]]])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    check_keypoints(keypoint_count, keypoint_dims)
    check_mask_channels(mask_channels)
    last = 6 + keypoint_dims * keypoint_count
    predictions = take_output(outputs, 'predictions', ('N', last + mask_channels))
    scores = predictions[:, 4]
    index = find_candidates(scores, thresholds, 'predictions')
    index, class_ids = read_labels(predictions[:, 5], index, class_count, 0, 'predictions')
    rows = predictions[index]
    return collect(
        rows[:, :4],
        scores[index],
        class_ids,
        thresholds,
        'predictions',
        read_keypoints(rows[:, 6:last], keypoint_count),
        coefficients=last_columns(rows, mask_channels),
        rows=index,
        best_score=highest(scores),
    )


DECODER = Decoder(
    'end_to_end_pose',
    ('predictions',),
    needs_nms=False,
    option_names=('keypoint_count', 'keypoint_dims', 'mask_channels'),
    decode=decode,
    ranks={'predictions': 2},
    tells_rows=True,
)
