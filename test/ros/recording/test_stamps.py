# SPDX-License-Identifier: Apache-2.0
"""Moving the stamps of serialised messages."""

from __future__ import annotations

import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header, String
from support.ros.probe import image_message
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2D, Detection2DArray

from isaac_inference.ros.recording.message_definition import type_name_of
from isaac_inference.ros.recording.stamps import shift_stamps

SECOND = 1_000_000_000


def stamped(second, nanosecond=5):
    header = Header(frame_id='lens')
    header.stamp.sec, header.stamp.nanosec = second, nanosecond
    return header


def shifted(message, seconds=10):
    data = shift_stamps(serialize_message(message), type_name_of(type(message)), lambda ns: ns + seconds * SECOND + 1)
    return deserialize_message(data, type(message))


@pytest.mark.parametrize('kind', [CameraInfo, Detection2DArray, Detection2D])
def test_a_leading_header_is_moved_and_the_rest_is_kept(kind):
    expected = kind(header=stamped(110, 6))
    assert shifted(kind(header=stamped(100))) == expected


def test_every_pixel_is_kept():
    message = image_message(header=stamped(100))
    assert shifted(message) == image_message(header=stamped(110, 6))


def test_headers_further_in_are_moved_too():
    detections = Detection2DArray(header=stamped(100), detections=[Detection2D(header=stamped(101), id='a')] * 2)
    found = shifted(detections)
    assert [item.header for item in found.detections] == [stamped(111, 6)] * 2
    assert found.header == stamped(110, 6)
    transforms = TFMessage(transforms=[TransformStamped(header=stamped(second)) for second in (100, 200)])
    assert [item.header.stamp.sec for item in shifted(transforms).transforms] == [110, 210]


def test_what_has_no_stamp_stays_as_it_is():
    assert shifted(String(data='a')) == String(data='a')
    assert shifted(CameraInfo(header=Header())) == CameraInfo()
    assert shifted(TFMessage(transforms=[TransformStamped()])) == TFMessage(transforms=[TransformStamped()])


def test_no_stamp_becomes_negative():
    assert shifted(CameraInfo(header=stamped(3)), seconds=-10) == CameraInfo(header=Header(frame_id='lens'))


def test_big_endian_messages_are_understood():
    data = bytes.fromhex('00000000 00000064 00000005 00000001 00')
    moved = shift_stamps(data, 'std_msgs/msg/Header', lambda ns: ns + SECOND)
    assert moved == data, 'a bare header has no header in it'
    body = bytes.fromhex('00000000 00000064 00000005') + bytes(50)
    moved = shift_stamps(body, 'sensor_msgs/msg/Image', lambda ns: ns + SECOND)
    assert moved == bytes.fromhex('00000000 00000065 00000005') + bytes(50)
