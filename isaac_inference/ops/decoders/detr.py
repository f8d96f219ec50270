# SPDX-License-Identifier: Apache-2.0
"""DETR and its relatives (RT-DETR, DINO): a set of queries with class scores and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import Activation, to_corners
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    best_classes,
    check_thresholds,
    collect,
    find_candidates,
    highest,
    rate,
    take_output,
)
from isaac_inference.ops.image.options import option


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    activation: str = 'sigmoid',
    box_format: str = 'cxcywh',
    normalized: bool = True,
    unused: Sequence[int] = (),
) -> Detections:
    """Reads one box per query, with its best class.

    Roles:
        logits: (Q, class_count); with softmax (Q, class_count + 1), whose last column means 'no object'
            (Carion et al., arXiv 2005.12872). With activation 'none' either.
        boxes: (Q, 4), in fractions of the input's width and height.

    Args:
        activation: 'sigmoid' (RT-DETR, DINO), 'softmax' (DETR), or 'none' for exports that end in one of them.
        box_format: what the box's four columns are; see `BoxFormat`.
        normalized: False for boxes in input pixels.
        unused: class ids that no object has, such as a spare column; a query's best class is none of them.

    Example: a logit of 0 is a score of 0.5.
        >>> outputs = {'logits': np.zeros((1, 1), np.float32), 'boxes': np.array([[0.5, 0.5, 0.5, 1]], np.float32)}
        >>> found = decode(outputs, input_wh=(64, 32), class_count=1, score_threshold=0.5)
        >>> found.boxes.tolist(), found.scores.tolist()
        ([[16.0, 0.0, 48.0, 32.0]], [0.5])
    """
    kind = option(Activation, activation, 'activation')
    thresholds = check_thresholds(score_threshold, class_count)
    logits = take_output(outputs, 'logits', ('Q', 'C'))
    has_background = kind is Activation.SOFTMAX or (kind is Activation.NONE and logits.shape[1] == class_count + 1)
    if logits.shape[1] != class_count + has_background:
        raise bad_shape('logits', logits, ('Q', class_count + has_background))
    if unused:
        logits = logits.copy()
        logits[:, list(unused)] = -np.inf
    background = 'last' if has_background else 'none'
    boxes = take_output(outputs, 'boxes', ('Q', 4))
    if len(boxes) != len(logits):
        raise bad_shape('boxes', boxes, (len(logits), 4))
    scores = rate(logits, 'logits', kind, background)
    index = find_candidates(scores, thresholds, 'logits')
    class_ids = best_classes(logits[index], background)
    corners = to_corners(boxes[index], box_format, input_wh if normalized else None)
    return collect(corners, scores[index], class_ids, thresholds, 'boxes', rows=index, best_score=highest(scores))


DECODER = Decoder(
    'detr',
    ('logits', 'boxes'),
    needs_nms=False,
    option_names=('activation', 'box_format', 'normalized', 'unused'),
    decode=decode,
    ranks={'logits': 2, 'boxes': 2},
    tells_rows=True,
)
