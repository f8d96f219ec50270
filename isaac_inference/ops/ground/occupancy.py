# SPDX-License-Identifier: Apache-2.0
"""An occupancy grid around the robot, in the values of nav_msgs/OccupancyGrid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose

FREE, OCCUPIED, UNKNOWN = 0, 100, -1
_MOST_CELLS = 4_000_000


@dataclass(frozen=True)
class GridSpec:
    """The cells of a grid in the plane z = 0 of the base frame, x forward, y left.

    Attributes:
        resolution: m, side of a cell.
        size: (x, y), m.
        origin: (x, y) of the corner of the first cell, m.
    """

    resolution: float
    size: tuple[float, float]
    origin: tuple[float, float]

    @property
    def cells(self) -> tuple[int, int]:
        """(along x, along y).

        Raises:
            ConfigError: none, or more than 4 million.
        """
        if self.resolution <= 0.0 or min(self.size) <= 0.0:
            raise ConfigError(
                f'grid: got a resolution of {self.resolution:g} m and a size of {self.size[0]:g} x {self.size[1]:g} m, '
                'expected more than 0'
            )
        x, y = (max(1, round(side / self.resolution)) for side in self.size)
        if x * y > _MOST_CELLS:
            raise ConfigError(
                f'grid: {self.size[0]:g} x {self.size[1]:g} m in cells of {self.resolution:g} m are {x * y} cells, '
                f'expected at most {_MOST_CELLS}; raise grid_resolution or make grid_size smaller'
            )
        return x, y

    def centres(self) -> np.ndarray:
        """(y cells * x cells, 3) float64, m: the cells' centres in the order of OccupancyGrid's data, x first."""
        (columns, rows), (left, bottom) = self.cells, self.origin
        x = left + (np.arange(columns) + 0.5) * self.resolution
        y = bottom + (np.arange(rows) + 0.5) * self.resolution
        across, up = np.meshgrid(x, y)
        return np.stack((across.ravel(), up.ravel(), np.zeros(across.size)), axis=1)

    def cell_of(self, points: np.ndarray) -> np.ndarray:
        """The cells that points lie in; those outside of the grid are left out.

        Args:
            points: (N, 3) m, in the base frame; z plays no role.

        Returns:
            (M,) intp, places in OccupancyGrid's data.

        Example:
            >>> GridSpec(0.5, (2.0, 1.0), (0.0, -0.5)).cell_of(np.array([[0.6, 0.1, 0.0], [9.0, 0.0, 0.0]])).tolist()
            [5]
        """
        columns, rows = self.cells
        with np.errstate(invalid='ignore'):
            x = np.floor((points[:, 0] - self.origin[0]) / self.resolution)
            y = np.floor((points[:, 1] - self.origin[1]) / self.resolution)
            inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        return (y[inside] * columns + x[inside]).astype(np.intp)


@dataclass(frozen=True, eq=False)
class GroundView:
    """Where a camera sees the cells of a grid, if the ground is flat; made once for a camera and where it is.

    Attributes:
        cells: (N,) intp, the cells that are in the image.
        pixels: (N,) intp, the pixel that each one's centre is in, as an index into the flat image.
    """

    cells: np.ndarray
    pixels: np.ndarray

    @classmethod
    def of(cls, spec: GridSpec, camera: CameraModel, T_base_camera: Pose, max_range: float) -> GroundView:
        """The view of the grid; cells beyond `max_range`, m from the camera over ground, are left out."""
        centres = spec.centres()
        pixels = camera.project(T_base_camera.inverse().apply(centres))
        near = np.hypot(*(centres - T_base_camera.translation)[:, :2].T) <= max_range
        with np.errstate(invalid='ignore'):
            x, y = np.floor(pixels.T + 0.5)
            seen = near & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)  # never for NaN
        return cls(np.flatnonzero(seen), (y[seen] * camera.width + x[seen]).astype(np.intp))


def occupancy(spec: GridSpec, free: np.ndarray, occupied: np.ndarray) -> np.ndarray:
    """The values of the cells: occupied wins, what is neither is unknown.

    Args:
        spec: of the grid.
        free, occupied: places of cells in the data, in any order and number.

    Returns:
        (y cells, x cells) int8: 0 free, 100 occupied, -1 unknown.

    Example:
        >>> occupancy(GridSpec(1.0, (3.0, 1.0), (0.0, 0.0)), np.array([0, 1]), np.array([1])).tolist()
        [[0, 100, -1]]
    """
    columns, rows = spec.cells
    grid = np.full(rows * columns, UNKNOWN, np.int8)
    grid[free] = FREE
    grid[occupied] = OCCUPIED
    return grid.reshape(rows, columns)
