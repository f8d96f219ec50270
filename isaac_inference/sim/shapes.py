# SPDX-License-Identifier: Apache-2.0
"""Rays against cuboid faces and cylinders, for all pixels of an image region at once.

A ray leaves the camera with direction (x, y, 1) in the optical frame, x and y being a pixel's normalised image
coordinates, so that the ray parameter of a hit IS its depth z in m. Intersections are solved in the object's
frame: a plane, and the quadratic of a circular cylinder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

Number = float | np.ndarray


@dataclass(frozen=True, eq=False)
class Hits:
    """Where the rays of a region meet one face.

    Attributes:
        mask: (h, w) bool.
        depth: (h, w) float32, m along z; meaningless outside the mask.
        u, v: (h, w) float32 px of the face's picture, right and down, pixel centres at whole numbers.
        normal: x, y and z of the unit normal in the object's frame: numbers, or (h, w) each on a curved face.
    """

    mask: np.ndarray
    depth: np.ndarray
    u: np.ndarray
    v: np.ndarray
    normal: tuple[Number, Number, Number]


class RayGrid:
    """The rays of an image region in the camera's frame.

    Args:
        x, y: normalised coordinates of the pixels, float32: a row and a column where there is no distortion, which
            makes sums over all pixels cheap, else (h, w) each.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self._x, self._y = x, y

    def part(self, rows: slice, columns: slice) -> RayGrid:
        """The rays of a smaller region."""
        if self._x.shape == self._y.shape:
            return RayGrid(self._x[rows, columns], self._y[rows, columns])
        return RayGrid(self._x[:, columns], self._y[rows])

    def along(self, axis: Sequence[float] | np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """(h, w) float32 scalar products of each ray (x, y, 1) with a vector; into `out` where that is given."""
        a, b, c = np.asarray(axis, np.float32)
        return np.add(a * self._x + c, b * self._y, out=out)


class Rays:
    """The rays of a region in an object's frame.

    Args:
        pose: T_camera_object.
        grid: the rays in the camera's frame.
    """

    def __init__(self, pose: Pose, grid: RayGrid) -> None:
        self.origin = -(pose.rotation.T @ pose.translation)
        self.axes = pose.rotation.T  # row i: a ray's scalar product with it is its component i
        self.grid = grid


def visible_faces(origin: np.ndarray, size: tuple[float, float, float], shape: str) -> Iterator[str]:
    """Names of the faces that the camera at `origin`, in the object's frame, can see at all."""
    if shape == 'cylinder':
        yield 'side'
    for name, (axis, sign, _, _) in _FRAMES.items():
        if (shape == 'cuboid' or axis == 2) and sign * origin[axis] > size[axis] / 2:
            yield name


def hit_face(rays: Rays, size: tuple[float, float, float], shape: str, face: str, picture_wh: tuple[int, int]) -> Hits:
    """Intersect the rays with one face of a shape that is all in front of the camera.

    Rays along a face divide by zero; the caller silences that once, for all faces.

    Args:
        rays: of the region.
        size: in m.
        shape: 'cuboid' or 'cylinder'.
        face: its name.
        picture_wh: width and height of the face's picture in px.
    """
    if face == 'side':
        return _hit_side(rays, size, picture_wh)
    axis, sign, right, up = _FRAMES[face]
    distance, down = sign * size[axis] / 2 - rays.origin[axis], rays.axes[axis]
    per_down = rays.grid.along(down)
    np.reciprocal(per_down, out=per_down)
    # a place is origin + depth * direction with depth = distance / (down . ray), so its px are one linear function of
    # the ray over another
    u, v = (
        rays.grid.along(px * (turn / size[i]) * (rays.origin[i] * down + distance * rays.axes[i]) + middle * down)
        for (i, turn), px, middle in (
            (right, picture_wh[0], (picture_wh[0] - 1) / 2),
            ((up[0], -up[1]), picture_wh[1], (picture_wh[1] - 1) / 2),
        )
    )
    u *= per_down
    v *= per_down
    per_down *= np.float32(distance)
    if shape == 'cylinder':
        mask = _square(u, picture_wh[0]) + _square(v, picture_wh[1]) <= np.float32(0.25)
    else:
        mask = u >= -0.5
        mask &= u <= picture_wh[0] - 0.5
        mask &= v >= -0.5
        mask &= v <= picture_wh[1] - 0.5
    normal = [0.0, 0.0, 0.0]
    normal[axis] = sign
    return Hits(mask, per_down, u, v, (normal[0], normal[1], normal[2]))


def _square(pixels: np.ndarray, count: int) -> np.ndarray:
    """Squared distance from the picture's middle, in its width or height."""
    part = (pixels - np.float32((count - 1) / 2)) * np.float32(1 / count)
    return part * part


def _hit_side(rays: Rays, size: tuple[float, float, float], picture_wh: tuple[int, int]) -> Hits:
    """The mantle of a cylinder about z."""
    radius, half = size[0] / 2, size[2] / 2
    ox, oy, oz = (np.float32(value) for value in rays.origin)
    dx, dy, dz = (rays.grid.along(axis) for axis in rays.axes)
    a, b = dx * dx, ox * dx
    a += dy * dy
    b += oy * dy
    c = np.float32(rays.origin[0] ** 2 + rays.origin[1] ** 2 - radius**2)
    discriminant = b * b - a * c
    depth = (-b - np.sqrt(np.maximum(discriminant, np.float32(0.0)))) / a
    x, y, z = ox + depth * dx, oy + depth * dy, oz + depth * dz
    mask = (discriminant > 0) & (depth > 0) & (np.abs(z) <= np.float32(half))
    u = np.arctan2(y, x) * np.float32(0.5 / np.pi) % np.float32(1.0)
    u = u * np.float32(picture_wh[0]) - np.float32(0.5)
    v = z * np.float32(-picture_wh[1] / size[2]) + np.float32((picture_wh[1] - 1) / 2)
    x *= np.float32(1 / radius)
    y *= np.float32(1 / radius)
    return Hits(mask, depth, u, v, (x, y, 0.0))
