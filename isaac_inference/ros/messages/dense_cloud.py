# SPDX-License-Identifier: Apache-2.0
"""The points of a whole depth image as sensor_msgs/PointCloud2."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from isaac_inference.ops.depth.dense.points import DensePoints
from isaac_inference.ros.messages.image import byte_array

_XYZ = [('x', '<f4'), ('y', '<f4'), ('z', '<f4')]
_RGB = ('rgb', '<u4')  # 0x00RRGGBB in the bits of a float32, as PCL and RViz read it


def dense_cloud(header: Header, points: DensePoints) -> PointCloud2:
    """One unordered cloud (height 1) without NaN, little-endian: x, y, z, and rgb where there is colour."""
    rows = np.empty(len(points.xyz), np.dtype([*_XYZ, _RGB] if points.rgb is not None else _XYZ))
    rows['x'], rows['y'], rows['z'] = points.xyz.T
    if points.rgb is not None:
        red, green, blue = points.rgb.astype(np.uint32).T
        rows['rgb'] = red << 16 | green << 8 | blue
    message = PointCloud2(header=header, height=1, width=len(rows), is_bigendian=False, is_dense=True)
    message.fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate(rows.dtype.names or ())
    ]
    message.point_step, message.row_step = rows.dtype.itemsize, rows.nbytes
    message.data = byte_array(rows)
    return message
