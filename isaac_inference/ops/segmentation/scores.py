# SPDX-License-Identifier: Apache-2.0
"""Class scores to the best class of each cell of the network's output, and how sure it is.

A cell is one value of an output's map; a network's output may have fewer of them than its input has pixels.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.decoders.base import non_finite
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.ops.segmentation.unlabelled import mask_dtype

ROLE = 'scores'


def class_planes(scores: np.ndarray, layout: TensorLayout = TensorLayout.NCHW) -> np.ndarray:
    """One image's scores as one map per class.

    Args:
        scores: (C, h, w) or, for NHWC, (h, w, C); of any numeric type.
        layout: which of the two.

    Returns:
        (C, h, w) float32, C-contiguous; a view of `scores` where it is that already.

    Raises:
        FrameError: 'bad_output_shape', 'bad_output_type', or 'non_finite_output' for NaN or infinity anywhere.

    Example:
        >>> class_planes(np.array([[[1, 2], [3, 4]]]), TensorLayout.NHWC).tolist()
        [[[1.0, 3.0]], [[2.0, 4.0]]]
    """
    if scores.ndim != 3 or not scores.size:
        axes = '(C, h, w)' if layout is TensorLayout.NCHW else '(h, w, C)'
        raise FrameError(
            'bad_output_shape',
            f'output {ROLE!r}: got {scores.shape}, expected {axes} without the batch axis; check the layout in the '
            'model card',
        )
    if scores.dtype.kind not in 'fiu':
        raise FrameError('bad_output_type', f'output {ROLE!r}: got {scores.dtype}, expected numbers; check the model')
    values = np.ascontiguousarray(scores, np.float32)
    _check_finite(values)
    if layout is TensorLayout.NCHW:
        return values
    height, width, classes = values.shape
    turned = cv2.transpose(values.reshape(height * width, classes))  # a fraction of the time of NumPy's
    return turned.reshape(classes, height, width)


def against_rest(plane: np.ndarray, activation: str, threshold: float = 0.5) -> np.ndarray:
    """The planes of a single class against the rest: 'the rest' is a constant, so that the class wins above the
    threshold.

    Args:
        plane: (1, h, w) float32, the class's scores.
        activation: 'sigmoid' where a sigmoid makes probabilities of them, 'none' where they are.
        threshold: (0, 1), the least probability of the class.

    Returns:
        (2, h, w) float32: the rest, the class.

    Example:
        >>> against_rest(np.array([[[0.2, 0.8]]], np.float32), 'none').argmax(axis=0).tolist()
        [[0, 1]]
    """
    return np.concatenate((np.full_like(plane, _level(activation, threshold)), plane))


def is_class(plane: np.ndarray, activation: str, threshold: float = 0.5) -> np.ndarray:
    """The ids that `best_class` gives of `against_rest`, for who wants no scores: a fifth of the time.

    Args:
        plane: (h, w) float32, the class's scores.
        activation, threshold: as of `against_rest`.

    Returns:
        (h, w) uint8, 1 where it is the class.

    Example:
        >>> is_class(np.array([[0.2, 0.8]], np.float32), 'none').tolist()
        [[0, 1]]
    """
    return np.asarray(plane > np.float32(_level(activation, threshold))).view(np.uint8)


def _level(activation: str, threshold: float) -> float:
    """The score that has this probability."""
    return math.log(threshold / (1.0 - threshold)) if activation == 'sigmoid' else threshold


def best_class(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class with the highest score of each cell; the first of equal ones, as `argmax`, at a tenth of its time.

    Args:
        planes: (C, h, w) float32, finite.

    Returns:
        ids (h, w), uint8 or uint16 as of `mask_dtype`, and the scores of these classes, (h, w) float32.

    Example:
        >>> ids, best = best_class(np.array([[[1.0, 2.0]], [[3.0, 2.0]]], np.float32))
        >>> ids.tolist(), best.tolist()
        ([[1, 0]], [[3.0, 2.0]])
    """
    best = planes[0].copy()
    ids = np.zeros(best.shape, mask_dtype(len(planes)))
    wins = np.empty(best.shape, np.bool_)
    own = np.empty_like(ids)
    for index in range(1, len(planes)):
        np.greater(planes[index], best, out=wins)
        np.multiply(wins, ids.dtype.type(index), out=own)
        np.maximum(ids, own, out=ids)  # the indices rise, so the last that won is the highest
        np.maximum(best, planes[index], out=best)
    return ids, best


def confidence(planes: np.ndarray, best: np.ndarray, activation: str) -> np.ndarray:
    """The probability of each cell's best class.

    Args:
        planes: (C, h, w) float32.
        best: (h, w) float32, the highest of them.
        activation: 'softmax', 'sigmoid' or 'none', as of `SemanticSegmentationSpec`.

    Returns:
        (h, w) float32 in 0..1.

    Example:
        >>> planes = np.array([[[0.0]], [[np.log(3)]]], np.float32)
        >>> confidence(planes, planes[1], 'softmax').round(3).tolist()
        [[0.75]]
    """
    if activation == 'softmax':
        total = np.zeros_like(best)
        for plane in planes:
            total += np.exp(plane - best)
        return np.reciprocal(total, out=total)
    return np.clip(_probability(best, activation), 0.0, 1.0)


def confidence_against_rest(plane: np.ndarray, ids: np.ndarray, activation: str) -> np.ndarray:
    """As `confidence`, for a single class against the rest, whose probability is what is left.

    Args:
        plane: (h, w) float32, the class's scores.
        ids: (h, w), 1 where it is the class.
        activation: 'sigmoid' or 'none'.

    Example:
        >>> confidence_against_rest(np.array([[0.25, 0.75]]), np.array([[0, 1]]), 'none').tolist()
        [[0.75, 0.75]]
    """
    probability = np.clip(_probability(plane, activation), 0.0, 1.0)
    return np.where(ids == 1, probability, 1.0 - probability)


def as_byte(probability: np.ndarray) -> np.ndarray:
    """0..1 as 0..255 uint8, rounded.

    Example:
        >>> as_byte(np.array([0.0, 0.5, 1.0])).tolist()
        [0, 128, 255]
    """
    return (probability * 255.0 + 0.5).astype(np.uint8)


def _probability(scores: np.ndarray, activation: str) -> np.ndarray:
    if activation == 'none':
        return scores
    with np.errstate(over='ignore'):
        return 1.0 / (1.0 + np.exp(-scores))  # type: ignore[no-any-return]


def _check_finite(values: np.ndarray) -> None:
    """NaN and infinity survive a product; one that is not finite is only a suspicion, since numbers can overflow it."""
    flat = values.ravel()
    with np.errstate(all='ignore'):
        if not np.isfinite(np.dot(flat, flat)) and not np.isfinite(flat).all():
            raise non_finite(ROLE, 'a score')
