# SPDX-License-Identifier: Apache-2.0
"""The ways in which exporters write boxes and class scores, and the one way in which everything after them reads."""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.image.options import Option, option


class BoxFormat(Option):
    """What the four numbers of a box are."""

    XYXY = 'xyxy'  # x_min, y_min, x_max, y_max
    CXCYWH = 'cxcywh'  # x_center, y_center, width, height
    XYWH = 'xywh'  # x_min, y_min, width, height
    YXYX = 'yxyx'  # y_min, x_min, y_max, x_max, as TensorFlow writes them


class Activation(Option):
    """What turns the network's class scores into numbers from 0 to 1."""

    NONE = 'none'  # they are that already
    SIGMOID = 'sigmoid'
    SOFTMAX = 'softmax'


class Background(Option):
    """Which column of the class scores means 'no object'."""

    NONE = 'none'
    FIRST = 'first'
    LAST = 'last'


def to_corners(boxes: np.ndarray, box_format: BoxFormat | str, scale: tuple[float, float] | None = None) -> np.ndarray:
    """Boxes of any format as (x_min, y_min, x_max, y_max).

    Args:
        boxes: (N, 4) floating point.
        box_format: what the columns are.
        scale: factors for x and y, such as the input's (width, height) in pixels for boxes in fractions of it; None
            leaves the unit as it is.

    Returns:
        (N, 4) of the same type; `boxes` itself where nothing is to be done.

    Raises:
        ConfigError: an unknown format.

    Example:
        >>> to_corners(np.array([[10.0, 20.0, 4.0, 2.0]]), 'cxcywh').tolist()
        [[8.0, 19.0, 12.0, 21.0]]
        >>> to_corners(np.array([[0.25, 0.5, 0.75, 1.0]]), 'yxyx', (64, 32)).tolist()
        [[32.0, 8.0, 64.0, 24.0]]
    """
    kind = option(BoxFormat, box_format, 'box_format')
    if kind is BoxFormat.CXCYWH:
        boxes = corners_from_centers(boxes)
    elif kind is BoxFormat.XYWH:
        boxes = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1)
    elif kind is BoxFormat.YXYX:
        boxes = boxes[:, [1, 0, 3, 2]]
    return boxes if scale is None else boxes * np.asarray((*scale, *scale), boxes.dtype)


def corners_from_centers(boxes: np.ndarray) -> np.ndarray:
    """(K, 4) (x_center, y_center, width, height) to (x_min, y_min, x_max, y_max), same unit and type.

    Example:
        >>> corners_from_centers(np.array([[10.0, 20.0, 4.0, 2.0]])).tolist()
        [[8.0, 19.0, 12.0, 21.0]]
    """
    half = boxes[:, 2:] * 0.5
    with np.errstate(invalid='ignore'):  # infinity minus infinity is NaN, which the decoders report
        return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)


def class_scores(
    scores: np.ndarray, activation: Activation | str = 'none', background: Background | str = 'none'
) -> np.ndarray:
    """Scores of the model's classes, from 0 to 1.

    Args:
        scores: (..., C) floating point as the network outputs them; with a background, C is one more than the classes.
        activation: what makes scores of them.
        background: the column that means 'no object'. It takes part in a softmax and is dropped then, so class ids
            count without it.

    Returns:
        (..., classes) of the same type.

    Raises:
        ConfigError: an unknown activation or background.

    Example: a logit of 0 is a score of 0.5; with softmax, 'no object' takes its share.
        >>> class_scores(np.zeros((1, 2)), 'sigmoid').tolist()
        [[0.5, 0.5]]
        >>> class_scores(np.zeros((1, 4)), 'softmax', 'last').tolist()
        [[0.25, 0.25, 0.25]]
    """
    kind = option(Activation, activation, 'activation')
    if kind is Activation.SIGMOID:
        scores = sigmoid(scores)
    elif kind is Activation.SOFTMAX:
        top = scores.max(axis=-1, keepdims=True)
        with np.errstate(invalid='ignore'):  # infinity minus infinity is NaN, which the decoders report
            powers = np.exp(scores - top)
            scores = powers / powers.sum(axis=-1, keepdims=True)
    return without_background(scores, background)


def best_scores(
    scores: np.ndarray,
    activation: Activation | str = 'none',
    background: Background | str = 'none',
    axis: int = -1,
) -> np.ndarray:
    """`class_scores(...).max(axis)` at a fraction of its cost: only the best class of each box is activated.

    Args:
        scores: as of `class_scores`, the classes along `axis`; at least one class.
        activation, background: as of `class_scores`.
        axis: where the classes are.

    Example:
        >>> best_scores(np.array([[0.0, -3.0], [-4.0, -5.0]]), 'sigmoid').round(3).tolist()
        [0.5, 0.018]
        >>> best_scores(np.array([[9.0, 1.0, 1.0]]), 'softmax', 'first').round(5).tolist()
        [0.00034]
    """
    kind = option(Activation, activation, 'activation')
    best: np.ndarray = without_background(scores, background, axis).max(axis=axis)
    if kind is Activation.SIGMOID:
        return sigmoid(best)
    if kind is Activation.SOFTMAX:
        top = scores.max(axis=axis, keepdims=True)
        with np.errstate(invalid='ignore'):  # as above
            best = np.exp(best - top.squeeze(axis)) / np.exp(scores - top).sum(axis=axis)
    return best


def without_background(scores: np.ndarray, background: Background | str, axis: int = -1) -> np.ndarray:
    """A view of the scores without the column that means 'no object'.

    Raises:
        ConfigError: an unknown background.

    Example:
        >>> without_background(np.array([[7, 1, 2]]), 'first').tolist()
        [[1, 2]]
    """
    kind = option(Background, background, 'background')
    if kind is Background.NONE:
        return scores
    keep = slice(1, None) if kind is Background.FIRST else slice(None, -1)
    where: list[slice] = [slice(None)] * scores.ndim
    where[axis] = keep
    return scores[tuple(where)]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logits)), of the same type.

    Example:
        >>> sigmoid(np.array([0.0, -1000.0])).tolist()
        [0.5, 0.0]
    """
    with np.errstate(over='ignore'):
        result: np.ndarray = 1.0 / (1.0 + np.exp(-logits))
    return result
