# SPDX-License-Identifier: Apache-2.0
"""DETR and its relatives (RT-DETR, DINO): a set of queries with logits and normalised boxes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.base import (
    Decoder,
    bad_shape,
    check_thresholds,
    collect,
    corners_from_centers,
    find_candidates,
    non_finite,
    take_output,
)


def decode(
    outputs: Mapping[str, np.ndarray],
    *,
    input_wh: tuple[int, int],
    class_count: int,
    score_threshold: float | np.ndarray,
    activation: str = 'sigmoid',
) -> Detections:
    """Reads one box per query, with its best class.

    Roles:
        logits: (Q, class_count); with softmax (Q, class_count + 1), whose last column means 'no object'
            (Carion et al., arXiv 2005.12872).
        boxes: (Q, 4) as (x_center, y_center, width, height) in fractions of the input's width and height.

    Args:
        activation: 'sigmoid' (RT-DETR, DINO) or 'softmax' (DETR).

    Example: a logit of 0 is a score of 0.5.
        >>> outputs = {'logits': np.zeros((1, 1), np.float32), 'boxes': np.array([[0.5, 0.5, 0.5, 1]], np.float32)}
        >>> found = decode(outputs, input_wh=(64, 32), class_count=1, score_threshold=0.5)
        >>> found.boxes.tolist(), found.scores.tolist()
        ([[16.0, 0.0, 48.0, 32.0]], [0.5])
    """
    if activation not in _ACTIVATIONS:
        raise ConfigError(f'activation: got {activation!r}, expected one of {", ".join(_ACTIVATIONS)}')
    thresholds = check_thresholds(score_threshold, class_count)
    columns = class_count + (1 if activation == 'softmax' else 0)
    logits = take_output(outputs, 'logits', ('Q', columns))
    normalized = take_output(outputs, 'boxes', ('Q', 4))
    if len(normalized) != len(logits):
        raise bad_shape('boxes', normalized, (len(logits), 4))
    best = logits[:, :class_count].max(axis=1)
    if np.isposinf(best).any():
        raise non_finite('logits')
    scores = _ACTIVATIONS[activation](logits, best)
    index = find_candidates(scores, thresholds, 'logits')
    class_ids = logits[index, :class_count].argmax(axis=1)
    boxes = corners_from_centers(normalized[index]) * np.asarray((*input_wh, *input_wh), np.float32)
    return collect(boxes, scores[index], class_ids, thresholds, 'boxes')


def _sigmoid(logits: np.ndarray, best: np.ndarray) -> np.ndarray:
    with np.errstate(over='ignore'):
        return 1.0 / (1.0 + np.exp(-best))


def _softmax(logits: np.ndarray, best: np.ndarray) -> np.ndarray:
    top = logits.max(axis=1)
    with np.errstate(invalid='ignore'):  # infinity minus infinity is NaN, which is reported
        return np.exp(best - top) / np.exp(logits - top[:, None]).sum(axis=1)


_ACTIVATIONS = {'sigmoid': _sigmoid, 'softmax': _softmax}

DECODER = Decoder('detr', ('logits', 'boxes'), needs_nms=False, option_names=('activation',), decode=decode)
