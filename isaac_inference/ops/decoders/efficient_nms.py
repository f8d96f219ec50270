# SPDX-License-Identifier: Apache-2.0
"""Models with built-in NMS that output how many of their rows are valid (EfficientNMS_TRT and the like)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders import boxes_scores_labels
from isaac_inference.ops.decoders.base import Decoder, bad_shape, check_thresholds, take, take_output


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    normalized: bool = False,
) -> Detections:
    """Reads the first `num_detections` rows and ignores the rest.

    Roles:
        num_detections: () or (1,), a whole number in 0..N.
        boxes: (N, 4) as (x_min, y_min, x_max, y_max), in input pixels.
        scores: (N,) in [0, 1].
        labels: (N,) class ids.

    Args:
        normalized: boxes are in fractions of the input's width and height instead of pixels.

    Raises:
        FrameError: 'bad_num_detections', besides the common ones.

    Example: one valid row of two.
        >>> boxes = np.array([[0, 0, 8, 4], [1, 1, 2, 2]], np.float32)
        >>> outputs = {'num_detections': np.array([1]), 'boxes': boxes}
        >>> outputs |= {'scores': np.array([0.75, 0.5], np.float32), 'labels': np.array([2, 0])}
        >>> decode(outputs, input_wh=(32, 32), class_count=3, score_threshold=0.25).boxes.tolist()
        [[0.0, 0.0, 8.0, 4.0]]
    """
    check_thresholds(score_threshold, class_count)
    boxes = take_output(outputs, 'boxes', ('N', 4))
    scores, labels = boxes_scores_labels.take_rows(outputs, len(boxes))
    count = _take_count(outputs, len(boxes))
    return boxes_scores_labels.decode(
        {'boxes': boxes[:count], 'scores': scores[:count], 'labels': labels[:count]},
        input_wh=input_wh,
        class_count=class_count,
        score_threshold=score_threshold,
        normalized=normalized,
    )


def _take_count(outputs: Mapping[str, np.ndarray], limit: int) -> int:
    array = np.asarray(take(outputs, 'num_detections'))
    if array.shape not in ((), (1,)):
        raise bad_shape('num_detections', array, '() or (1)')
    count = array.item()
    if not 0 <= count <= limit or count != int(count):
        raise FrameError(
            'bad_num_detections',
            f"output 'num_detections': got {count}, expected a whole number in 0..{limit}, the number of "
            "rows of 'boxes'; check how the model was exported",
        )
    return int(count)


DECODER = Decoder(
    'efficient_nms',
    ('num_detections', 'boxes', 'scores', 'labels'),
    needs_nms=False,
    option_names=('normalized',),
    decode=decode,
)
