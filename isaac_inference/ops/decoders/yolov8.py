# SPDX-License-Identifier: Apache-2.0
"""YOLOv8, 9, 11 and any other export of that layout: boxes in pixels, class scores, no objectness."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    check_thresholds,
    collect,
    corners_from_centers,
    find_candidates,
    take_output,
)

_STRIDES = (8, 16, 32)


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
) -> Detections:
    """Reads boxes that are in pixels already.

    Roles:
        predictions: (4 + class_count + extra, N) or its transpose, as (x_center, y_center, width, height) in
            input pixels, class scores in [0, 1], and whatever else the head outputs (mask coefficients,
            keypoints), which is ignored.

    Example: two classes, three anchors, of which the last one has a detection.
        >>> predictions = np.zeros((6, 3), np.float32)
        >>> predictions[:, 2] = 10, 20, 4, 2, 0.25, 0.75
        >>> found = decode({'predictions': predictions}, input_wh=(32, 32), class_count=2, score_threshold=0.5)
        >>> found.boxes.tolist(), found.class_ids.tolist()
        ([[8.0, 19.0, 12.0, 21.0]], [1])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    predictions = take_output(outputs, 'predictions', ('C', 'N'))
    channels = channels_first(predictions, input_wh, class_count)
    _, boxes, scores, class_ids = read_boxes(channels, class_count, thresholds)
    return collect(boxes, scores, class_ids, thresholds, 'predictions')


def read_boxes(
    channels: np.ndarray, class_count: int, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The candidates whose best class reaches the lowest threshold.

    Args:
        channels: (4 + class_count or more, N) float32, as `decode` describes them.
        class_count: number of classes.
        thresholds: () or (class_count,).

    Returns:
        Their columns, their boxes (M, 4) as corners in input pixels, their scores and their class ids, (M,) each.

    Example: one column, two classes.
        >>> channels = np.array([[10, 20, 4, 2, 0.25, 0.75]], np.float32).T
        >>> index, boxes, scores, class_ids = read_boxes(channels, 2, np.asarray(0.5))
        >>> index.tolist(), boxes.tolist(), scores.tolist(), class_ids.tolist()
        ([0], [[8.0, 19.0, 12.0, 21.0]], [0.75], [1])
    """
    class_scores = channels[4 : 4 + class_count]
    index = find_candidates(class_scores.max(axis=0), thresholds, 'predictions')
    candidates = class_scores[:, index]
    class_ids = candidates.argmax(axis=0)
    scores = candidates[class_ids, np.arange(len(index))]
    return index, corners_from_centers(channels[:4, index].T), scores, class_ids


def channels_first(predictions: np.ndarray, input_wh: tuple[int, int], class_count: int) -> np.ndarray:
    """The (4 + class_count + extra, N) view of the predictions.

    Args:
        predictions: as `decode` describes them, either axis first.
        input_wh: the model input's (width, height) in pixels, which determines the number of anchors.
        class_count: number of classes.

    Raises:
        FrameError: 'bad_output_shape', when neither axis can be the channels.

    Example: 32x32 pixels have 16 + 4 + 1 = 21 anchors, so the other axis is the channels.
        >>> channels_first(np.zeros((21, 6)), (32, 32), class_count=2).shape
        (6, 21)
    """
    needed = 4 + class_count
    anchors = sum(-(-input_wh[0] // stride) * -(-input_wh[1] // stride) for stride in _STRIDES)
    channels = predictions.T if _is_transposed(predictions.shape, needed, anchors) else predictions
    if len(channels) < needed:
        raise bad_shape('predictions', predictions, f'({needed} or more, N) or (N, {needed} or more)')
    return channels


def _is_transposed(shape: tuple[int, ...], needed: int, anchors: int) -> bool:
    """Whether the channels are the second axis.

    They are when the first axis has as many entries as this input size has anchors, or else when only the second has
    exactly as many entries as needed, or else when it is the shorter one. A square is read channels first.
    """
    first, second = shape
    if second == anchors and first >= needed:
        return False
    if first == anchors and second >= needed:
        return True
    if needed in shape:
        return first != needed
    return second < first


DECODER = Decoder('yolov8', ('predictions',), needs_nms=True, option_names=(), decode=decode)
