# SPDX-License-Identifier: Apache-2.0
"""Rotated boxes: their corners, what encloses them, and their exact overlap.

A rotated box is the upright box (x_min, y_min, x_max, y_max) that is turned about its centre by an angle in rad,
clockwise as one sees the image (x to the right, y down).
"""

from __future__ import annotations

import numpy as np

_INSIDE = 1e-9  # of the coordinates' range: how far outside an edge a corner still counts as on it


def corner_points(boxes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The corners of rotated boxes.

    Args:
        boxes: (N, 4) corners before the turn, px.
        angles: (N,) rad.

    Returns:
        (N, 4, 2) float64 (x, y), clockwise from what was the top-left corner.

    Example: a box of 4x2 px, turned by a quarter.
        >>> corner_points(np.array([[0, 1, 4, 3]]), np.array([np.pi / 2])).round(6).tolist()
        [[[3.0, 0.0], [3.0, 4.0], [1.0, 4.0], [1.0, 0.0]]]
    """
    boxes, angles = np.asarray(boxes, np.float64), np.asarray(angles, np.float64)
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    cos, sin = np.cos(angles), np.sin(angles)
    along = half[:, :1] * np.stack((cos, sin), axis=1)
    across = half[:, 1:] * np.stack((-sin, cos), axis=1)
    return center[:, None] + np.stack((-along - across, along - across, along + across, across - along), axis=1)


def enclosing_boxes(boxes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The smallest upright boxes around rotated boxes, (N, 4) float64.

    Args:
        boxes: (N, 4) corners before the turn, px.
        angles: (N,) rad.

    Example:
        >>> enclosing_boxes(np.array([[0, 1, 4, 3]]), np.array([np.pi / 2])).round(6).tolist()
        [[1.0, 0.0, 3.0, 4.0]]
    """
    corners = corner_points(boxes, angles)
    return np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1)


def polygon_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of pairs of convex quadrilaterals, exact up to rounding.

    The corners of their intersection are the corners of each that lie in the other and the points where their edges
    cross; sorted around their mean they span its area.

    Args:
        a, b: (P, 4, 2) float64 corners in the order of `corner_points`, in shapes that broadcast.

    Returns:
        (P,) float64 in [0, 1]; 0 where neither has an area.

    Example: a square and the same one turned by an eighth share a regular octagon.
        >>> square = np.array([[-1.0, -1.0, 1.0, 1.0]])
        >>> turned = corner_points(square, np.array([np.pi / 4]))
        >>> polygon_iou(corner_points(square, np.zeros(1)), turned).round(4).tolist()
        [0.7071]
    """
    a, b = np.broadcast_arrays(a, b)
    origin = a.mean(axis=1, keepdims=True)
    a, b = a - origin, b - origin
    crossings, is_crossing = _crossings(a, b)
    points = np.concatenate((a, b, crossings), axis=1)
    is_corner = np.concatenate((_is_inside(a, b), _is_inside(b, a), is_crossing), axis=1)
    area_a, area_b = _area(a), _area(b)
    shared = np.minimum(_span(points, is_corner), np.minimum(area_a, area_b))  # what has no area contains nothing
    union = area_a + area_b - shared
    return np.clip(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), 0.0, 1.0)


def _is_inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """(P, K): whether each of (P, K, 2) points is in the polygon (P, 4, 2), its edges included."""
    edges = np.roll(polygon, -1, axis=1) - polygon
    to_points = points[:, :, None] - polygon[:, None]
    side = _cross(edges[:, None], to_points)
    slack = _INSIDE * (np.abs(edges).max(axis=(1, 2)) + np.abs(points).max(axis=(1, 2))) ** 2
    inside: np.ndarray = (side >= -slack[:, None, None]).all(axis=2)
    return inside


def _crossings(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each edge of a meets each of b: (P, 16, 2), and whether it does, (P, 16)."""
    edge_a, edge_b = np.roll(a, -1, axis=1) - a, np.roll(b, -1, axis=1) - b
    gap = b[:, None] - a[:, :, None]
    slope = _cross(edge_a[:, :, None], edge_b[:, None])
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):  # parallel edges do not cross
        at_a = _cross(gap, edge_b[:, None]) / slope
        at_b = _cross(gap, edge_a[:, :, None]) / slope
        points = a[:, :, None] + at_a[..., None] * edge_a[:, :, None]
        crosses = (at_a >= 0) & (at_a <= 1) & (at_b >= 0) & (at_b <= 1) & (slope != 0)
    return points.reshape(len(a), 16, 2), crosses.reshape(len(a), 16)


def _span(points: np.ndarray, is_corner: np.ndarray) -> np.ndarray:
    """(P,) area of the convex polygons whose corners are those of (P, K, 2) points, in any order."""
    count = is_corner.sum(axis=1)
    first = points[np.arange(len(points)), is_corner.argmax(axis=1)]
    points = np.where(is_corner[..., None], points, first[:, None])  # repeated corners span nothing
    mean = np.where(is_corner[..., None], points, 0.0).sum(axis=1) / np.maximum(count, 1)[:, None]
    rays = points - mean[:, None]
    order = np.arctan2(rays[..., 1], rays[..., 0]).argsort(axis=1)
    area = _area(np.take_along_axis(rays, order[..., None], axis=1))
    return np.where(count >= 3, area, 0.0)


def _area(polygon: np.ndarray) -> np.ndarray:
    area: np.ndarray = np.abs(_cross(polygon, np.roll(polygon, -1, axis=1)).sum(axis=1)) / 2
    return area


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    product: np.ndarray = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return product
