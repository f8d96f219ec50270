# SPDX-License-Identifier: Apache-2.0
"""The sides of a detection box as planes through the camera that the object touches from within."""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.depth.sized_place import Reaches
from isaac_inference.ops.geometry.camera_model import CameraModel


def box_sides(
    box: np.ndarray, is_open: np.ndarray, camera: CameraModel, distance: float, settings: DepthSettings
) -> Reaches:
    """How far an object reaches by its box: to no side of any of the four planes.

    Args:
        box: (4,) x_min, y_min, x_max, y_max in px of the camera, edge-based.
        is_open: (4,) bool, sides that the object may reach beyond.
        camera: that the box is seen in.
        distance: m, roughly the object's.
        settings: how sure a box is.

    Example: a box around the optical axis of a camera with a focal length of 50 px.
        >>> camera = CameraModel(64, 48, np.array([[50.0, 0, 31.5], [0, 50, 23.5], [0, 0, 1]]))
        >>> sides = box_sides(np.array((22.0, 14, 42, 34)), np.zeros(4, bool), camera, 1.0, DepthSettings())
        >>> np.sign(sides.directions).astype(int).tolist()
        [[-1, 0, -1], [0, -1, -1], [1, 0, -1], [0, 1, -1]]
    """
    x_min, y_min, x_max, y_max = np.asarray(box, np.float64) - 0.5  # pixel centres are whole numbers
    middle = ((x_min + x_max) / 2, (y_min + y_max) / 2)
    places = np.array(((x_min, middle[1]), (middle[0], y_min), (x_max, middle[1]), (middle[0], y_max)))
    left, top, right, bottom = camera.undistort(places)
    directions = np.array(((-1.0, 0.0, left[0]), (0.0, -1.0, top[1]), (1.0, 0.0, -right[0]), (0.0, 1.0, -bottom[1])))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    wide, high = x_max - x_min, y_max - y_min
    off = np.hypot(1.0, settings.box_error * np.array((wide, high, wide, high)))  # px: half of one on either side
    return Reaches(directions, np.zeros(4), off * distance / camera.focal, np.asarray(is_open, np.bool_))
