# SPDX-License-Identifier: Apache-2.0
"""Points spread evenly over an object's surface, with outward normals; identical on every call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.cuboid import CUBOID_TRIANGLES, cuboid_corners
from isaac_inference.ops.geometry.mesh import Mesh

SHAPES = ('cuboid', 'cylinder', 'sphere', 'mesh')
# the plane's counterpart of the golden ratio: x^3 = x + 1 (M. Roberts, "The unreasonable effectiveness of
# quasirandom sequences", 2018); its powers fill a square evenly for any number of points
_PLASTIC = 1.324717957244746
_GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))


def surface_points(
    shape: str, size: Sequence[float] | np.ndarray | None, n: int, mesh: Mesh | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`n` points on the surface, each representing the same area.

    Args:
        shape: 'cuboid', 'cylinder' (axis z, diameter the mean of size x and y), 'sphere' (diameter the mean of all
            sides) or 'mesh'.
        size: (3,) metres; unused for a mesh.
        n: number of points.
        mesh: for 'mesh' only.

    Returns:
        points (n, 3) and unit outward normals (n, 3), float64, object frame.

    Raises:
        ConfigError: an unknown shape, an unusable size, or a missing mesh.

    Example: a ball of 2 m has all its points 1 m from its centre.
        >>> points, normals = surface_points('sphere', (2, 2, 2), 100)
        >>> points.shape, np.linalg.norm(points, axis=1).round(6).min().tolist()
        ((100, 3), 1.0)
    """
    if shape == 'mesh':
        if mesh is None:
            raise ConfigError('shape mesh: got no mesh; name its file in the model card')
        return _on_triangles(mesh.vertices, mesh.faces, n)
    sides = checked_size(shape, size)
    if shape == 'cuboid':
        return _on_triangles(cuboid_corners(sides), CUBOID_TRIANGLES, n)
    if shape == 'cylinder':
        return _on_cylinder((sides[0] + sides[1]) / 4, sides[2] / 2, n)
    i = np.arange(n) + 0.5
    z, angle = 1.0 - 2.0 * i / n, i * _GOLDEN_ANGLE
    ring = np.sqrt(1.0 - z * z)
    normals = np.stack((ring * np.cos(angle), ring * np.sin(angle), z), axis=1)
    return normals * (sides.mean() / 2), normals


def checked_size(shape: str, size: Sequence[float] | np.ndarray | None) -> np.ndarray:
    """`size` as (3,) float64 metres.

    Raises:
        ConfigError: an unknown shape, or a size that is not three lengths above 0.

    Example:
        >>> checked_size('cuboid', [1, 2, 3]).tolist()
        [1.0, 2.0, 3.0]
    """
    if shape not in SHAPES:
        raise ConfigError(f'shape: got {shape!r}, expected one of {", ".join(SHAPES)}')
    sides = np.asarray(() if size is None else size, np.float64)
    if sides.shape != (3,) or not np.isfinite(sides).all() or sides.min() <= 0.0:
        raise ConfigError(f'size of a {shape}: got {size}, expected three sides in metres, above 0')
    return sides


def diameter(points: np.ndarray) -> float:
    """The largest distance between two of the points (N, 3), which ADD errors are compared with.

    Example: the diagonal of a 3 x 4 m rectangle.
        >>> diameter(np.array([[0, 0, 0], [3, 0, 0], [0, 4, 0], [3, 4, 0]]))
        5.0
    """
    from scipy.spatial import ConvexHull, QhullError
    from scipy.spatial.distance import pdist

    corners = np.asarray(points, np.float64)
    if len(corners) > 50:
        try:
            corners = corners[ConvexHull(corners).vertices]
        except QhullError:  # all in one plane
            corners = corners[:: max(1, len(corners) // 2000)]
    if len(corners) > 3000:  # the hull of a sphere has every point; some of them suffice for its diameter
        corners = corners[:: len(corners) // 3000 + 1]
    return float(pdist(corners).max()) if len(corners) > 1 else 0.0


def _spread(n: int) -> tuple[np.ndarray, np.ndarray]:
    i = np.arange(1, n + 1)
    return (0.5 + i / _PLASTIC) % 1.0, (0.5 + i / _PLASTIC**2) % 1.0


def _on_triangles(vertices: np.ndarray, faces: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    areas = np.linalg.norm(normals, axis=1)
    normals = normals / areas[:, None]
    total = np.cumsum(areas)
    face = np.minimum(np.searchsorted(total, (np.arange(n) + 0.5) / n * total[-1]), len(faces) - 1)
    u, v = _spread(n)
    folded = u + v > 1.0
    u, v = np.where(folded, 1.0 - u, u)[:, None], np.where(folded, 1.0 - v, v)[:, None]
    return a[face] + u * (b - a)[face] + v * (c - a)[face], normals[face]


def _on_cylinder(radius: float, half: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    caps = round(n * radius / (radius + 2.0 * half))  # both together: 2 pi r^2 of 2 pi r (r + 2 half)
    u, v = _spread(n - caps)
    angle = 2.0 * np.pi * u
    around = np.stack((np.cos(angle), np.sin(angle), np.zeros_like(angle)), axis=1)
    side = around * radius
    side[:, 2] = (2.0 * v - 1.0) * half
    i = np.arange(caps) // 2 + 0.5
    ring, turn = radius * np.sqrt(i / max(1.0, caps / 2)), i * _GOLDEN_ANGLE
    up = np.where(np.arange(caps) % 2 == 0, 1.0, -1.0)
    ends = np.stack((np.minimum(ring, radius) * np.cos(turn), np.minimum(ring, radius) * np.sin(turn), up * half), 1)
    end_normals = np.zeros_like(ends)
    end_normals[:, 2] = up
    return np.concatenate((side, ends)), np.concatenate((around, end_normals))
