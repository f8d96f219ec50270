# SPDX-License-Identifier: Apache-2.0
"""Rays against cuboid faces and cylinders, for all pixels of an image region at once.

A ray leaves the camera with direction (x, y, 1) in the optical frame, x and y being a pixel's normalised image
coordinates, so that the ray parameter of a hit IS its depth z in m. Intersections are solved in the object's
frame: a plane, and the quadratic of a circular cylinder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isaac_inference.ops.geometry.rigid import Pose

# axis and sign of a face's normal, then the (axis, sign) of its picture's right and of its picture's up
_FRAMES = {
    '+x': (0, 1.0, (1, 1.0), (2, 1.0)),
    '-x': (0, -1.0, (1, -1.0), (2, 1.0)),
    '+y': (1, 1.0, (0, -1.0), (2, 1.0)),
    '-y': (1, -1.0, (0, 1.0), (2, 1.0)),
    '+z': (2, 1.0, (0, 1.0), (1, 1.0)),
    '-z': (2, -1.0, (0, -1.0), (1, 1.0)),
}


@dataclass(frozen=True, eq=False)
class Hits:
    """Where the rays of a region meet one face.

    Attributes:
        mask: (h, w) bool.
        depth: (h, w) float32, m along z; meaningless outside the mask.
        u, v: (h, w) float32 in 0..1 over the face's picture, right and down.
        normal: unit normal in the object's frame, (3,), or (h, w, 3) for a curved face.
    """

    mask: np.ndarray
    depth: np.ndarray
    u: np.ndarray
    v: np.ndarray
    normal: np.ndarray


class Rays:
    """The rays of a region in an object's frame."""

    def __init__(self, pose: Pose, x: np.ndarray, y: np.ndarray) -> None:
        """Rays for an object at `pose` (T_camera_object); x, y: normalised coordinates, broadcast to (h, w)."""
        inverse = pose.rotation.T.astype(np.float32)
        self.origin = (-(pose.rotation.T @ pose.translation)).astype(np.float32)
        self.direction = [inverse[i, 0] * x + inverse[i, 1] * y + inverse[i, 2] for i in range(3)]


def visible_faces(rays: Rays, size: tuple[float, float, float], shape: str) -> Iterator[str]:
    """Names of the faces that the camera can see at all."""
    if shape == 'cylinder':
        yield 'side'
    for name, (axis, sign, _, _) in _FRAMES.items():
        if (shape == 'cuboid' or axis == 2) and sign * rays.origin[axis] > size[axis] / 2:
            yield name


def hit_face(rays: Rays, size: tuple[float, float, float], shape: str, face: str) -> Hits:
    """Intersect the rays with one face of a shape; `size` in m."""
    if face == 'side':
        return _hit_side(rays, size)
    axis, sign, (right, right_sign), (up, up_sign) = _FRAMES[face]
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = (np.float32(sign * size[axis] / 2) - rays.origin[axis]) / rays.direction[axis]
    a = rays.origin[right] + depth * rays.direction[right]
    b = rays.origin[up] + depth * rays.direction[up]
    if shape == 'cylinder':
        mask = (a * a + b * b <= np.float32(size[0] / 2) ** 2) & (depth > 0)
    else:
        mask = (np.abs(a) <= np.float32(size[right] / 2)) & (np.abs(b) <= np.float32(size[up] / 2)) & (depth > 0)
    normal = np.zeros(3, np.float32)
    normal[axis] = sign
    u = a * np.float32(right_sign / size[right]) + np.float32(0.5)
    v = np.float32(0.5) - b * np.float32(up_sign / size[up])
    return Hits(mask, depth, u, v, normal)


def _hit_side(rays: Rays, size: tuple[float, float, float]) -> Hits:
    """The mantle of a cylinder about z."""
    radius, half = np.float32(size[0] / 2), np.float32(size[2] / 2)
    (ox, oy, oz), (dx, dy, dz) = rays.origin, rays.direction
    a, b, c = dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - radius * radius
    discriminant = b * b - a * c
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = (-b - np.sqrt(discriminant)) / a
    x, y, z = ox + depth * dx, oy + depth * dy, oz + depth * dz
    mask = (discriminant > 0) & (depth > 0) & (np.abs(z) <= half)
    normal = np.stack((x / radius, y / radius, np.zeros_like(x)), axis=-1)
    u = np.arctan2(y, x) * np.float32(0.5 / np.pi) % np.float32(1.0)
    return Hits(mask, depth, u, np.float32(0.5) - z / np.float32(size[2]), normal)
