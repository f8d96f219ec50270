# SPDX-License-Identifier: Apache-2.0
"""Drawing poses and tracks on an image, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import CUBOID_EDGES, cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose

_AXIS_COLORS = ((60, 60, 255), (60, 220, 60), (255, 120, 60))  # BGR of x, y, z: red, green, blue as in rviz
_FRACTION_BITS = 4
_FURTHEST = 1e5  # px from the image's corner
_EDGES = tuple((int(start), int(end)) for start, end in CUBOID_EDGES)
_Place = tuple[int, int] | None


def draw_cuboid(
    image: np.ndarray, pose: Pose, size: Sequence[float], camera: CameraModel, color: tuple[int, int, int]
) -> None:
    """Draw the twelve edges of an object's cuboid, in place; edges with an end behind the camera are left out.

    Args:
        image: (H, W, 3) uint8 BGR, of the camera's size.
        pose: T_camera_object.
        size: (x, y, z) extent, m.
        camera: of the image; its distortion is applied to the ends of each edge, and edges are drawn straight.
        color: BGR.

    Example: a cube of 1 m whose front is 2 m away; its corner projects to 32 + 0.5 / 2 * 64 = 48.
        >>> camera = CameraModel(64, 64, np.array([[64.0, 0, 32], [0, 64, 32], [0, 0, 1]]))
        >>> image = np.zeros((64, 64, 3), np.uint8)
        >>> draw_cuboid(image, Pose(np.eye(3), np.array([0, 0, 2.5])), (1, 1, 1), camera, (0, 255, 0))
        >>> bool(image[32, 48].any()), bool(image[32, 32].any())
        (True, False)
    """
    places = _places(camera.project(pose.apply(cuboid_corners(size))))
    for start, end in _EDGES:
        _line(image, places[start], places[end], color, 1)


def draw_axes(image: np.ndarray, pose: Pose, length: float, camera: CameraModel) -> None:
    """Draw an object's axes of `length` m from its origin: x red, y green, z blue; in place.

    Example: x points to the right, and channel 2 is red.
        >>> camera = CameraModel(64, 64, np.array([[64.0, 0, 32], [0, 64, 32], [0, 0, 1]]))
        >>> image = np.zeros((64, 64, 3), np.uint8)
        >>> draw_axes(image, Pose(np.eye(3), np.array([0, 0, 1.0])), 0.25, camera)
        >>> int(image[32, 42].argmax())
        2
    """
    points = np.vstack((np.zeros(3), np.eye(3) * length))
    origin, *tips = _places(camera.project(pose.apply(points)))
    for tip, color in zip(tips, _AXIS_COLORS, strict=True):
        _line(image, origin, tip, color, 2)


def draw_trail(image: np.ndarray, points: Sequence[tuple[float, float]], color: tuple[int, int, int]) -> None:
    """Draw where an object has been: `points` in px, the oldest first; in place.

    Example:
        >>> image = np.zeros((64, 64, 3), np.uint8)
        >>> draw_trail(image, [(10, 20), (50, 20)], (0, 255, 0))
        >>> bool(image[20, 30].any()), bool(image[40, 30].any())
        (True, False)
    """
    if len(points) > 1:
        path = (np.array(points, np.float64) * 2**_FRACTION_BITS).round().astype(np.int32)
        cv2.polylines(image, [path.reshape(-1, 1, 2)], False, color, 1, cv2.LINE_AA, _FRACTION_BITS)


def _places(pixels: np.ndarray) -> list[_Place]:
    """Each of (N, 2) px as OpenCV's fixed-point numbers; None for one that can't be drawn to."""
    with np.errstate(invalid='ignore'):
        good = (np.abs(pixels) < _FURTHEST).all(axis=1)  # NaN is not
    fixed = (np.where(good[:, None], pixels, 0.0) * 2**_FRACTION_BITS).round().astype(int).tolist()
    return [(x, y) if fits else None for (x, y), fits in zip(fixed, good.tolist(), strict=True)]


def _line(image: np.ndarray, start: _Place, end: _Place, color: tuple[int, int, int], width: int) -> None:
    if start is not None and end is not None:
        cv2.line(image, start, end, color, width, cv2.LINE_AA, _FRACTION_BITS)
