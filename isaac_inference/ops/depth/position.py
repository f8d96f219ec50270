# SPDX-License-Identifier: Apache-2.0
"""Where an object is, from its box and depth alone: a position and extents, no rotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.depth.foreground import foreground_mask, too_few
from isaac_inference.ops.depth.settings import DEFAULT, DepthSettings
from isaac_inference.ops.depth.sized_place import NO_MIDDLES, point_reaches, sized_place
from isaac_inference.ops.geometry.view_sphere import frame_towards

_TAIL = 1.0  # percent cut off at each end of an extent: mixed pixels on the outline


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
    settings: DepthSettings = DEFAULT,
) -> DepthPosition:
    """A robust position from the points under a box.

    Args:
        points: (N, 3) under box or mask, camera frame, metres, row by row (`region_points`, those `inside`).
        area: number of depth pixels that the box covers, holes included; for the confidence only.
        size: (3,) of the object in metres, in any order; the centre is then that of a body of this size in the
            rotations that reach as far, see `sized_place`; exact when the object faces the camera.
        surroundings: (M, 3) around the box, see `foreground_mask`.
        settings: what is told from what.

    Raises:
        FrameError: 'depth_missing', 'depth_ambiguous'.

    Example: of a box that is 0.04 m thick, depth shows the face; its centre lies 0.02 m behind.
        >>> face = np.array([[x / 400, y / 400, 1.0] for x in range(-20, 21) for y in range(-20, 21)])
        >>> (position_from_depth(face).center + 0.0).round(2).tolist()
        [0.0, 0.0, 1.0]
        >>> (position_from_depth(face, size=(0.1, 0.1, 0.04)).center.round(2) + 0.0).tolist()
        [0.0, 0.0, 1.02]
    """
    foreground = foreground_mask(points, surroundings, settings)
    kept = np.asarray(points[foreground], np.float64)
    if len(kept) < settings.min_points:
        raise too_few(len(kept), settings)
    low, high = np.percentile(kept, (_TAIL, 100.0 - _TAIL), axis=0)
    extents, center = high - low, (low + high) / 2
    if size is not None:
        view = frame_towards(center)
        # neighbours in a row of pixels differ more by noise than by shape
        noise = 1.4826 * float(np.median(np.abs(np.diff(kept[:, 2])))) / np.sqrt(2.0)
        pixel = float(np.sqrt(extents[0] * extents[1] / len(kept)))
        reaches = point_reaches(kept, None, view, pixel, noise=noise)
        place = sized_place(reaches, NO_MIDDLES, np.asarray(size, float), 'cuboid', center, view, settings)
        center = place.poses[0].translation
    covered = min(1.0, len(points) / area) if area else 1.0
    share = len(kept) / len(points)
    return DepthPosition(center, extents, len(kept), covered * min(1.0, 2.0 * share), foreground)
