# SPDX-License-Identifier: Apache-2.0
"""Depth images as messages: what is written is read back, and what cannot be used is refused with its reason."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ros.messages.depth import DepthEncoding, depth_array, depth_encoding, depth_frame
from isaac_inference.ros.messages.image import from_image_message, to_image_message

DEPTH = np.linspace(0.5, 3.0, 12, dtype=np.float32).reshape(3, 4)


def received(depth: np.ndarray, written: str, /, **fields: Any) -> DepthImage:
    """What a node makes of a depth image that comes over the wire with these fields replaced."""
    size = (depth.shape[1], depth.shape[0])
    message = to_image_message(depth_frame(depth, DepthEncoding(written), Header(), size))
    for name, value in fields.items():
        setattr(message, name, value)
    frame = from_image_message(message)
    return DepthImage.check(depth_array(frame), depth_encoding(frame))


@pytest.mark.parametrize('encoding, off', [('32FC1', 0.0), ('16UC1', 0.00051)])
def test_depth_that_is_written_is_read_back(encoding: str, off: float) -> None:
    holes = DEPTH.copy()
    holes[1, 2] = np.nan
    np.testing.assert_allclose(received(holes, encoding).metres(), holes, atol=off)


@pytest.mark.parametrize(
    'fields',
    [{'step': 0}, {'encoding': '32fc1'}, {'encoding': '32Fc1', 'step': 0}],
    ids=['no step', 'lower case', 'both'],
)
def test_depth_is_read_whatever_way_its_fields_are_written(fields: dict[str, Any]) -> None:
    np.testing.assert_array_equal(received(DEPTH, '32FC1', **fields).metres(), DEPTH)


@pytest.mark.parametrize(
    'reason, says, encoding, scale, fields',
    [
        ('depth_empty', 'none of its 4x3 pixels', '16UC1', 0.0, {}),
        ('depth_empty', 'none of its 4x3 pixels', '32FC1', 0.0, {}),
        ('depth_empty', 'none of its 4x3 pixels', '32FC1', math.nan, {}),
        ('depth_empty', 'none of its 4x3 pixels', '16UC1', 1000.0, {}),  # beyond what 16 bits hold
        ('depth_unit', 'depth_unit_scale: 0.001', '32FC1', 1000.0, {}),
        ('depth_encoding', "encoding 'bgr8'", '32FC1', 1.0, {'encoding': 'bgr8'}),
        ('depth_encoding', "encoding ''", '32FC1', 1.0, {'encoding': ''}),
        ('bad_image', 'step 8 for 4x3 32FC1', '16UC1', 1.0, {'encoding': '32FC1'}),
        ('bad_image', '10 bytes with step 16', '32FC1', 1.0, {'data': b'\0' * 10}),
        ('bad_image', '47 bytes with step 0', '32FC1', 1.0, {'step': 0, 'data': b'\0' * 47}),
        ('bad_image', '0 bytes with step 16 for 4x0', '32FC1', 1.0, {'height': 0, 'data': b''}),
    ],
)
def test_unusable_depth_is_refused(reason: str, says: str, encoding: str, scale: float, fields: dict[str, Any]) -> None:
    with pytest.raises(FrameError, match=says) as caught:
        received(DEPTH * np.float32(scale), encoding, **fields)
    assert caught.value.reason == reason
