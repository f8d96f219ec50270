# SPDX-License-Identifier: Apache-2.0
"""How deep the pixels of a camera would be if they showed a flat ground."""

from __future__ import annotations

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose

_LEAST_HEIGHT = 0.05  # m


def ground_depths(camera: CameraModel, T_ground_camera: Pose, places: np.ndarray, farthest: float) -> np.ndarray:
    """Depth along the camera's z at which each pixel's ray meets the plane z = 0 of the ground's frame.

    Args:
        camera: its lens.
        T_ground_camera: where the camera is in a frame whose z points up.
        places: (N, 2) px, pixel centres at whole numbers.
        farthest: m; what is farther is left out: the horizon is no measure.

    Returns:
        (N,) float64 m; NaN for rays that do not meet the ground within that.

    Raises:
        FrameError: 'ground_height', the camera is not above the ground.

    Example: a camera that looks straight down from 2 m.
        >>> camera = CameraModel(3, 3, np.array([[10.0, 0, 1], [0, 10, 1], [0, 0, 1]]))
        >>> down = Pose(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 2.0]))
        >>> ground_depths(camera, down, np.array([[1.0, 1.0]]), 10.0).tolist()
        [2.0]
    """
    height = float(T_ground_camera.translation[2])
    if height < _LEAST_HEIGHT:
        raise FrameError(
            'ground_height',
            f'by /tf the camera is {height:.3f} m above the ground, expected {_LEAST_HEIGHT} m or more; check '
            'ground_frame: its z points up, and its z = 0 is the ground',
        )
    flat = camera.undistort(places)
    up = T_ground_camera.rotation[2]
    slope = flat @ up[:2] + up[2]
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = np.where(slope < 0.0, -height / slope, np.nan)
        depth[~(depth <= farthest)] = np.nan
    return np.asarray(depth)
