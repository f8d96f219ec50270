# SPDX-License-Identifier: Apache-2.0
"""Models that output finished boxes, scores and labels as three tensors (RT-DETR exports, torchvision)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    check_labels,
    check_thresholds,
    collect,
    find_candidates,
    take_any,
    take_output,
)


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    normalized: bool = False,
) -> Detections:
    """Reads finished boxes.

    Roles:
        boxes: (N, 4) as (x_min, y_min, x_max, y_max), in input pixels.
        scores: (N,) in [0, 1].
        labels: (N,) class ids, integers or whole floats. Rows below the threshold may hold anything.

    Args:
        normalized: boxes are in fractions of the input's width and height instead of pixels.

    Example: a box over the left half of the input.
        >>> half = np.array([[0, 0, 0.5, 1]], np.float32)
        >>> outputs = {'boxes': half, 'scores': np.array([0.75], np.float32), 'labels': np.array([2])}
        >>> found = decode(outputs, input_wh=(64, 32), class_count=3, score_threshold=0.5, normalized=True)
        >>> found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()
        ([[0.0, 0.0, 32.0, 32.0]], [0.75], [2])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    boxes = take_output(outputs, 'boxes', ('N', 4))
    scores, labels = take_rows(outputs, len(boxes))
    index = find_candidates(scores, thresholds, 'scores')
    class_ids = check_labels(labels[index], class_count, 'labels')
    found = boxes[index]
    if normalized:
        found = found * np.asarray((*input_wh, *input_wh), np.float32)
    return collect(found, scores[index], class_ids, thresholds, 'boxes')


def take_rows(outputs: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The outputs 'scores' as float32 and 'labels' in its own type, (count,) each.

    Raises:
        FrameError: 'missing_output', 'bad_output_shape' or 'bad_output_type'.

    Example:
        >>> scores, labels = take_rows({'scores': np.ones(2, np.float16), 'labels': np.array([0, 5])}, 2)
        >>> scores.dtype.name, labels.tolist()
        ('float32', [0, 5])
    """
    scores, labels = take_output(outputs, 'scores', ('N',)), take_any(outputs, 'labels', ('N',))
    for role, array in (('scores', scores), ('labels', labels)):
        if len(array) != count:
            raise bad_shape(role, array, (count,))
    if labels.dtype.kind not in 'iuf':
        raise FrameError('bad_output_type', f"output 'labels': got {labels.dtype}, expected integers")
    return scores, labels


DECODER = Decoder(
    'boxes_scores_labels',
    ('boxes', 'scores', 'labels'),
    needs_nms=False,
    option_names=('normalized',),
    decode=decode,
)
