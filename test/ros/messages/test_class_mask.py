# SPDX-License-Identifier: Apache-2.0
"""Class masks and their names as messages, and back."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.ros.messages.class_mask import class_mask_array, class_mask_frame, label_info, labels_of
from isaac_inference.ros.messages.image import ImageFrame, from_image_message, to_image_message

RNG = np.random.default_rng(1)


@pytest.mark.parametrize(('dtype', 'encoding'), [(np.uint8, 'mono8'), (np.uint16, '16UC1')])
def test_a_mask_survives_the_wire(dtype, encoding):
    mask = RNG.integers(0, np.iinfo(dtype).max, (48, 65), endpoint=True).astype(dtype)
    header = Header(stamp=Time(sec=3, nanosec=7), frame_id='lens')
    message = deserialize_message(serialize_message(to_image_message(class_mask_frame(mask, header))), Image)
    assert (message.encoding, message.width, message.height, message.header) == (encoding, 65, 48, header)
    assert message.step == 65 * mask.itemsize
    found = class_mask_array(from_image_message(message))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize('encoding', ['mono8', '8UC1', 'MONO8'])
def test_padded_rows_are_cut(encoding):
    data = RNG.integers(0, 9, (4, 16)).astype(np.uint8)
    found = class_mask_array(ImageFrame(Header(), RawImage(data.reshape(-1), encoding, 4, 10, 16, False)))
    np.testing.assert_array_equal(found, data[:, :10])


@pytest.mark.parametrize('is_bigendian', [False, True])
def test_two_bytes_in_either_order(is_bigendian):
    mask = RNG.integers(0, 65535, (5, 6)).astype(np.uint16)
    data = np.frombuffer(mask.astype('>u2' if is_bigendian else '<u2').tobytes(), np.uint8)
    found = class_mask_array(ImageFrame(Header(), RawImage(data, '16UC1', 5, 6, 12, is_bigendian)))
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize(
    ('encoding', 'height', 'width', 'step', 'size', 'reason'),
    [
        ('bgr8', 4, 4, 12, 48, 'mask_encoding'),
        ('32FC1', 4, 4, 16, 64, 'mask_encoding'),
        ('mono8', 4, 4, 4, 15, 'bad_image'),
        ('mono8', 4, 4, 3, 16, 'bad_image'),
        ('mono8', 0, 4, 4, 0, 'bad_image'),
        ('16UC1', 4, 4, 4, 16, 'bad_image'),
    ],
)
def test_what_is_no_mask_is_refused(encoding, height, width, step, size, reason):
    image = RawImage(np.zeros(size, np.uint8), encoding, height, width, step, False)
    with pytest.raises(FrameError, match='class mask') as caught:
        class_mask_array(ImageFrame(Header(), image))
    assert caught.value.reason == reason


@pytest.mark.parametrize(('count', 'fill'), [(3, 255), (255, 255), (256, 65535)])
def test_names_and_the_id_of_what_has_none(count, fill):
    names = [f'class {number}' for number in range(count)]
    message = deserialize_message(serialize_message(label_info(Time(sec=1), names, 0.25)), LabelInfo)
    assert message.threshold == 0.25
    assert [(item.class_id, item.class_name) for item in message.class_map][-1] == (fill, 'unlabelled')
    assert labels_of(message) == dict(enumerate(names))
