# SPDX-License-Identifier: Apache-2.0
"""Which of the points under a detection box belong to the object, from depth alone.

A detector's box is centred on its object, so the object is what the middle of the box shows. What lies behind is cut
off at a gap in depth; the surface that the object stands on has no gap, so it is fitted around the box and removed.
"""

from __future__ import annotations

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.settings import DEFAULT, DepthSettings
from isaac_inference.ops.depth.support_plane import support_plane

_SAMPLES = 4000
_SPECKS = 0.01  # of the points stand out from a plane by noise alone


def foreground_mask(
    points: np.ndarray, surroundings: np.ndarray | None = None, settings: DepthSettings = DEFAULT
) -> np.ndarray:
    """(N,) bool, true for the points of the object in the middle of the box.

    Args:
        points: (N, 3) under the box, camera frame, metres.
        surroundings: (M, 3) just around the box (`region_points` with a margin); a plane through most of them is what
            the object stands on, and its points under the box are excluded.

    Raises:
        FrameError: 'depth_missing' (too few points), 'depth_ambiguous' (two surfaces share the middle of the box, and
            either could be the object or something in front of it).

    Example: an 11 x 11 patch at 1 m, surrounded by a wall at 1.5 m.
        >>> patch = np.array([[x / 100, y / 100, 1.0] for x in range(-5, 6) for y in range(-5, 6)])
        >>> wall = np.array([[x / 100, y / 100, 1.5] for x in (-12, -10, 10, 12) for y in range(-12, 13)])
        >>> mask = foreground_mask(np.concatenate((patch, wall)))
        >>> int(mask[:121].sum()), int(mask[121:].sum())
        (121, 0)
    """
    if len(points) < settings.min_points:
        raise too_few(len(points), settings)
    on_support = _support_mask(points, surroundings, settings)
    least = max(settings.min_points, _SPECKS * len(points))
    candidates = ~on_support if on_support.sum() < len(points) - least else np.ones(len(points), np.bool_)
    x, y, z = points.T
    rays = x / z, y / z
    widths = [ray.max() - ray.min() for ray in rays]
    middle = candidates.copy()
    for ray, width in zip(rays, widths, strict=True):
        middle &= np.abs(ray - (ray.min() + ray.max()) / 2) <= width * (settings.central / 2)
    if np.count_nonzero(middle) < settings.min_points // 2:
        middle = candidates
    reach = settings.reach * float(max(widths))
    near, far = _middle_surface(np.asarray(z[middle], np.float64), reach, settings)
    return candidates & (z >= near) & (z <= far)


def masked_foreground(
    points: np.ndarray, inside: np.ndarray, longest: float, settings: DepthSettings = DEFAULT
) -> np.ndarray:
    """(N,) bool, true for the points under a mask that are as near to most of them as one object's can be.

    A mask's edge, and depth that lies beside the colour image, bring in points of what is before and behind.

    Args:
        points: (N, 3) under the box and around it, camera frame, metres.
        inside: (N,) bool, those under the mask.
        longest: largest distance within the object, m.

    Raises:
        FrameError: 'depth_missing' (too few points).

    Example: of 121 points at 1 m and three at 1.5 m, an object of 0.2 m has the former.
        >>> points = np.array([[0, 0, 1.0]] * 121 + [[0, 0, 1.5]] * 3)
        >>> int(masked_foreground(points, np.ones(124, np.bool_), longest=0.2).sum())
        121
    """
    count = int(np.count_nonzero(inside))
    if count < settings.min_points:
        raise too_few(count, settings)
    z = points[:, 2]
    return inside & (np.abs(z - float(np.median(z[inside]))) <= longest)


def too_few(count: int, settings: DepthSettings) -> FrameError:
    """What is raised for a box with too little depth under it.

    Example: three pixels are not enough.
        >>> error = too_few(3, DepthSettings(min_points=30))
        >>> error.reason, str(error).split(';')[0]
        ('depth_missing', 'box: got 3 pixels with depth under it, expected 30 or more')
    """
    return FrameError(
        'depth_missing',
        f'box: got {count} pixels with depth under it, expected {settings.min_points} or more; the object is too '
        f'small, too near, too far, too shiny or too transparent for the depth camera',
    )


def ambiguous(what: str) -> FrameError:
    """What is raised where depth shows several things under a box, and nothing says which is the object.

    Example: what was seen comes first in the message.
        >>> error = ambiguous('two surfaces')
        >>> error.reason, str(error).split(';')[0]
        ('depth_ambiguous', 'box: two surfaces')
    """
    return FrameError(
        'depth_ambiguous',
        f'box: {what}; depth alone cannot tell which of them is the object: keypoints can, or a view in which nothing '
        f'stands before it',
    )


def surfaces(
    points: np.ndarray, inside: np.ndarray, limit: int = 3, settings: DepthSettings = DEFAULT
) -> list[np.ndarray]:
    """The sets of points that could be the object when several surfaces are under the box; the largest first.

    Args:
        points: (N, 3) in the box and around it, camera frame, metres.
        inside: (N,) bool, those in the box.
        limit: largest number of sets.
        settings: what is told from what.

    Returns:
        (N,) bool each; empty for too few points.

    Example: two surfaces half a metre apart, with 121 and 100 points.
        >>> patch = np.array([[x / 100, y / 100, 1.0] for x in range(-5, 6) for y in range(-5, 6)])
        >>> wall = np.array([[x / 100, y / 100, 1.5] for x in (-12, -10, 10, 12) for y in range(-12, 13)])
        >>> [int(mask.sum()) for mask in surfaces(np.concatenate((wall, patch)), np.ones(221, np.bool_))]
        [121, 100]
    """
    if np.count_nonzero(inside) < settings.min_points:
        return []
    candidates = inside & ~_support_mask(points, points[~inside], settings)
    if np.count_nonzero(candidates) < settings.min_points:
        candidates = inside
    z = points[:, 2]
    depths = np.sort(z[candidates])
    gap = settings.gap * max(1.0, float(np.median(depths)))
    thin = depths[:: max(1, len(depths) // _SAMPLES)]
    cuts = np.flatnonzero(np.diff(thin) > gap)
    edges = np.concatenate(([-np.inf], (thin[cuts] + thin[cuts + 1]) / 2, [np.inf]))
    masks = [candidates & (z > low) & (z <= high) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    masks = [mask for mask in masks if np.count_nonzero(mask) >= settings.min_points]
    return sorted(masks, key=lambda mask: -int(np.count_nonzero(mask)))[:limit]


def _support_mask(points: np.ndarray, surroundings: np.ndarray | None, settings: DepthSettings) -> np.ndarray:
    plane = None if surroundings is None else support_plane(surroundings, settings)
    if plane is None:
        return np.zeros(len(points), np.bool_)
    # what lies beyond the supporting plane, seen from the camera, is not the object either
    return plane.height(points) < plane.band


def _middle_surface(z: np.ndarray, reach: float, settings: DepthSettings) -> tuple[float, float]:
    """Nearest and furthest depth of the surface that the middle of the box shows.

    `reach`: how far apart two surfaces of one object may be, over their distance: the walls of a mug.
    """
    z = np.sort(z[:: max(1, len(z) // _SAMPLES)])
    gap = settings.gap * max(1.0, float(np.median(z)))
    # runs without a gap; a few stray pixels between two surfaces must not bridge it, so sparse bins count as empty
    bins = ((z - z[0]) / gap).astype(np.intp)
    counts = np.bincount(bins)
    filled = counts > max(1, len(z) // 200)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], filled, [False])).astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    if len(starts) == 0:
        raise ambiguous('depth is scattered without any surface')
    sizes = np.array([counts[start:stop].sum() for start, stop in zip(starts, stops, strict=True)])
    shares = sizes / len(z)
    significant = np.flatnonzero(shares >= settings.significant)
    if len(significant) == 0:
        raise ambiguous('depth is scattered over many surfaces')
    nearest, largest = int(significant[0]), int(shares.argmax())
    first, last = min(nearest, largest), largest
    if nearest != largest and (starts[largest] - starts[nearest]) * gap > reach * (z[0] + starts[nearest] * gap):
        raise ambiguous(
            f'a surface at {z[0] + starts[nearest] * gap:.2f} m takes {shares[nearest]:.0%} of the middle of the box, '
            f'one behind it at {z[0] + starts[largest] * gap:.2f} m {shares[largest]:.0%}, further apart than one '
            f'object is likely to be deep'
        )
    run = z[(bins >= starts[first]) & (bins < stops[last])]
    # the object may reach further in depth outside the box's middle; MAD keeps that reach to its own scale
    middle = float(np.median(run))
    spread = 1.4826 * float(np.median(np.abs(run - middle)))
    beyond = max(gap, 3.0 * spread)
    near, far = float(run[0]) - gap, float(run[-1]) + gap
    if last + 1 < len(starts):
        far = min(max(far, middle + beyond), z[0] + starts[last + 1] * gap)
    else:
        far = max(far, middle + beyond)
    return min(near, middle - beyond), far
