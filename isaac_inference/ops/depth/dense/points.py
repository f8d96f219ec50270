# SPDX-License-Identifier: Apache-2.0
"""The points of a whole depth image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel


class DensePoints(NamedTuple):
    """N points: `xyz` (N, 3) float32 m in the camera's frame, `rgb` (N, 3) uint8, or None where there is no colour."""

    xyz: np.ndarray
    rgb: np.ndarray | None


def dense_points(depth: np.ndarray, camera: CameraModel, color: np.ndarray | None = None) -> DensePoints:
    """Every pixel that has a depth, row by row.

    Args:
        depth: (H, W) float32 m along z; NaN for unknown.
        camera: of that size.
        color: (H, W, 3) uint8 BGR of the same view.

    Raises:
        FrameError: 'camera_info_size'.

    Example: one of two pixels is known.
        >>> camera = CameraModel(2, 1, np.array([[10.0, 0, 0], [0, 10, 0], [0, 0, 1]]))
        >>> dense_points(np.array([[np.nan, 2.0]], np.float32), camera).xyz.round(3).tolist()
        [[0.20000000298023224, 0.0, 2.0]]
    """
    camera.check_image(depth.shape[1], depth.shape[0])
    rows, columns = np.nonzero(np.isfinite(depth))
    xyz = np.empty((len(rows), 3), np.float32)
    xyz[:, 2] = z = depth[rows, columns]
    if camera.distortion:
        flat = camera.undistort(np.column_stack((columns, rows))).astype(np.float32)
        xyz[:, :2] = flat * z[:, None]
        xyz = xyz[np.isfinite(xyz[:, 0])]
    else:
        xyz[:, 0] = (columns - camera.K[0, 2]).astype(np.float32) * z / np.float32(camera.K[0, 0])
        xyz[:, 1] = (rows - camera.K[1, 2]).astype(np.float32) * z / np.float32(camera.K[1, 1])
    if color is None or len(xyz) != len(rows):
        return DensePoints(xyz, None)
    return DensePoints(xyz, color[rows, columns, ::-1])
