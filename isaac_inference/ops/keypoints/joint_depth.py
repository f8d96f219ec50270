# SPDX-License-Identifier: Apache-2.0
"""The surfaces that depth shows at a joint: the limb, and what is before it, behind it and beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.depth.depth_image import DepthImage

_FEWEST = 3  # pixels of a surface
_LEAST = 0.12  # of the window's weight: a surface with less is a stray edge
_MOST = 3  # surfaces of a joint
_WIDEST = 40  # px, radius of a window


@dataclass(frozen=True)
class Surface:
    """One of the surfaces around a joint.

    Attributes:
        depth: m along the optical axis, of its middle.
        spread: m, how much it varies over the window: a standard deviation.
        share: of the window, 0..1, what is near the joint counting most.
    """

    depth: float
    spread: float
    share: float


def surfaces_at(depth: DepthImage, pixel: tuple[float, float], radius: float, gap: float) -> list[Surface]:
    """What depth shows around a pixel.

    Args:
        depth: in the view that the pixel is of.
        pixel: (x, y) px of the depth image, 0 at the image's edge.
        radius: px, of what is looked at; 1 at least.
        gap: m at 1 m: two pixels that are further apart in depth are of two surfaces; grows with the distance.

    Returns:
        At most three, the largest first; none where there is no reading, or the pixel lies outside.

    Example: a limb at 2 m, four pixels wide, before a wall at 3 m.
        >>> image = np.full((20, 20), 3.0, np.float32)
        >>> image[:, 8:12] = 2.0
        >>> [round(found.depth, 2) for found in surfaces_at(DepthImage(image, 1.0), (10.0, 10.0), 3.0, 0.05)]
        [2.0, 3.0]
    """
    x, y = pixel
    if not (0.0 <= x < depth.width and 0.0 <= y < depth.height):
        return []
    radius = min(max(radius, 1.0), float(_WIDEST))
    rows = slice(max(0, math.floor(y - radius)), min(depth.height, math.ceil(y + radius) + 1))
    columns = slice(max(0, math.floor(x - radius)), min(depth.width, math.ceil(x + radius) + 1))
    z = depth.metres(rows, columns)
    dx = np.arange(columns.start, columns.stop) + 0.5 - x
    dy = np.arange(rows.start, rows.stop) + 0.5 - y
    off = dx * dx + dy[:, None] * dy[:, None]
    inside = off <= (radius + 0.5) ** 2
    weights = np.exp(-1.5 * off / radius**2)
    total = float(weights[inside].sum())
    inside &= np.isfinite(z)
    values, weights = z[inside].astype(np.float64), weights[inside]
    if len(values) < _FEWEST:
        return []
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    cuts = np.flatnonzero(np.diff(values) > gap * np.maximum(values[1:], 1.0)) + 1
    found = []
    for part, weight in zip(np.split(values, cuts), np.split(weights, cuts), strict=True):
        share = float(weight.sum()) / total
        if len(part) >= _FEWEST and share >= _LEAST:
            low, middle, high = np.interp((0.16, 0.5, 0.84), (np.cumsum(weight) - weight / 2) / weight.sum(), part)
            found.append(Surface(float(middle), float(high - low) / 2, min(share, 1.0)))
    return sorted(found, key=lambda one: -one.share)[:_MOST]
