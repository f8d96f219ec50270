# SPDX-License-Identifier: Apache-2.0
"""Which of the points under a detection box belong to the object, from depth alone.

A detector's box is centred on its object, so the object is what the middle of the box shows. What lies behind is cut
off at a gap in depth; the surface that the object stands on has no gap, so it is fitted around the box and removed.
"""

from __future__ import annotations

import numpy as np

from isaac_inference.errors import FrameError

MIN_POINTS = 30
_CENTRAL = 0.5  # part of the box's width and height that counts as its middle
_SIGNIFICANT = 0.15  # of the middle's points
_GAP = 0.015  # metres at 1 m; grows with the distance, as the resolution of depth cameras does
_SAMPLES = 4000
_SUPPORT_BAND = 0.008  # metres at 1 m
_PLANE_TRIES = 40


def foreground_mask(points: np.ndarray, surroundings: np.ndarray | None = None) -> np.ndarray:
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
    if len(points) < MIN_POINTS:
        raise FrameError(
            'depth_missing',
            f'box: got {len(points)} pixels with depth under it, expected {MIN_POINTS} or more; the object is too '
            f'near, too far, too shiny or too transparent for the depth camera',
        )
    on_support = _support_mask(points, surroundings)
    candidates = ~on_support if on_support.sum() < len(points) - MIN_POINTS else np.ones(len(points), np.bool_)
    middle = candidates & _is_central(points)
    if np.count_nonzero(middle) < MIN_POINTS // 2:
        middle = candidates
    near, far = _middle_surface(np.asarray(points[middle, 2], np.float64))
    z = points[:, 2]
    return candidates & (z >= near) & (z <= far)


def surfaces(points: np.ndarray, inside: np.ndarray, limit: int = 3) -> list[np.ndarray]:
    """The sets of points that could be the object when several surfaces are under the box; the largest first.

    Args:
        points: (N, 3) in the box and around it, camera frame, metres.
        inside: (N,) bool, those in the box.
        limit: largest number of sets.

    Returns:
        (N,) bool each; empty for too few points.

    Example: two surfaces half a metre apart, with 121 and 100 points.
        >>> patch = np.array([[x / 100, y / 100, 1.0] for x in range(-5, 6) for y in range(-5, 6)])
        >>> wall = np.array([[x / 100, y / 100, 1.5] for x in (-12, -10, 10, 12) for y in range(-12, 13)])
        >>> [int(mask.sum()) for mask in surfaces(np.concatenate((wall, patch)), np.ones(221, np.bool_))]
        [121, 100]
    """
    if np.count_nonzero(inside) < MIN_POINTS:
        return []
    candidates = inside & ~_support_mask(points, points[~inside])
    if np.count_nonzero(candidates) < MIN_POINTS:
        candidates = inside
    z = points[:, 2]
    depths = np.sort(z[candidates])
    gap = _GAP * max(1.0, float(np.median(depths)))
    thin = depths[:: max(1, len(depths) // _SAMPLES)]
    cuts = np.flatnonzero(np.diff(thin) > gap)
    edges = np.concatenate(([-np.inf], (thin[cuts] + thin[cuts + 1]) / 2, [np.inf]))
    masks = [candidates & (z > low) & (z <= high) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    masks = [mask for mask in masks if np.count_nonzero(mask) >= MIN_POINTS]
    return sorted(masks, key=lambda mask: -int(np.count_nonzero(mask)))[:limit]


def _fit_plane(points: np.ndarray, band: float) -> tuple[np.ndarray, float, float] | None:
    """The plane that most points lie on: normal (3,), offset and the share of points on it; None for too few points.

    Random sampling with a fixed seed (RANSAC), then least squares over the points within `band` metres.
    """
    if len(points) < MIN_POINTS:
        return None
    sample = np.asarray(points[:: max(1, len(points) // 500)], np.float64)
    picks = np.random.default_rng(0).integers(0, len(sample), (_PLANE_TRIES, 3))
    a, b, c = sample[picks[:, 0]], sample[picks[:, 1]], sample[picks[:, 2]]
    normals = np.cross(b - a, c - a)
    lengths = np.linalg.norm(normals, axis=1)
    usable = lengths > 1e-9
    if not usable.any():
        return None
    normals, a = normals[usable] / lengths[usable, None], a[usable]
    distances = np.abs(sample @ normals.T - np.einsum('ij,ij->i', normals, a))
    best = int((distances < band).sum(axis=0).argmax())
    on_plane = sample[distances[:, best] < band]
    centre = on_plane.mean(axis=0)
    normal = np.linalg.svd(on_plane - centre, full_matrices=False)[2][-1]
    return normal, float(normal @ centre), len(on_plane) / len(sample)


def _support_mask(points: np.ndarray, surroundings: np.ndarray | None) -> np.ndarray:
    nothing = np.zeros(len(points), np.bool_)
    if surroundings is None or len(surroundings) < MIN_POINTS:
        return nothing
    band = _SUPPORT_BAND * max(1.0, float(np.median(surroundings[:, 2])))
    plane = _fit_plane(surroundings, band)
    if plane is None or plane[2] < 0.3:
        return nothing
    normal, offset, _ = plane
    distance = points @ normal.astype(points.dtype) - offset
    # what lies beyond the supporting plane, seen from the camera, is not the object either
    return distance * np.sign(-offset) < band


def _is_central(points: np.ndarray) -> np.ndarray:
    """Whether each point's ray passes through the middle part of all points' rays."""
    rays = points[:, :2] / points[:, 2:]
    low, high = rays.min(axis=0), rays.max(axis=0)
    return (np.abs(rays - (low + high) / 2) <= (high - low) * (_CENTRAL / 2)).all(axis=1)


def _middle_surface(z: np.ndarray) -> tuple[float, float]:
    """Nearest and furthest depth of the surface that the middle of the box shows."""
    z = np.sort(z[:: max(1, len(z) // _SAMPLES)])
    gap = _GAP * max(1.0, float(np.median(z)))
    # runs without a gap; a few stray pixels between two surfaces must not bridge it, so sparse bins count as empty
    bins = ((z - z[0]) / gap).astype(np.intp)
    counts = np.bincount(bins)
    filled = counts > max(1, len(z) // 200)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], filled, [False])).astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    if len(starts) == 0:
        raise _ambiguous('depth is scattered without any surface')
    sizes = np.array([counts[start:stop].sum() for start, stop in zip(starts, stops, strict=True)])
    shares = sizes / len(z)
    significant = np.flatnonzero(shares >= _SIGNIFICANT)
    if len(significant) == 0:
        raise _ambiguous('depth is scattered over many surfaces')
    nearest, largest = int(significant[0]), int(shares.argmax())
    if nearest != largest:
        raise _ambiguous(
            f'a surface at {z[0] + starts[nearest] * gap:.2f} m takes {shares[nearest]:.0%} of the middle of the box, '
            f'one behind it at {z[0] + starts[largest] * gap:.2f} m {shares[largest]:.0%}'
        )
    run = z[(bins >= starts[largest]) & (bins < stops[largest])]
    # the object may reach further in depth outside the box's middle; MAD keeps that reach to its own scale
    middle = float(np.median(run))
    spread = 1.4826 * float(np.median(np.abs(run - middle)))
    reach = max(gap, 3.0 * spread)
    near, far = float(run[0]) - gap, float(run[-1]) + gap
    if nearest + 1 < len(starts):
        far = min(max(far, middle + reach), z[0] + starts[nearest + 1] * gap)
    else:
        far = max(far, middle + reach)
    return min(near, middle - reach), far


def _ambiguous(what: str) -> FrameError:
    return FrameError(
        'depth_ambiguous',
        f'box: {what}; depth alone cannot tell which of them is the object; use a model with masks',
    )
