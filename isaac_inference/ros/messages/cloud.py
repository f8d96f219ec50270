# SPDX-License-Identifier: Apache-2.0
"""Object points as sensor_msgs/PointCloud2."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from isaac_inference.ops.depth.point_cloud import ObjectPoints
from isaac_inference.ros.messages.image import byte_array

# rgb is 0x00RRGGBB in the bits of a float32, as PCL and RViz read it
_FIELDS = (
    ('x', '<f4', PointField.FLOAT32),
    ('y', '<f4', PointField.FLOAT32),
    ('z', '<f4', PointField.FLOAT32),
    ('rgb', '<u4', PointField.FLOAT32),
    ('instance', '<u4', PointField.UINT32),
    ('class_id', '<u4', PointField.UINT32),
)
_ROW = np.dtype([(name, dtype) for name, dtype, _ in _FIELDS])


def point_cloud(header: Header, points: ObjectPoints) -> PointCloud2:
    """One unordered cloud (height 1), little-endian, 24 bytes a point; without points it is empty, not an error."""
    rows = np.empty(len(points), _ROW)
    rows['x'], rows['y'], rows['z'] = points.xyz.T
    red, green, blue = points.rgb.astype(np.uint32).T
    rows['rgb'] = red << 16 | green << 8 | blue
    rows['instance'], rows['class_id'] = points.instance, points.class_id
    message = PointCloud2()
    message.header = header
    message.height, message.width = 1, len(points)
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=datatype, count=1) for i, (name, _, datatype) in enumerate(_FIELDS)
    ]
    message.is_bigendian = False
    message.point_step, message.row_step = _ROW.itemsize, _ROW.itemsize * len(points)
    message.data = byte_array(rows)
    message.is_dense = True
    return message
