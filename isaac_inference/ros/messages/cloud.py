# SPDX-License-Identifier: Apache-2.0
"""Points as sensor_msgs/PointCloud2."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from isaac_inference.ops.depth.point_cloud import ObjectPoints
from isaac_inference.ros.messages.image import byte_array

# rgb is 0x00RRGGBB in the bits of a float32, as PCL and RViz read it
_PLACE = (('x', '<f4', PointField.FLOAT32), ('y', '<f4', PointField.FLOAT32), ('z', '<f4', PointField.FLOAT32))
_OBJECTS = (
    *_PLACE,
    ('rgb', '<u4', PointField.FLOAT32),
    ('instance', '<u4', PointField.UINT32),
    ('class_id', '<u4', PointField.UINT32),
)
_CLASSES = (*_PLACE, ('class_id', '<u4', PointField.UINT32))


def point_cloud(header: Header, points: ObjectPoints) -> PointCloud2:
    """One unordered cloud (height 1), little-endian, 24 bytes a point; without points it is empty, not an error."""
    red, green, blue = points.rgb.astype(np.uint32).T
    rgb: np.ndarray = np.asarray(red << 16 | green << 8 | blue)
    values = {'rgb': rgb, 'instance': points.instance, 'class_id': points.class_id}
    return _cloud(header, _OBJECTS, points.xyz, values)


def class_cloud(header: Header, xyz: np.ndarray, class_ids: np.ndarray) -> PointCloud2:
    """As `point_cloud`, of points that have a class and nothing else, 16 bytes each.

    Args:
        header: of the frame that the points are in.
        xyz: (N, 3) m.
        class_ids: (N,), as of a class mask.
    """
    return _cloud(header, _CLASSES, xyz, {'class_id': class_ids})


def _cloud(
    header: Header, fields: tuple[tuple[str, str, int], ...], xyz: np.ndarray, values: Mapping[str, np.ndarray]
) -> PointCloud2:
    dtype = np.dtype([(name, kind) for name, kind, _ in fields])
    rows = np.empty(len(xyz), dtype)
    rows['x'], rows['y'], rows['z'] = xyz.T
    for name, column in values.items():
        rows[name] = column
    message = PointCloud2()
    message.header = header
    message.height, message.width = 1, len(xyz)
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=datatype, count=1) for i, (name, _, datatype) in enumerate(fields)
    ]
    message.is_bigendian = False
    message.point_step, message.row_step = dtype.itemsize, dtype.itemsize * len(xyz)
    message.data = byte_array(rows)
    message.is_dense = True
    return message
