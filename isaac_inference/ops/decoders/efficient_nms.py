# SPDX-License-Identifier: Apache-2.0
"""Models with built-in NMS that output how many of their rows are valid (EfficientNMS_TRT and the like)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders import boxes_scores_labels
from isaac_inference.ops.decoders.base import Decoder, bad_shape, check_thresholds, take


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    box_format: str = 'xyxy',
    normalized: bool = False,
    first_label: int = 0,
) -> Detections:
    """Reads the first `num_detections` rows as `boxes_scores_labels` does, and ignores the rest.

    Roles:
        num_detections: one element in any shape, a whole number in 0..N of any type.
        boxes, scores, labels: as of `boxes_scores_labels`.

    Args:
        box_format, normalized, first_label: as of `boxes_scores_labels`.

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
    boxes, scores, labels = boxes_scores_labels.take_rows(outputs)
    count = take_count(outputs, len(boxes))
    return boxes_scores_labels.decode(
        {'boxes': boxes[:count], 'scores': scores[:count], 'labels': labels[:count]},
        input_wh=input_wh,
        class_count=class_count,
        score_threshold=score_threshold,
        box_format=box_format,
        normalized=normalized,
        first_label=first_label,
    )


def take_count(outputs: Mapping[str, np.ndarray], limit: int) -> int:
    """The output 'num_detections', from 0 to `limit`.

    Raises:
        FrameError: 'missing_output', 'bad_output_shape' or 'bad_num_detections'.

    Example:
        >>> take_count({'num_detections': np.array([[3.0]], np.float32)}, limit=100)
        3
    """
    array = np.asarray(take(outputs, 'num_detections'))
    if array.size != 1:
        raise bad_shape('num_detections', array, 'one number')
    count = array.item()
    if not 0 <= count <= limit or count != int(count):
        raise FrameError(
            'bad_num_detections',
            f"output 'num_detections': got {count}, expected a whole number in 0..{limit}, the number of "
            'rows; check how the model was exported',
        )
    return int(count)


DECODER = Decoder(
    'efficient_nms',
    ('num_detections', 'boxes', 'labels'),
    needs_nms=False,
    option_names=('box_format', 'normalized', 'first_label'),
    decode=decode,
    ranks={'num_detections': 0, 'boxes': 2, 'scores': 1, 'labels': 1},
    optional_roles=('scores',),
    other_ranks={'num_detections': (1,)},
    tells_rows=True,
)
