# SPDX-License-Identifier: Apache-2.0
"""Where an object is, from its box and depth alone: a position and extents, no rotation."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.foreground import MIN_POINTS, foreground_mask
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import Symmetry, equivalents

_TAIL = 1.0  # percent cut off at each end of an extent: mixed pixels on the outline
_TAIL_SIGMAS = 2.33  # 1 % of a normal distribution lies beyond this many standard deviations
_BALL = (Symmetry('z', 0), Symmetry('x', 0))
_TURNS = 500
_LIKELIEST = 5


@dataclass(frozen=True, eq=False)
class DepthPosition:
    """What depth shows of an object without a model of it.

    Attributes:
        center: (3,) float64, metres, camera frame. With a known size the object's centre; without, the middle of the
            visible part, which is nearer to the camera than the object's centre, because no back side is seen.
        extents: (3,) float64, metres along the camera's x, y and z; of the visible part.
        count: number of foreground points.
        confidence: 0 to 1: the part of the box with depth, times min(1, 2 * the part of those points on the object).
        foreground: (N,) bool over the given points.
    """

    center: np.ndarray
    extents: np.ndarray
    count: int
    confidence: float
    foreground: np.ndarray


def position_from_depth(
    points: np.ndarray,
    area: int | None = None,
    size: Sequence[float] | np.ndarray | None = None,
    surroundings: np.ndarray | None = None,
) -> DepthPosition:
    """A robust position from the points under a box.

    Args:
        points: (N, 3) under box or mask, camera frame, metres, row by row (`region_points`, those `inside`).
        area: number of depth pixels that the box covers, holes included; for the confidence only.
        size: (3,) of the object in metres, in any order; the middle of the visible part is moved back to the centre of
            boxes whose visible part is as large; exact when the object faces the camera.
        surroundings: (M, 3) around the box, see `foreground_mask`.

    Raises:
        FrameError: 'depth_missing', 'depth_ambiguous'.

    Example: of a box that is 0.04 m thick, depth shows the face; its centre lies 0.02 m behind.
        >>> face = np.array([[x / 100, y / 100, 1.0] for x in range(-5, 6) for y in range(-5, 6)])
        >>> position_from_depth(face).center.round(3).tolist()
        [0.0, 0.0, 1.0]
        >>> position_from_depth(face, size=(0.1, 0.1, 0.04)).center.round(3).tolist()
        [0.0, 0.0, 1.02]
    """
    foreground = foreground_mask(points, surroundings)
    kept = np.asarray(points[foreground], np.float64)
    if len(kept) < MIN_POINTS:
        raise FrameError(
            'depth_missing',
            f'box: got {len(kept)} pixels of the object with depth, expected {MIN_POINTS} or more; it is too small, '
            f'too far or too shiny for the depth camera',
        )
    low, high = np.percentile(kept, (_TAIL, 100.0 - _TAIL), axis=0)
    extents, center = high - low, (low + high) / 2
    if size is not None:
        center = center + _behind(kept, center, np.asarray(size, np.float64))
    covered = min(1.0, len(points) / area) if area else 1.0
    share = len(kept) / len(points)
    return DepthPosition(center, extents, len(kept), covered * min(1.0, 2.0 * share), foreground)


def _behind(points: np.ndarray, center: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(3,) from the middle of the visible part to the object's centre, along the line of sight.

    The object's rotation is unknown; the rotations that would look as large are averaged. They differ, so along the
    view a rotated box is placed only to within about a tenth of its diagonal.
    """
    view = _view_frame(center)
    extents = np.ptp(np.percentile(points @ view, (_TAIL, 100.0 - _TAIL), axis=0), axis=0)
    # noise makes a flat face look thick; neighbours in a row of pixels differ more by noise than by shape
    noise = 1.4826 * float(np.median(np.abs(np.diff(points[:, 2])))) / np.sqrt(2.0)
    extents[2] = max(0.0, extents[2] - 2.0 * _TAIL_SIGMAS * noise)
    seen, offsets = _turned_boxes(tuple(size.tolist()))
    nearest = np.argsort(np.abs(seen - extents).sum(axis=1))[:_LIKELIEST]
    return view[:, 2] * float(offsets[nearest].mean())


@functools.lru_cache(maxsize=64)
def _turned_boxes(size: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A box in many rotations, seen from far away along z: the extents of its visible part (T, 3), and how far behind
    the middle of that part its centre lies (T,)."""
    axes = [np.eye(3)[:, list(order)] for order in itertools.permutations(range(3))]
    turns = np.stack(axes * _LIKELIEST + [pose.rotation for pose in equivalents(Pose.identity(), _BALL, _TURNS)])
    signs = np.sign(cuboid_corners(np.ones(3)))
    corners = (signs * np.array(size) / 2) @ turns.transpose(0, 2, 1)
    # a corner is hidden when all its three faces point away from the camera; edge-on counts as away
    outward = signs[None] * turns[:, 2, None, :]
    hidden = (outward > -0.05).all(axis=2)
    nearest, furthest = corners[:, :, 2].min(axis=1), np.where(hidden, -np.inf, corners[:, :, 2]).max(axis=1)
    seen = np.ptp(corners, axis=1)
    seen[:, 2] = furthest - nearest
    return seen, -(nearest + furthest) / 2


def _view_frame(towards: np.ndarray) -> np.ndarray:
    """(3, 3) rotation whose third column points along a line of sight."""
    z = towards / np.linalg.norm(towards)
    x = np.cross((0.0, 1.0, 0.0), z)
    x /= np.linalg.norm(x)
    return np.stack((x, np.cross(z, x), z), axis=1)
