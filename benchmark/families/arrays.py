# SPDX-License-Identifier: Apache-2.0
"""Plain NumPy for the decodes of the cases: they must not share code with the decoders that they check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.families.case import Decoded


def sigmoid(values: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return np.asarray(1 / (1 + np.exp(-values.astype(np.float64))))


def softmax(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Probabilities along `axis`."""
    powers = np.exp(values.astype(np.float64) - values.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def from_center(boxes: np.ndarray) -> np.ndarray:
    """[..., 4] center x, center y, width, height -> x1, y1, x2, y2."""
    return np.concatenate([boxes[..., :2] - boxes[..., 2:4] / 2, boxes[..., :2] + boxes[..., 2:4] / 2], axis=-1)


def by_size(boxes: np.ndarray, input_wh: tuple[int, int]) -> np.ndarray:
    """Boxes in 0..1 -> px."""
    return np.asarray(boxes * np.array([*input_wh, *input_wh]))


def best(boxes: np.ndarray, scores: np.ndarray, first_class: int = 0) -> Decoded:
    """Boxes [N, 4] and scores [N, classes] -> each box with its best class, numbered from `first_class`."""
    ids = scores.argmax(axis=1)
    return final(boxes, scores[np.arange(len(ids)), ids], ids + first_class)


def final(boxes: np.ndarray, scores: np.ndarray, ids: np.ndarray) -> Decoded:
    """The three arrays in the dtypes of `Decoded`."""
    return (
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(scores, np.float32).reshape(-1),
        np.asarray(ids).reshape(-1).astype(np.int64),
    )


def cells(input_wh: tuple[int, int], strides: Sequence[int], offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Centers [cells, 2] in px and strides [cells, 1] of a grid: row by row, stride by stride.

    Args:
        input_wh: (width, height) of the input in px.
        strides: px between two cells; a size that it does not divide has one more cell.
        offset: of a center from its cell's corner, in cells.
    """
    centers, sizes = [], []
    for stride in strides:
        width, height = (-(-side // stride) for side in input_wh)
        ys, xs = np.mgrid[:height, :width]
        centers.append((np.stack([xs, ys], axis=-1).reshape(-1, 2) + offset) * stride)
        sizes.append(np.full((width * height, 1), stride))
    return np.concatenate(centers).astype(np.float64), np.concatenate(sizes).astype(np.float64)


def from_distances(centers: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Distances [N, 4] in px from the centers to the left, top, right and bottom side -> x1, y1, x2, y2."""
    return np.concatenate([centers - distances[:, :2], centers + distances[:, 2:]], axis=-1)


def expected_bin(bins: np.ndarray, count: int) -> np.ndarray:
    """[N, 4 * count] logits over the distances 0, 1, ... -> [N, 4] expected distances."""
    return np.asarray(softmax(bins.reshape(len(bins), 4, count)) @ np.arange(count))
