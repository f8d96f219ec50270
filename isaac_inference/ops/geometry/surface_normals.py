# SPDX-License-Identifier: Apache-2.0
"""Thinning the points of a depth crop, and the directions that their surface faces."""

from __future__ import annotations

import functools
from types import ModuleType

import numpy as np

from isaac_inference.errors import ConfigError

_MOST_SLOTS = 1_000_000  # voxels of a box around a cloud up to which a table of them costs less than sorting
_PER_POINT = 24  # points that are looked at for each that is kept


@functools.cache
def small_gicp() -> ModuleType:
    """The registration library, imported when first needed.

    Raises:
        ConfigError: it is not installed.

    Example:
        >>> small_gicp().__name__
        'small_gicp'
    """
    try:
        import small_gicp as library
    except ImportError as error:
        raise ConfigError(f'small_gicp: {error}; registration needs it: pip install small_gicp') from error
    return library


def thinned(points: np.ndarray, voxel: float, limit: int) -> np.ndarray:
    """At most about `limit` points (M, 3) float64: one per voxel, the mean of those in it.

    Args:
        points: (N, 3), metres.
        voxel: edge in metres; enlarged until the limit is kept.
        limit: largest number of points.

    Example: two points share a voxel of 10 mm, the third lies in another one.
        >>> cloud = np.array([[0.001, 0.001, 0.501], [0.003, 0.003, 0.503], [0.051, 0.001, 0.501]])
        >>> sorted(thinned(cloud, 0.01, 100).round(6).tolist())
        [[0.002, 0.002, 0.502], [0.051, 0.001, 0.501]]
    """
    if len(points) == 0:
        return np.zeros((0, 3))
    # neighbouring pixels err together: a dozen of them in each voxel's mean are as good as all
    cloud = np.asarray(points[:: max(1, len(points) // (_PER_POINT * limit))], np.float64)
    for _ in range(3):
        count = _occupied(cloud, voxel)
        if count <= limit:
            break
        voxel *= 1.1 * (count / limit) ** 0.5  # points lie on a surface, so their number falls with the square
    return np.array(small_gicp().voxelgrid_sampling(cloud, voxel).points()[:, :3])


def within(points: np.ndarray, middle: np.ndarray, radius: float) -> np.ndarray:
    """(N,) bool: which points (N, 3) are nearer to a place (3,) than a radius, metres.

    Example:
        >>> within(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]]), np.array([0.0, 0.1, 1.0]), 0.5).tolist()
        [True, False]
    """
    away = points - middle.astype(points.dtype)
    return np.asarray(np.sqrt(np.einsum('ij,ij->i', away, away)) < radius)


def _occupied(cloud: np.ndarray, voxel: float) -> int:
    """How many voxels have points: as many as `voxelgrid_sampling` gives, in a fraction of its time."""
    slots: np.ndarray = np.zeros(len(cloud), np.int64)
    total = 1
    for axis in range(3):
        cells = np.floor(cloud[:, axis] * (1.0 / voxel)).astype(np.int64)
        cells -= cells.min()
        length = int(cells.max()) + 1
        slots, total = slots * length + cells, total * length
    if total > _MOST_SLOTS:
        return len(np.unique(slots))
    is_occupied = np.zeros(total, np.bool_)
    is_occupied[slots] = True
    return int(np.count_nonzero(is_occupied))


def facing_normals(points: np.ndarray, neighbours: int = 12) -> np.ndarray:
    """(N, 3) unit normals that point towards the camera (the origin); zeros where neighbours are missing.

    Example: a wall at 1 m.
        >>> wall = np.array([[x / 100, y / 100, 1.0] for x in range(5) for y in range(5)])
        >>> facing_normals(wall)[0].round().astype(int).tolist()
        [0, 0, -1]
    """
    library = small_gicp()
    cloud = library.PointCloud(np.asarray(points, np.float64))
    library.estimate_normals(cloud, num_neighbors=neighbours)
    normals = np.array(cloud.normals())[:, :3]
    normals[np.einsum('ij,ij->i', normals, points) > 0.0] *= -1.0
    return normals


def dominant_frame(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, int]:
    """A right-handed frame along the flat faces that the points show.

    Args:
        points: (N, 3) foreground, camera frame.
        normals: (N, 3) unit, towards the camera; zeros are ignored.

    Returns:
        (3, 3) rotation, its columns the frame's axes in the camera's frame, and how many of them are face normals:
        with fewer than two, the rotation about the first is that of the tightest rectangle around the points.

    Example: ten normals of a face towards the camera and ten of one to its right.
        >>> normals = np.repeat([[0.0, 0, -1], [1.0, 0, 0]], 10, axis=0)
        >>> frame, faces = dominant_frame(np.zeros((20, 3)), normals)
        >>> frame[:, :2].T.round().astype(int).tolist(), faces
        ([[0, 0, -1], [1, 0, 0]], 2)
    """
    import cv2

    valid = normals[np.einsum('ij,ij->i', normals, normals) > 0.5]
    if len(valid) < 3:
        centred = points - points.mean(axis=0)
        axes = np.linalg.svd(centred, full_matrices=False)[2]
        return np.stack((axes[2], axes[0], np.cross(axes[2], axes[0])), axis=1), 0
    first = _mode(valid, valid)
    across = valid[np.abs(valid @ first) < 0.3]
    faces = 1
    if len(across) >= max(8, len(valid) // 12):
        second = _mode(across, valid)
        second -= first * (first @ second)
        faces = 2
    else:
        guide = np.eye(3)[int(np.abs(first).argmin())]
        second = guide - first * (first @ guide)
    second /= np.linalg.norm(second)
    third = np.cross(first, second)
    if faces == 1:
        flat = np.stack((points @ second, points @ third), axis=1).astype(np.float32)
        angle = np.radians(cv2.minAreaRect(cv2.convexHull(flat))[2])
        second, third = (
            second * np.cos(angle) + third * np.sin(angle),
            third * np.cos(angle) - second * np.sin(angle),
        )
    return np.stack((first, second, third), axis=1), faces


def _mode(candidates: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """The direction of most normals, within 15 degrees, averaged over them."""
    some = candidates[:: max(1, len(candidates) // 200)]
    near = some @ normals.T > np.cos(np.radians(15.0))
    mean = normals[near[int(near.sum(axis=1).argmax())]].mean(axis=0)
    mean = normals[normals @ (mean / np.linalg.norm(mean)) > np.cos(np.radians(12.0))].mean(axis=0)
    return mean / np.linalg.norm(mean)
