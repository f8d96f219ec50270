# SPDX-License-Identifier: Apache-2.0
"""Masks of instances as a message and back; and images that hold no such masks, or others than these detections'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from support.detections import detections

from isaac_inference.errors import FrameError
from isaac_inference.ros.messages.detections import detection_array, read_detections
from isaac_inference.ros.messages.image import from_image_message, to_image_message
from isaac_inference.ros.messages.masks import instance_array, instance_frame, read_masks

HEADER = Header(frame_id='lens')
IMAGE = np.zeros((6, 9), np.uint16)
IMAGE[1:4, 1:5], IMAGE[2:5, 3:8] = 1, 2
FOUND = detections(([1, 1, 5, 4], 0.5, 0), ([3, 2, 8, 5], 0.75, 0), ([0, 0, 2, 2], 0.25, 0))
SEEN = read_detections(detection_array(HEADER, FOUND, ['cup']).detections, None)


def sent(**fields: Any) -> Image:
    message = to_image_message(instance_frame(HEADER, IMAGE))
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_a_message_is_16uc1_of_the_source_s_size_and_comes_back() -> None:
    message = sent()
    assert (message.encoding, message.width, message.height, message.step) == ('16UC1', 9, 6, 18)
    assert message.header == HEADER
    np.testing.assert_array_equal(instance_array(from_image_message(message)), IMAGE)


def test_rows_with_padding_and_the_other_byte_order() -> None:
    padded = np.full((6, 10), 99, '>u2')
    padded[:, :9] = IMAGE
    message = sent(step=20, is_bigendian=1, encoding='mono16')
    message.data = padded.tobytes()
    np.testing.assert_array_equal(instance_array(from_image_message(message)), IMAGE)


def test_each_detection_has_its_own_pixels() -> None:
    masks = read_masks(instance_frame(HEADER, IMAGE), SEEN, 3, (9, 6))
    for index in (0, 1):
        np.testing.assert_array_equal(masks.full(index), index + 1 == IMAGE)
    assert masks.areas.tolist() == [int((IMAGE == 1).sum()), 15, 0]


def test_detections_that_cannot_be_used_do_not_shift_the_others() -> None:
    masks = read_masks(instance_frame(HEADER, IMAGE), SEEN[1:2], 3)
    np.testing.assert_array_equal(masks.full(0), IMAGE == 2)


@pytest.mark.parametrize(
    ('fields', 'reason', 'says'),
    [
        ({'encoding': 'bgr8'}, 'mask_encoding', "got encoding 'bgr8', expected 16UC1"),
        ({'encoding': 'mono8'}, 'mask_encoding', 'or to a class mask'),
        ({'step': 17}, 'bad_image', 'instance mask: 108 bytes with step 17 for 9x6'),
        ({'height': 7}, 'bad_image', 'for 9x7 16UC1'),
        ({'width': 0}, 'bad_image', 'for 0x6'),
        ({'width': 6, 'height': 9, 'step': 12}, 'mask_size', 'got 6x9 pixels, expected 9x6'),
    ],
)
def test_what_is_no_mask_of_this_image(fields: dict[str, Any], reason: str, says: str) -> None:
    with pytest.raises(FrameError, match=says) as error:
        read_masks(from_image_message(sent(**fields)), SEEN, 3, (9, 6))
    assert error.value.reason == reason


def test_masks_of_more_detections_than_there_are() -> None:
    with pytest.raises(FrameError, match='got number 2 in it for 1 detections, expected one number for each') as error:
        read_masks(instance_frame(HEADER, IMAGE), SEEN[:1], 1, (9, 6))
    assert error.value.reason == 'mask_count'
