# SPDX-License-Identifier: Apache-2.0
"""What is seen of a surface from all around, prepared once: the camera's direction chooses the part that counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

DIRECTIONS = 80  # 23 degrees between neighbours
_DISTANCE = 4.0  # diameters from which it is looked at
_FACING = 0.1  # cosine above which a surface faces the camera
_NEIGHBOURS = np.cos(np.radians(30.0))  # views this close share what they see: a pose is not exact yet
_GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))


@dataclass(frozen=True, eq=False)
class ViewSphere:
    """The points of a surface that are seen from each of a set of directions.

    Attributes:
        directions: (D, 3) unit, from the object to the camera, object frame, spread evenly.
        seen: for each direction the indices of the points that face it and are behind no other part.

    Example: of a ball's 500 points, each direction sees a little less than half, as grazed ones do not count.
        >>> from isaac_inference.ops.geometry.surface import surface_points
        >>> points, normals = surface_points('sphere', (2, 2, 2), 500)
        >>> views = ViewSphere.build(points, normals, spacing=0.16)
        >>> len(views.seen), all(200 < len(seen) < 250 for seen in views.seen)
        (80, True)
    """

    directions: np.ndarray
    seen: tuple[np.ndarray, ...]
    _points: np.ndarray
    _parts: dict[int, tuple[np.ndarray, cKDTree]] = field(default_factory=dict)

    @classmethod
    def build(cls, points: np.ndarray, normals: np.ndarray, spacing: float) -> ViewSphere:
        """Looks at a surface from all around.

        Args:
            points, normals: (P, 3) each, spread evenly, object frame; unit outward normals.
            spacing: metres between neighbouring points.
        """
        directions = evenly_directed(DIRECTIONS)
        distance = _DISTANCE * float(np.linalg.norm(np.ptp(points, axis=0)))
        seen = []
        for direction in directions:
            rotation = frame_towards(-direction).T
            turned = points @ rotation.T + (0.0, 0.0, distance)
            facing = np.flatnonzero(normals @ direction > _FACING)
            slope = np.sqrt(1.0 - np.minimum(1.0, normals[facing] @ direction) ** 2) / (normals[facing] @ direction)
            seen.append(facing[unoccluded(turned[facing], slope, spacing)])
        return cls(directions, tuple(seen), points)

    def nearest(self, cameras: np.ndarray) -> np.ndarray:
        """(N,) index of the direction nearest to each camera position (N, 3), object frame."""
        return np.argmax(cameras @ self.directions.T, axis=1)

    def part(self, camera: np.ndarray) -> tuple[np.ndarray, cKDTree]:
        """The points, as indices and as a search tree, that a camera roughly at a position (3,) may see."""
        view = int(self.nearest(camera[None])[0])
        made = self._parts.get(view)
        if made is None:
            near = np.flatnonzero(self.directions @ self.directions[view] > _NEIGHBOURS)
            index = np.unique(np.concatenate([self.seen[i] for i in near]))
            if len(index) == 0:
                index = np.arange(len(self._points))
            made = self._parts[view] = index, cKDTree(self._points[index])
        return made


def unoccluded(points: np.ndarray, slope: np.ndarray, spacing: float) -> np.ndarray:
    """(N,) bool: no other point lies clearly nearer on the same line of sight; a coarse z-buffer.

    Args:
        points: (N, 3), camera frame, metres, in front of the camera.
        slope: (N,) how much the depth of the surface changes across the view: the tangent of its angle to it.
        spacing: metres between neighbouring points.

    Example: two points on a line of sight, half a metre apart, and one beside them.
        >>> points = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.5], [0.5, 0.0, 1.0]])
        >>> unoccluded(points, np.zeros(3), spacing=0.01).tolist()
        [True, False, True]
    """
    if len(points) == 0:
        return np.zeros(0, np.bool_)
    x, y, z = points.T.copy()
    size = z * (2.0 * spacing / float(np.median(z)))  # of a cell, at each point's distance
    column, row = (np.floor(axis / size).astype(np.int64) for axis in (x, y))
    column -= column.min()
    row -= row.min()
    slot = column * (int(row.max()) + 1) + row
    nearest = np.full(int(slot.max()) + 1, np.inf)
    np.minimum.at(nearest, slot, z)
    return z <= nearest[slot] + 2.0 * spacing * (1.0 + np.minimum(slope, 3.0))


def evenly_directed(count: int) -> np.ndarray:
    """(count, 3) unit vectors spread evenly over all directions.

    Example:
        >>> bool(np.abs(evenly_directed(50).mean(axis=0)).max() < 0.02)
        True
    """
    i = np.arange(count) + 0.5
    z, angle = 1.0 - 2.0 * i / count, i * _GOLDEN_ANGLE
    ring = np.sqrt(1.0 - z * z)
    return np.stack((ring * np.cos(angle), ring * np.sin(angle), z), axis=1)


def frame_towards(direction: np.ndarray) -> np.ndarray:
    """(3, 3) rotation whose third column is a direction; the first is across the frame's y axis where it can be.

    Example:
        >>> frame_towards(np.array([0.0, 0.0, 2.0])).tolist() == np.eye(3).tolist()
        True
    """
    z = direction / np.linalg.norm(direction)
    x = np.cross((0.0, 1.0, 0.0) if abs(z[1]) < 0.99 else (1.0, 0.0, 0.0), z)
    x /= np.linalg.norm(x)
    return np.stack((x, np.cross(z, x), z), axis=1)
