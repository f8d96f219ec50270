# SPDX-License-Identifier: Apache-2.0
"""YOLOv8, 9, 11 and any other export of that layout: boxes in pixels, class scores, no objectness."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import to_corners
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    check_mask_channels,
    check_thresholds,
    collect,
    find_candidates,
    highest,
    rate,
    take_output,
)

_STRIDES = (8, 16, 32)


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    box_format: str = 'cxcywh',
    normalized: bool = False,
    activation: str = 'none',
    mask_channels: int = 0,
) -> Detections:
    """Reads boxes that are in pixels, or fractions of the input, already.

    Roles:
        predictions: (4 + class_count + extra, N) or its transpose, as (x_center, y_center, width, height) in
            input pixels, class scores in [0, 1], and whatever else the head outputs, which is ignored; or exactly the
            mask coefficients.

    Args:
        box_format: what the box's four channels are; see `BoxFormat`.
        normalized: boxes are in fractions of the input's width and height instead of pixels.
        activation: what makes scores of the class channels, 'none' where they are in [0, 1] already.
        mask_channels: coefficients of each box's mask, which stand last; 0 for a model without masks.

    Example: two classes, three anchors, of which the last one has a detection.
        >>> predictions = np.zeros((6, 3), np.float32)
        >>> predictions[:, 2] = 10, 20, 4, 2, 0.25, 0.75
        >>> found = decode({'predictions': predictions}, input_wh=(32, 32), class_count=2, score_threshold=0.5)
        >>> found.boxes.tolist(), found.class_ids.tolist()
        ([[8.0, 19.0, 12.0, 21.0]], [1])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    predictions = take_output(outputs, 'predictions', ('C', 'N'))
    check_mask_channels(mask_channels)
    channels = (
        exact_channels_first(predictions, 4 + class_count + mask_channels, 'box, class scores and mask coefficients')
        if mask_channels
        else channels_first(predictions, input_wh, class_count)
    )
    index, scores, class_ids, best = read_scores(channels, class_count, thresholds, activation)
    boxes = to_corners(channels[:4, index].T, box_format, input_wh if normalized else None)
    coefficients = channels[4 + class_count :, index].T if mask_channels else None
    return collect(boxes, scores, class_ids, thresholds, 'predictions', coefficients=coefficients, best_score=best)


def read_scores(
    channels: np.ndarray, class_count: int, thresholds: np.ndarray, activation: str = 'none'
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The candidates whose best class reaches the lowest threshold.

    Args:
        channels: (4 + class_count or more, N) float32, as `decode` describes them.
        class_count: number of classes.
        thresholds: () or (class_count,).
        activation: as of `decode`.

    Returns:
        Their columns, their scores and their class ids, (M,) each, and the highest score of all columns.

    Raises:
        FrameError: 'non_finite_output'.

    Example: one column, two classes.
        >>> channels = np.array([[10, 20, 4, 2, 0.25, 0.75]], np.float32).T
        >>> index, scores, class_ids, best = read_scores(channels, 2, np.asarray(0.5))
        >>> index.tolist(), scores.tolist(), class_ids.tolist(), best
        ([0], [0.75], [1], 0.75)
    """
    class_scores = channels[4 : 4 + class_count]
    scores = rate(class_scores, 'predictions', activation, axis=0)
    index = find_candidates(scores, thresholds, 'predictions')
    return index, scores[index], class_scores[:, index].argmax(axis=0), highest(scores)


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


def exact_channels_first(predictions: np.ndarray, needed: int, what: str = 'box, class scores and more') -> np.ndarray:
    """The (needed, N) view of the predictions; there are no extras, so the number of channels identifies the axis.

    Args:
        predictions: either axis first.
        needed: number of channels.
        what: the channels, for the error.

    Raises:
        FrameError: 'bad_output_shape', when neither axis is `needed` long.

    Example:
        >>> exact_channels_first(np.zeros((21, 7)), 7, 'box and class scores').shape
        (7, 21)
    """
    if len(predictions) == needed:
        return predictions
    if predictions.shape[1] == needed:
        return predictions.T
    raise bad_shape('predictions', predictions, f'({needed}, N) or (N, {needed}), {what}')


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


DECODER = Decoder(
    'yolov8',
    ('predictions',),
    needs_nms=True,
    option_names=('box_format', 'normalized', 'activation', 'mask_channels'),
    decode=decode,
    ranks={'predictions': 2},
)
