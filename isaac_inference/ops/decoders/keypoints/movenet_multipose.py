# SPDX-License-Identifier: Apache-2.0
"""MoveNet for several people: finished boxes, each with the keypoints before it, all in fractions of the input."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.base import (
    Decoder,
    check_thresholds,
    collect,
    find_candidates,
    highest,
    take_output,
)
from isaac_inference.ops.decoders.keypoints.yolov8_pose import check_keypoints, read_keypoints

BOX_COLUMNS = 5
"""What stands behind the keypoints: y_min, x_min, y_max, x_max, score."""


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    keypoint_count: int,
    keypoint_dims: int = 3,
) -> Detections:
    """Reads finished boxes of class 0 and their keypoints.

    Roles:
        predictions: (N, keypoint_dims * keypoint_count + 5): for each keypoint y and x in fractions of the input and,
            for 3 dims, a confidence in [0, 1]; then y_min, x_min, y_max, x_max in such fractions and the score in
            [0, 1]. Rows below the threshold may hold anything.

    Args:
        keypoint_count: keypoints per box, 1 or more.
        keypoint_dims: 3, or 2 for a model without confidences, which are then 1.

    Example: one keypoint, in an input that is twice as wide as high.
        >>> outputs = {'predictions': np.array([[0.5, 0.25, 0.75, 0.25, 0, 1, 0.5, 0.875]], np.float32)}
        >>> options = {'class_count': 1, 'score_threshold': 0.5, 'keypoint_count': 1}
        >>> found = decode(outputs, input_wh=(64, 32), **options)
        >>> found.boxes.tolist(), found.scores.tolist(), found.keypoints.tolist()
        ([[0.0, 8.0, 32.0, 32.0]], [0.875], [[[16.0, 16.0, 0.75]]])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    check_keypoints(keypoint_count, keypoint_dims)
    last = keypoint_dims * keypoint_count
    predictions = take_output(outputs, 'predictions', ('N', last + BOX_COLUMNS))
    scores = predictions[:, -1]
    index = find_candidates(scores, thresholds, 'predictions')
    rows = predictions[index]
    keypoints = read_keypoints(rows[:, :last], keypoint_count)
    keypoints[..., :2] = keypoints[..., 1::-1] * np.asarray(input_wh, np.float32)
    return collect(
        rows[:, (last + 1, last, last + 3, last + 2)] * np.asarray(input_wh * 2, np.float32),
        scores[index],
        np.zeros(len(index), np.int32),
        thresholds,
        'predictions',
        keypoints,
        rows=index,
        best_score=highest(scores),
    )


DECODER = Decoder(
    'movenet_multipose',
    ('predictions',),
    needs_nms=False,
    option_names=('keypoint_count', 'keypoint_dims'),
    decode=decode,
    ranks={'predictions': 2},
    tells_rows=True,
)
