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
    pixels = camera.project(pose.apply(cuboid_corners(size)))
    for start, end in CUBOID_EDGES:
        _line(image, pixels[start], pixels[end], color, 1)


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
    pixels = camera.project(pose.apply(points))
    for axis in range(3):
        _line(image, pixels[0], pixels[1 + axis], _AXIS_COLORS[axis], 2)


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


def _line(image: np.ndarray, start: np.ndarray, end: np.ndarray, color: tuple[int, int, int], width: int) -> None:
    ends = np.stack((start, end))
    if np.isfinite(ends).all() and np.abs(ends).max() < 1e5:
        first, second = (ends * 2**_FRACTION_BITS).round().astype(int).tolist()
        cv2.line(image, first, second, color, width, cv2.LINE_AA, _FRACTION_BITS)
