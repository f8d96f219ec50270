# SPDX-License-Identifier: Apache-2.0
"""YOLOv8-pose, 11-pose and any other export of that layout: YOLOv8's boxes and scores, then keypoints in pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import corners_from_centers
from isaac_inference.ops.decoders.base import (
    Decoder,
    check_mask_channels,
    check_thresholds,
    collect,
    last_columns,
    take_output,
)
from isaac_inference.ops.decoders.yolov8 import exact_channels_first, read_scores


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
    """Reads boxes and keypoints that are in pixels already.

    Roles:
        predictions: (C, N) or its transpose, where C = 4 + class_count + keypoint_dims * keypoint_count +
            mask_channels: (x_center, y_center, width, height) in input pixels, class scores in [0, 1], then for each
            keypoint x and y in input pixels and, for 3 dims, a confidence in [0, 1], then the mask coefficients. A
            square is read channels first.

    Args:
        keypoint_count: keypoints per box, 1 or more.
        keypoint_dims: 3, or 2 for a model without confidences, which are then 1.
        mask_channels: coefficients of each box's mask, which stand last; 0 for a model without masks.

    Only the candidates' keypoints are read and checked; a confidence that rounding has put outside [0, 1] is clipped.

    Example: one class, one keypoint without a confidence.
        >>> outputs = {'predictions': np.array([[10, 20, 4, 2, 0.75, 9, 21]], np.float32)}
        >>> options = {'keypoint_count': 1, 'keypoint_dims': 2}
        >>> found = decode(outputs, input_wh=(32, 32), class_count=1, score_threshold=0.5, **options)
        >>> found.boxes.tolist(), found.keypoints.tolist()
        ([[8.0, 19.0, 12.0, 21.0]], [[[9.0, 21.0, 1.0]]])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    check_keypoints(keypoint_count, keypoint_dims)
    predictions = take_output(outputs, 'predictions', ('C', 'N'))
    check_mask_channels(mask_channels)
    last = 4 + class_count + keypoint_dims * keypoint_count
    what = 'box, class scores, keypoints' + (' and mask coefficients' if mask_channels else '')
    channels = exact_channels_first(predictions, last + mask_channels, what)
    index, scores, class_ids, best = read_scores(channels, class_count, thresholds)
    boxes = corners_from_centers(channels[:4, index].T)
    rows = channels[4 + class_count :, index].T
    return collect(
        boxes,
        scores,
        class_ids,
        thresholds,
        'predictions',
        read_keypoints(rows[:, : last - 4 - class_count], keypoint_count),
        coefficients=last_columns(rows, mask_channels),
        best_score=best,
    )


def check_keypoints(count: int, dims: int) -> None:
    """Raise ConfigError unless there are 1 or more keypoints of 2 or 3 values.

    Example:
        >>> check_keypoints(count=17, dims=3)
    """
    if count < 1 or dims not in (2, 3):
        raise ConfigError(
            f'keypoint_count and keypoint_dims: got {count} and {dims}, expected 1 or more keypoints of 2 or 3 values; '
            'give the model card the numbers that the model was trained with'
        )


def read_keypoints(rows: np.ndarray, count: int) -> np.ndarray:
    """Keypoints (M, count, 3) float32 from the candidates' rows, a copy; finite confidences are clipped to [0, 1].

    Args:
        rows: (M, dims * count), for each keypoint x and y in input pixels and, for 3 dims, a confidence.
        count: keypoints per box.

    Example: a confidence that rounding has put above 1, and keypoints that have none.
        >>> read_keypoints(np.array([[9, 21, 1.001]], np.float32), count=1).tolist()
        [[[9.0, 21.0, 1.0]]]
        >>> read_keypoints(np.array([[9, 21, 4, 5]], np.float32), count=2).tolist()
        [[[9.0, 21.0, 1.0], [4.0, 5.0, 1.0]]]
    """
    dims = rows.shape[1] // count
    keypoints = np.ones((len(rows), count, 3), np.float32)
    keypoints[..., :dims] = rows.reshape(-1, count, dims)
    confidence = keypoints[..., 2]
    np.clip(confidence, 0.0, 1.0, out=confidence, where=np.isfinite(confidence))  # `collect` reports infinity
    return keypoints


DECODER = Decoder(
    'yolov8_pose',
    ('predictions',),
    needs_nms=True,
    option_names=('keypoint_count', 'keypoint_dims', 'mask_channels'),
    decode=decode,
    ranks={'predictions': 2},
)
