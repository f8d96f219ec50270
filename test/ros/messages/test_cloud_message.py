# SPDX-License-Identifier: Apache-2.0
"""Object points as PointCloud2."""

from __future__ import annotations

import array
import struct

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from isaac_inference.ops.depth.point_cloud import ObjectPoints
from isaac_inference.ros.messages.cloud import point_cloud


def header():
    made = Header(frame_id='lens')
    made.stamp.sec, made.stamp.nanosec = 5, 6
    return made


def points():
    return ObjectPoints(
        np.array(((0.5, -0.25, 1.5), (1, 2, 3)), np.float32),
        np.array(((255, 128, 1), (0, 0, 0)), np.uint8),
        np.array((7, 2**32 - 1), np.uint32),
        np.array((3, 0), np.uint32),
    )


def test_every_point_can_be_read_by_its_fields():
    message = point_cloud(header(), points())
    assert message.header == header()
    assert (message.height, message.width, message.point_step, message.row_step) == (1, 2, 24, 48)
    assert (message.is_bigendian, message.is_dense) == (False, True)
    assert [(f.name, f.offset, f.datatype, f.count) for f in message.fields] == [
        ('x', 0, PointField.FLOAT32, 1),
        ('y', 4, PointField.FLOAT32, 1),
        ('z', 8, PointField.FLOAT32, 1),
        ('rgb', 12, PointField.FLOAT32, 1),
        ('instance', 16, PointField.UINT32, 1),
        ('class_id', 20, PointField.UINT32, 1),
    ]
    assert isinstance(message.data, array.array)
    assert struct.unpack_from('<fffIII', message.data, 0) == (0.5, -0.25, 1.5, 0x00FF8001, 7, 3)
    assert struct.unpack_from('<fffIII', message.data, 24) == (1, 2, 3, 0, 2**32 - 1, 0)


def test_it_survives_the_wire():
    sent = point_cloud(header(), points())
    assert deserialize_message(serialize_message(sent), PointCloud2) == sent


def test_no_points_are_an_empty_cloud():
    nothing = ObjectPoints(
        np.empty((0, 3), np.float32), np.empty((0, 3), np.uint8), np.empty(0, np.uint32), np.empty(0, np.uint32)
    )
    message = point_cloud(header(), nothing)
    assert (message.width, message.row_step, len(message.data)) == (0, 0, 0)
    assert len(message.fields) == 6
