# SPDX-License-Identifier: Apache-2.0
"""Occupancy grids as nav_msgs/OccupancyGrid."""

from __future__ import annotations

import array

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from nav_msgs.msg import MapMetaData, OccupancyGrid
from std_msgs.msg import Header

from isaac_inference.ops.ground.occupancy import GridSpec


def occupancy_grid(header: Header, spec: GridSpec, grid: np.ndarray) -> OccupancyGrid:
    """A message of the grid's values, (y cells, x cells) int8, in the frame of `header`."""
    columns, rows = spec.cells
    corner = Pose(position=Point(x=spec.origin[0], y=spec.origin[1], z=0.0), orientation=Quaternion(w=1.0))
    info = MapMetaData(
        map_load_time=header.stamp, resolution=spec.resolution, width=columns, height=rows, origin=corner
    )
    message = OccupancyGrid(header=header, info=info)
    message.data = array.array('b', np.ascontiguousarray(grid, np.int8).tobytes())
    return message
