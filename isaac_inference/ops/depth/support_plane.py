# SPDX-License-Identifier: Apache-2.0
"""The plane that an object stands on, or hangs before: what most of the points around its box lie on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.depth.settings import DepthSettings

_TRIES = 100  # with two thirds of the points elsewhere, one of them hits the plane in 97 of 100 cases
_SAMPLE = 120  # points that a try is judged by
_FITTED = 800  # points that the plane is fitted to
_REFINED = 3
_SIGMAS = 3.0
_LEAST_BAND = 0.25  # of the largest: below, the plane itself is not known well enough


@dataclass(frozen=True, eq=False)
class SupportPlane:
    """A plane in the camera's frame.

    Attributes:
        normal: (3,) float64, towards the camera.
        offset: m from the camera's centre to the plane along `normal`; negative.
        sigma: standard deviation of the depth points on it, across it, m.
        band: what is less than this above it belongs to it, m.
    """

    normal: np.ndarray
    offset: float
    sigma: float
    band: float

    def height(self, points: np.ndarray) -> np.ndarray:
        """(...) m above the plane, of (..., 3) points."""
        return points @ self.normal.astype(points.dtype) - points.dtype.type(self.offset)


def support_plane(surroundings: np.ndarray, settings: DepthSettings) -> SupportPlane | None:
    """The plane that most of the points lie on; None where too few do.

    Random sampling with a fixed seed (RANSAC), then least squares over the points on it.

    Args:
        surroundings: (M, 3) around an object's box, camera frame, m.
        settings: how close to it, and how many.

    Example: a wall at 2 m.
        >>> wall = np.array([[x / 10, y / 10, 2.0] for x in range(8) for y in range(8)])
        >>> plane = support_plane(wall, DepthSettings())
        >>> (plane.normal + 0.0).round(3).astype(int).tolist(), round(plane.offset, 6)
        ([0, 0, -1], -2.0)
    """
    if len(surroundings) < settings.min_points:
        return None
    widest = settings.support_band * max(1.0, float(np.median(surroundings[:, 2])))
    sample = np.asarray(surroundings[:: max(1, len(surroundings) // _SAMPLE)], np.float64)
    picks = np.random.default_rng(0).integers(0, len(sample), (_TRIES, 3))
    a, b, c = sample[picks[:, 0]], sample[picks[:, 1]], sample[picks[:, 2]]
    normals = np.cross(b - a, c - a)
    lengths = np.linalg.norm(normals, axis=1)
    usable = lengths > 1e-9
    if not usable.any():
        return None
    normals, a = normals[usable] / lengths[usable, None], a[usable]
    distances = np.abs(normals @ sample.T - np.einsum('ij,ij->i', normals, a)[:, None])
    best = int(np.count_nonzero(distances < widest, axis=1).argmax())
    normal, offset = normals[best], float(normals[best] @ a[best])
    cloud = np.asarray(surroundings[:: max(1, len(surroundings) // _FITTED)], np.float64)
    for _ in range(_REFINED):
        on_plane = cloud[np.abs(cloud @ normal - offset) < widest]
        if len(on_plane) < settings.min_points:
            return None
        centre = on_plane.mean(axis=0)
        off = on_plane - centre
        normal = np.linalg.eigh(off.T @ off)[1][:, 0]
        offset = float(normal @ centre)
    if len(on_plane) < settings.support_share * len(cloud):
        return None
    if offset > 0.0:
        normal, offset = -normal, -offset
    sigma = 1.4826 * float(np.median(np.abs(on_plane @ normal - offset)))
    return SupportPlane(normal, offset, sigma, float(np.clip(_SIGMAS * sigma, _LEAST_BAND * widest, widest)))
