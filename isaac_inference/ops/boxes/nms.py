# SPDX-License-Identifier: Apache-2.0
"""Non-maximum suppression: of boxes that overlap too much, only the best is kept."""

from __future__ import annotations

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.rotated import corner_points, polygon_iou

_BLOCK = 128  # rows computed at once: 128 x 1000 float32 still fit into a core's cache
_WORSE = np.triu(np.ones((_BLOCK, _BLOCK), np.bool_), 1)  # whether the column's box comes after the row's
_TINY = 1e-30  # square pixels


def nms(
    detections: Detections,
    *,
    iou_threshold: float,
    class_aware: bool = True,
    top_k: int = 1000,
    max_detections: int = 300,
) -> Detections:
    """Drops every box that overlaps a better, kept box by more than the threshold.

    The result is that of the greedy algorithm, box by box from the best score down. It is computed for a block
    of boxes at once, by iterating on their overlap matrix until nothing changes, which Zheng et al. show to
    converge to the greedy result ('Enhancing Geometric Factors in Model Learning and Inference for Object
    Detection and Instance Segmentation', Cluster-NMS, arXiv 2005.03572, section 4); boxes that a block
    suppresses never enter a later one.

    Boxes without area (inverted ones included) or with values that are not finite are dropped first. The overlap of
    boxes with angles is that of the rotated rectangles.

    Args:
        detections: N boxes in any order.
        iou_threshold: [0, 1]; two boxes that overlap by exactly this much are both kept.
        class_aware: boxes of different classes do not suppress each other.
        top_k: only this many of the best boxes are considered.
        max_detections: at most this many of the best survivors are returned.

    Returns:
        The survivors by descending score; equal scores keep their order.

    Raises:
        ConfigError: an option out of its range.

    Example: the second box overlaps the better first one with an IoU of 0.8.
        >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [20, 0, 30, 10]], np.float32)
        >>> found = Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int32))
        >>> nms(found, iou_threshold=0.5).boxes.tolist()
        [[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]]
    """
    if not 0.0 <= iou_threshold <= 1.0:
        raise ConfigError(f'iou_threshold: got {iou_threshold}, expected 0..1')
    if top_k < 1 or max_detections < 1:
        raise ConfigError(f'top_k and max_detections: got {top_k} and {max_detections}, expected at least 1')
    order = _rank(detections, top_k)
    if not len(order):
        return detections.select(order)
    if detections.angles is not None:
        return detections.select(_greedy_rotated(detections, order, class_aware, iou_threshold, max_detections))
    columns = _columns(detections.boxes.take(order, axis=0))
    class_ids = detections.class_ids.take(order) if class_aware else None
    keep = _greedy(columns, class_ids, np.float32(iou_threshold), max_detections)
    return detections.select(order[keep])


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box in `a` with every box in `b`.

    Args:
        a, b: (N, 4) and (M, 4), (x_min, y_min, x_max, y_max) in the same pixels.

    Returns:
        (N, M) float32 in [0, 1]; 0 wherever a box has no area, is inverted or is not finite.

    Example: they share 60 of 80 + 80 - 60 = 100 square pixels.
        >>> round(float(box_iou(np.array([[0, 0, 8, 10]]), np.array([[2, 0, 10, 10]]))[0, 0]), 3)
        0.6
    """
    columns_a, columns_b = _columns(_usable(a)), _columns(_usable(b))
    return _iou(columns_a[:, :, None], columns_b[:, None]).astype(np.float32)


def _rank(detections: Detections, top_k: int) -> np.ndarray:
    """Indices of the best `top_k` usable boxes, best first, equal scores in their order."""
    boxes, scores = detections.boxes, detections.scores
    with np.errstate(over='ignore', invalid='ignore'):
        size = boxes[:, 2:] - boxes[:, :2]
        area = size[:, 0] * size[:, 1]
    index = ((size[:, 0] > 0) & (area > 0) & (area < np.inf) & np.isfinite(scores)).nonzero()[0]
    if len(index) > 4 * top_k:  # a partition is cheaper than sorting them all; ties with the last one are kept
        place = len(index) - top_k
        index = index[scores[index] >= np.partition(scores[index], place)[place]]
    return index[(-scores[index]).argsort(kind='stable')[:top_k]]


def _columns(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) boxes to (5, N): x_min, y_min, x_max, y_max and the area, each contiguous."""
    columns = np.empty((5, len(boxes)), boxes.dtype)
    columns[:4] = boxes.T
    width, height = columns[2:4] - columns[:2]
    np.multiply(width, height, out=columns[4])
    return columns


def _greedy(
    columns: np.ndarray, class_ids: np.ndarray | None, threshold: np.float32, max_detections: int
) -> np.ndarray:
    """Indices of the survivors among N > 0 boxes that are sorted by descending score."""
    kept: list[np.ndarray] = []
    count, rest = 0, np.arange(columns.shape[1])
    while True:
        size = min(len(rest), _BLOCK)
        suppresses = _suppression(columns, class_ids, size, threshold)
        keep = _survivors(suppresses[:, :size])
        kept.append(rest[keep])
        count += len(keep)
        if count >= max_detections or size == len(rest):
            break
        left = size + np.flatnonzero(~suppresses[keep, size:].any(axis=0))
        if not len(left):
            break
        rest, columns = rest[left], columns.take(left, axis=1)
        class_ids = None if class_ids is None else class_ids[left]
    return np.concatenate(kept)[:max_detections]


def _greedy_rotated(
    detections: Detections, order: np.ndarray, class_aware: bool, threshold: float, max_detections: int
) -> np.ndarray:
    """Indices of the survivors among rotated boxes; `order` lists them from best to worst."""
    chosen = detections.select(order)
    corners = corner_points(chosen.boxes, np.zeros(len(order)) if chosen.angles is None else chosen.angles)
    low, high = corners.min(axis=1), corners.max(axis=1)
    rest: np.ndarray = np.arange(len(order))
    kept: list[int] = []
    while len(rest) and len(kept) < max_detections:
        best, rest = rest[0], rest[1:]
        kept.append(int(best))
        near = ((low[rest] < high[best]) & (high[rest] > low[best])).all(axis=1)
        if class_aware:
            near &= chosen.class_ids[rest] == chosen.class_ids[best]
        others = near.nonzero()[0]
        drops = polygon_iou(corners[best][None], corners[rest[others]]) > threshold
        rest = np.delete(rest, others[drops])
    return order[kept]


def _suppression(columns: np.ndarray, class_ids: np.ndarray | None, size: int, threshold: np.float32) -> np.ndarray:
    """(size, N) bool: whether each of the first `size` boxes, if kept, suppresses each of all N."""
    if class_ids is None:
        suppresses = np.ones((size, columns.shape[1]), np.bool_)
    else:
        suppresses = class_ids[:size, None] == class_ids
    suppresses[:, :size] &= _WORSE[:size, :size]
    pairs = suppresses.ravel().nonzero()[0]
    if 8 * len(pairs) > suppresses.size:  # so many that computing the whole matrix costs less than selecting them
        suppresses &= _iou(columns[:, :size, None], columns[:, None]) > threshold
    else:
        row = pairs // columns.shape[1]
        column = pairs - row * columns.shape[1]
        suppresses.ravel()[pairs] = _iou(columns.take(row, axis=1), columns.take(column, axis=1)) > threshold
    return suppresses


def _survivors(suppresses: np.ndarray) -> np.ndarray:
    """Indices of the greedy result; suppresses (n, n) bool, rows and columns from best to worst."""
    matrix = suppresses.astype(np.float32)
    keep = np.ones(len(matrix), np.bool_)
    while True:  # every round settles at least one more box, from the best down, so this ends after n rounds
        again = keep.astype(np.float32) @ matrix == 0
        if again.tobytes() == keep.tobytes():
            return keep.nonzero()[0]
        keep = again


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of boxes as `_columns` gives them, (5, ...) each, in shapes that broadcast; finite values only."""
    low = np.maximum(a[:2], b[:2])
    shared = np.minimum(a[2:4], b[2:4])
    shared -= low
    np.maximum(shared, 0, out=shared)
    overlap = np.multiply(shared[0], shared[1], out=shared[0])
    union = np.add(a[4], b[4], out=low[0])
    union -= overlap
    overlap /= np.maximum(union, _TINY, out=union)  # nothing over nothing is 0
    return overlap


def _usable(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) float64; a box without area or with a value that is not finite becomes all zeros."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    is_usable = np.logical_and.reduce(np.isfinite(boxes), axis=1, keepdims=True)
    is_usable &= np.logical_and.reduce(boxes[:, 2:] > boxes[:, :2], axis=1, keepdims=True)
    return np.where(is_usable, boxes, 0.0)
