# SPDX-License-Identifier: Apache-2.0
"""Models that output finished boxes, scores and labels as separate tensors (RT-DETR exports, torchvision, mmdeploy)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import to_corners
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    check_labels,
    check_thresholds,
    collect,
    find_candidates,
    highest,
    split_coefficients,
    take,
    take_floats,
    take_output,
)


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    box_format: str = 'xyxy',
    normalized: bool = False,
    first_label: int = 0,
    mask_channels: int = 0,
) -> Detections:
    """Reads finished boxes.

    Roles:
        boxes: (N, 4); or (N, 5) with the score as fifth column, and then no output `scores`. After these come
            `mask_channels` columns more.
        scores: (N,) or (N, 1), in [0, 1].
        labels: (N,) class ids, integers or whole floats. Rows below the threshold may hold anything.

    Args:
        box_format: what the box's four columns are; see `BoxFormat`.
        normalized: boxes are in fractions of the input's width and height instead of pixels.
        first_label: what the model outputs for the first class. Where that is 1, 0 means 'no object' and is dropped.
        mask_channels: coefficients of each box's mask, which stand last; 0 for a model without masks.

    Example: a box over the left half of the input.
        >>> half = np.array([[0, 0, 0.5, 1]], np.float32)
        >>> outputs = {'boxes': half, 'scores': np.array([0.75], np.float32), 'labels': np.array([2])}
        >>> found = decode(outputs, input_wh=(64, 32), class_count=3, score_threshold=0.5, normalized=True)
        >>> found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist()
        ([[0.0, 0.0, 32.0, 32.0]], [0.75], [2])
    """
    thresholds = check_thresholds(score_threshold, class_count)
    outputs, coefficients = split_coefficients(outputs, 'boxes', mask_channels)
    boxes, scores, labels = take_rows(outputs)
    index = find_candidates(scores, thresholds, 'scores' if 'scores' in outputs else 'boxes')
    index, class_ids = read_labels(labels, index, class_count, first_label)
    corners = to_corners(boxes[index], box_format, input_wh if normalized else None)
    return collect(
        corners,
        scores[index],
        class_ids,
        thresholds,
        'boxes',
        coefficients=None if coefficients is None else coefficients[index],
        rows=index,
        best_score=highest(scores),
    )


def take_rows(outputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (N, 4) and scores (N,) as float32 and labels (N,) in their own type, as `decode` describes them.

    Raises:
        FrameError: 'missing_output', 'bad_output_shape' or 'bad_output_type'.

    Example: the score is the boxes' fifth column.
        >>> outputs = {'boxes': np.array([[1, 2, 3, 4, 0.5]], np.float16), 'labels': np.array([7])}
        >>> boxes, scores, labels = take_rows(outputs)
        >>> boxes.tolist(), scores.tolist(), labels.tolist()
        ([[1.0, 2.0, 3.0, 4.0]], [0.5], [7])
    """
    five = 'scores' not in outputs and take(outputs, 'boxes').shape[1:] == (5,)
    boxes = take_output(outputs, 'boxes', ('N', 5 if five else 4))
    if five:
        boxes, scores = boxes[:, :4], boxes[:, 4]
    else:
        scores = _column(take_floats(outputs, 'scores'))
    labels = _column(take(outputs, 'labels'))
    for role, array in (('scores', scores), ('labels', labels)):
        if array.shape != (len(boxes),):
            raise bad_shape(role, array, (len(boxes),))
    if labels.dtype.kind not in 'iuf':
        raise FrameError('bad_output_type', f"output 'labels': got {labels.dtype}, expected integers")
    return boxes, scores, labels


def _column(array: np.ndarray) -> np.ndarray:
    """(N, 1) as (N,); anything else as it is."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def read_labels(
    labels: np.ndarray, index: np.ndarray, class_count: int, first_label: int, role: str = 'labels'
) -> tuple[np.ndarray, np.ndarray]:
    """Class ids of rows, without the rows that mean 'no object'.

    Args:
        labels: (N,) of all rows, any numbers.
        index: (K,) rows that matter.
        class_count: number of classes.
        first_label: as of `decode`.
        role: the output that an error names.

    Returns:
        The rows that remain and their class ids, (M,) each.

    Raises:
        FrameError: 'bad_class_id'.
        ConfigError: first_label is no whole number of 0 or more.

    Example: a model that counts from 1.
        >>> rows, class_ids = read_labels(np.array([0, 1, 3]), np.array([0, 1, 2]), class_count=3, first_label=1)
        >>> rows.tolist(), class_ids.tolist()
        ([1, 2], [0, 2])
    """
    if first_label != int(first_label) or first_label < 0:
        raise ConfigError(f'first_label: got {first_label!r}, expected a whole number of 0 or more, 1 for most others')
    labels = labels[index]
    if first_label:
        given = check_labels(labels, class_count + int(first_label), role)
        is_object = given >= first_label
        index, labels = index[is_object], given[is_object] - int(first_label)
    return index, check_labels(labels, class_count, role)


DECODER = Decoder(
    'boxes_scores_labels',
    ('boxes', 'labels'),
    needs_nms=False,
    option_names=('box_format', 'normalized', 'first_label', 'mask_channels'),
    decode=decode,
    ranks={'boxes': 2, 'scores': 1, 'labels': 1},
    optional_roles=('scores',),
    tells_rows=True,
)
