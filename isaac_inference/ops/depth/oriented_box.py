# SPDX-License-Identifier: Apache-2.0
"""The tightest oriented box around the visible part of an object.

One camera sees no back side, so a box is only as deep as what is seen: an object that shows one face gets a thin one.
Neither an up direction nor a table is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.settings import DEFAULT
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.surface_normals import dominant_frame, facing_normals, thinned

_POINTS = 600
_DENSE = 1500
_TAIL = 1.0  # percent cut off at each end


@dataclass(frozen=True, eq=False)
class OrientedBox:
    """A box around visible points.

    Axes: x along the longest side, z along the shortest, right-handed. x points to the side where its largest
    component in the camera's frame is positive, z towards the camera.

    Attributes:
        pose: `T_camera_box`, origin at the box's centre.
        size: (3,) float64 along its axes, metres, descending.
        count: number of points that it was fitted to.
    """

    pose: Pose
    size: np.ndarray
    count: int


def oriented_box(points: np.ndarray, spacing: float = 0.004) -> OrientedBox:
    """The smallest of the boxes along the visible faces and along the principal axes.

    Args:
        points: (N, 3) of the object alone (foreground), camera frame, metres.
        spacing: points nearer to each other than this are merged first, metres.

    Raises:
        FrameError: 'depth_missing', with fewer than 30 points.

    Example: a flat plate of 0.2 x 0.1 m that faces the camera at 1 m.
        >>> plate = np.array([[x / 50, y / 100, 1.0] for x in range(-5, 6) for y in range(-5, 6)])
        >>> box = oriented_box(plate)
        >>> box.size.round(3).tolist(), round(float(box.pose.translation[2]), 3)
        ([0.2, 0.1, 0.0], 1.0)
    """
    if len(points) < DEFAULT.min_points:
        raise FrameError(
            'depth_missing', f'oriented box: got {len(points)} points, expected {DEFAULT.min_points} or more'
        )
    dense = np.asarray(points[:: max(1, len(points) // _DENSE)], np.float64)
    frames = [_along_faces(points, spacing), _principal_axes(dense)]
    boxes = [_fit(dense, frame) for frame in frames]
    # a flat view has no volume to compare, so each side counts as 5 mm at least
    return _ordered(min(boxes, key=lambda box: float(np.prod(np.maximum(box[2], 0.005)))), len(points))


def upright_box(points: np.ndarray, up: np.ndarray) -> OrientedBox:
    """The smallest of the boxes with one axis up.

    Args:
        points: (N, 3) of the object alone, camera frame, metres; at least one.
        up: (3,) away from what the object stands on.

    Example: a plate of 0.2 x 0.1 m that faces the camera at 1 m, seen from above.
        >>> plate = np.array([[x / 50, y / 100, 1.0] for x in range(-5, 6) for y in range(-5, 6)])
        >>> upright_box(plate, np.array((0.0, 0.0, -1.0))).size.round(3).tolist()
        [0.2, 0.1, 0.0]
    """
    dense = np.asarray(points[:: max(1, len(points) // _DENSE)], np.float64)
    return _ordered(_fit(dense, _upright(dense, up)), len(points))


def _ordered(box: tuple[np.ndarray, np.ndarray, np.ndarray], count: int) -> OrientedBox:
    rotation, center, size = box
    order = np.argsort(-size, kind='stable')
    return OrientedBox(Pose(_oriented(rotation[:, order]), center), size[order], count)


def _along_faces(points: np.ndarray, spacing: float) -> np.ndarray:
    # thinning gives stray points too much weight, so only directions are taken from it
    cloud = thinned(points, spacing, _POINTS)
    if len(cloud) < 10:  # smaller than the spacing
        cloud = np.asarray(points, np.float64)
    return dominant_frame(cloud, facing_normals(cloud))[0]


def _upright(points: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(3, 3) one axis up, the others along the sides of the smallest rectangle around what is seen from above."""
    x = np.cross(np.eye(3)[int(np.abs(up).argmin())], up)
    x /= np.linalg.norm(x)
    y = np.cross(up, x)
    flat = np.column_stack((points @ x, points @ y))
    low, high = np.percentile(flat, (_TAIL / 2, 100.0 - _TAIL / 2), axis=0)
    flat = flat[((flat >= low) & (flat <= high)).all(axis=1)]
    turn = np.radians(cv2.minAreaRect(flat.astype(np.float32))[2])
    first = np.cos(turn) * x + np.sin(turn) * y
    return np.column_stack((first, np.cross(up, first), up))


def _fit(points: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    along = points @ rotation
    ordered = np.sort(along, axis=0)
    cut = int(_TAIL / 100.0 * len(points))
    low, high = ordered[cut], ordered[-1 - cut]
    return rotation, rotation @ ((low + high) / 2), high - low


def _principal_axes(points: np.ndarray) -> np.ndarray:
    off = points - points.mean(axis=0)
    return np.linalg.eigh(off.T @ off)[1][:, ::-1]


def _oriented(axes: np.ndarray) -> np.ndarray:
    """The same axes with the signs that OrientedBox specifies."""
    x, z = axes[:, 0], axes[:, 2]
    x = x * np.copysign(1.0, x[int(np.abs(x).argmax())])
    z = z * np.copysign(1.0, -z[int(np.abs(z).argmax())]) if abs(z[2]) < 1e-6 else z * np.copysign(1.0, -z[2])
    return np.stack((x, np.cross(z, x), z), axis=1)
