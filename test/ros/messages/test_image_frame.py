# SPDX-License-Identifier: Apache-2.0
"""Image frames: views of bytes, never copies, until they are serialised."""

from __future__ import annotations

import array

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from isaac_inference.ros.messages.image import (
    COMPRESSED_IMAGE,
    IMAGE,
    byte_array,
    byte_view,
    from_image_message,
    image_frame_from_array,
    to_image_message,
)


def picture(height=4, width=6, channels=3, dtype=np.uint8):
    shape = (height, width, channels) if channels else (height, width)
    return np.arange(np.prod(shape)).astype(dtype).reshape(shape)


def fields(frame):
    image = frame.image
    return image.height, image.width, image.encoding, image.step, image.is_bigendian


@pytest.mark.parametrize(
    ('image', 'encoding', 'step'),
    [
        (picture(), 'bgr8', 18),
        (picture(channels=0), 'mono8', 6),
        (picture(channels=4), 'bgra8', 24),
        (picture(channels=0, dtype=np.uint16), 'mono16', 12),
        (picture(height=0), 'bgr8', 0),
    ],
)
def test_a_frame_is_a_view_of_its_image(image, encoding, step):
    header = Header(frame_id='lens')
    frame = image_frame_from_array(image, encoding, header)
    assert frame.header is header
    assert fields(frame) == (*image.shape[:2], encoding, step, False)
    assert frame.image.data.dtype == np.uint8
    assert frame.image.data.shape == (image.nbytes,)
    assert frame.image.data.tobytes() == image.tobytes()
    assert not image.size or np.shares_memory(frame.image.data, image)


def test_an_image_that_is_not_contiguous_is_copied_once():
    image = picture()[:, ::2]
    frame = image_frame_from_array(image, 'bgr8', Header())
    assert frame.image.data.tobytes() == image.tobytes()
    assert (frame.image.width, frame.image.step) == (3, 9)


def test_a_received_image_is_a_view_of_the_message():
    message = Image(height=2, width=3, encoding='mono8', step=4, is_bigendian=1)
    message.data = array.array('B', range(8))
    frame = from_image_message(message)
    assert fields(frame) == (2, 3, 'mono8', 4, True)
    assert frame.image.data.tolist() == list(range(8))
    message.data[0] = 99
    assert frame.image.data[0] == 99


def test_a_message_gets_bytes_in_the_type_that_rclpy_takes_unchecked():
    message = to_image_message(image_frame_from_array(picture(), 'bgr8', Header()))
    assert isinstance(message.data, array.array)
    assert message.data.typecode == 'B'
    assert message.data.tobytes() == picture().tobytes()


def test_a_frame_comes_back_from_its_message():
    sent = image_frame_from_array(picture(), 'rgb8', Header(frame_id='lens'))
    got = IMAGE.from_message(IMAGE.to_message(sent))
    assert got.header == sent.header
    assert fields(got) == (4, 6, 'rgb8', 18, False)
    np.testing.assert_array_equal(got.image.data, sent.image.data)


@pytest.mark.parametrize(
    'data',
    [
        np.arange(6, dtype=np.uint8),
        np.arange(12, dtype=np.uint8)[::2],
        np.arange(3, dtype=np.float32),
        np.zeros((0, 3), np.float32),
        np.float64(2.0).reshape(()),
    ],
)
def test_byte_array_has_the_bytes_of_any_array(data):
    assert byte_array(data).tobytes() == data.tobytes()


@pytest.mark.parametrize('data', [array.array('B', [1, 2, 3]), b'\x01\x02\x03', [1, 2, 3], (1, 2, 3)])
def test_byte_view_reads_whatever_a_message_holds(data):
    view = byte_view(data)
    assert view.dtype == np.uint8
    assert view.tolist() == [1, 2, 3]


def test_a_compressed_image_is_its_own_message():
    message = COMPRESSED_IMAGE.message_type()
    assert COMPRESSED_IMAGE.to_message(message) is message
    assert COMPRESSED_IMAGE.from_message(message) is message
