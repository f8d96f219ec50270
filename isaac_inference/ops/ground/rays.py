# SPDX-License-Identifier: Apache-2.0
"""Viewing rays of some of an image's pixels, and how far along them the ground is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose

_LEAST_HEIGHT = 0.05  # m


@dataclass(frozen=True, eq=False)
class PixelRays:
    """The rays of every n-th row and column of a camera's image, the last row among them; made once for a camera.

    Attributes:
        rows, columns: (R,), (C,) intp, px.
        directions: (R, C, 3) float32, (x/z, y/z, 1) in the camera's optical frame; NaN where the lens never reaches.
    """

    rows: np.ndarray
    columns: np.ndarray
    directions: np.ndarray

    @classmethod
    def of(cls, camera: CameraModel, stride: int = 1) -> PixelRays:
        """The rays of every `stride`-th row and column.

        Example: the pixel on the axis looks straight ahead.
            >>> camera = CameraModel(5, 5, np.array([[4.0, 0, 2], [0, 4, 2], [0, 0, 1]]))
            >>> PixelRays.of(camera, 2).directions[1, 1].tolist()
            [0.0, 0.0, 1.0]
        """
        rows = np.arange(camera.height - 1, -1, -stride)[::-1]
        columns = np.arange(0, camera.width, stride)
        x, y = np.meshgrid(columns, rows)
        flat = camera.undistort(np.stack((x.ravel(), y.ravel()), axis=1))
        directions = np.ones((len(rows), len(columns), 3), np.float32)
        directions[..., :2] = flat.reshape(len(rows), len(columns), 2)
        return cls(rows, columns, directions)

    def sampled(self, image: np.ndarray) -> np.ndarray:
        """The pixels of an image of the camera's size that have a ray, (R, C)."""
        return image.take(self.rows, axis=0).take(self.columns, axis=1)

    def sampled_from(self, image: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
        """As `sampled`, of an image of another size that shows the same view: the pixel that each centre lies in.

        Args:
            image: (h, w).
            size_wh: (width, height) in px of the camera's image.
        """
        height, width = image.shape[:2]
        rows = (2 * self.rows + 1) * height // (2 * size_wh[1])
        columns = (2 * self.columns + 1) * width // (2 * size_wh[0])
        return image.take(rows, axis=0).take(columns, axis=1)

    def points(self, depth: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The 3-D points of some pixels.

        Args:
            depth: (R, C) float32, m along the optical axis, NaN where there is none.
            where: (R, C) bool, which pixels.

        Returns:
            (N, 3) float32, m in the camera's optical frame, of those that have a depth; and (R, C) bool, which these
            are, in the order of rows.
        """
        found = where & np.isfinite(depth) & np.isfinite(self.directions[..., 0])
        return self.directions[found] * depth[found, None], found


def ground_depth(rays: PixelRays, T_base_camera: Pose, max_range: float) -> np.ndarray:
    """How deep each ray meets the ground, the plane z = 0 of the base frame.

    Args:
        rays: of the camera.
        T_base_camera: from the camera's optical frame to a frame with its origin on the ground and z up (REP 105's
            base_footprint, or base_link where that is on the ground).
        max_range: m; beyond that horizontal distance from the camera there is no depth: towards the horizon a pixel
            is metres long.

    Returns:
        (R, C) float32, m along the optical axis; NaN where a ray does not meet the ground within the range.

    Raises:
        FrameError: 'camera_below_ground'.

    Example: a camera 1 m above the ground that looks straight down.
        >>> camera = CameraModel(5, 5, np.array([[4.0, 0, 2], [0, 4, 2], [0, 0, 1]]))
        >>> down = Pose(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 1.0]))
        >>> ground_depth(PixelRays.of(camera, 2), down, 10.0)[1].tolist()
        [1.0, 1.0, 1.0]
    """
    height = float(T_base_camera.translation[2])
    if height <= 0.0:
        raise FrameError(
            'camera_below_ground',
            f'the camera is {height:.3f} m above the base frame, expected more than 0: points are found where rays '
            "meet the plane z = 0 of base_frame, so its origin must be on the ground; set base_frame to the robot's "
            'base_footprint, or give the camera its height in /tf',
        )
    across = rays.directions @ T_base_camera.rotation.T.astype(np.float32)
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = np.float32(height) / -across[..., 2]
        reach = depth * np.hypot(across[..., 0], across[..., 1])
        depth[~((depth > 0.0) & (reach <= max_range))] = np.nan
    return depth


def feet(obstacle: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Where obstacles stand on the ground: the only pixels of them whose place follows from the ground alone.

    Args:
        obstacle, ground: (R, C) bool, sampled pixels of either kind.

    Returns:
        (R, C) bool: ground with an obstacle right above it in the image, and obstacles in the last row, which are at
        most as far as that row shows the ground. What is higher up on an obstacle would be projected behind it. Along
        an edge that leans outwards in the image there is ground behind the obstacle too: see `stands_on`.

    Example: an obstacle that ends above the ground, and one that the picture's lower edge cuts.
        >>> obstacle = np.array([[1, 1], [0, 1], [0, 1]], bool)
        >>> feet(obstacle, ~obstacle).tolist()
        [[False, False], [True, False], [False, True]]
    """
    found = np.zeros_like(obstacle)
    found[1:] = obstacle[:-1] & ground[1:]
    found[-1] |= obstacle[-1]
    return found


def stands_on(
    points: np.ndarray,
    up: np.ndarray,
    height_px: float,
    is_obstacle: Callable[[np.ndarray, np.ndarray], np.ndarray],
    camera: CameraModel,
) -> np.ndarray:
    """Which points of the ground an obstacle stands on: what is a little above them must show the obstacle as well.

    Upright edges lean outwards in the image of a camera that looks down, so that ground behind an obstacle lies right
    below a part of it; above that ground there is more of the ground.

    Args:
        points: (N, 3) m in the camera's optical frame, on the ground.
        up: (3,) unit vector away from the ground, in that frame.
        height_px: how far above a point is looked, as seen in the image; at least 5 cm are.
        is_obstacle: of pixels given by their rows and columns, each (M,) intp; (M,) bool.
        camera: of the image.

    Returns:
        (N,) bool; True also where the image ends below.

    Example: the ground 2 m ahead, seen by a camera 1 m above it; the obstacle fills the picture above its middle row.
        >>> camera = CameraModel(40, 40, np.array([[20.0, 0, 20], [0, 20, 20], [0, 0, 1]]))
        >>> points = np.array([[0.0, 1.0, 2.0], [0.0, 0.1, 2.0]])
        >>> stands_on(points, np.array([0.0, -1.0, 0.0]), 4, lambda rows, columns: rows < 20, camera).tolist()
        [False, True]
    """
    heights = np.maximum(_LEAST_HEIGHT, height_px * points[:, 2] / camera.focal)
    with np.errstate(invalid='ignore'):
        x, y = np.rint(camera.project(points + up * heights[:, None]).T)
        inside = (x >= 1) & (x < camera.width - 1) & (y >= 0) & (y < camera.height)  # never for NaN
    found = np.ones(len(points), np.bool_)
    rows, columns = y[inside].astype(np.intp), x[inside].astype(np.intp)
    # with its neighbours: a pixel on the very edge says nothing
    found[inside] = is_obstacle(rows, columns - 1) & is_obstacle(rows, columns) & is_obstacle(rows, columns + 1)
    return found
