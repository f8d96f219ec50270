# SPDX-License-Identifier: Apache-2.0
"""Encodings that only cv_bridge knows. No wheel of cv_bridge exists, so a stand-in with its interface serves here."""

from __future__ import annotations

import sys
import types
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from support.ros.probe import image_message
from support.rvl import compressed_depth

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ros.messages.compressed_depth import depth_frame_of
from isaac_inference.ros.messages.depth import depth_array
from isaac_inference.ros.messages.image import ImageFrame, color_image, from_image_message, image_frame


class StandIn:
    """Turns 'thermal8' into grey; raises, as cv_bridge does, for everything else."""

    def imgmsg_to_cv2(self, message: Any, desired_encoding: str) -> np.ndarray:
        assert desired_encoding == 'bgr8'
        if message.encoding != 'thermal8':
            raise RuntimeError(f'[{message.encoding}] is not a color format')
        grey = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)
        return np.repeat(grey[..., None], 3, axis=2)


def frame(encoding: str) -> ImageFrame:
    return from_image_message(image_message(np.full((2, 4), 7, np.uint8), encoding))


@pytest.fixture
def cv_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'cv_bridge', types.SimpleNamespace(CvBridge=StandIn))


def test_a_known_encoding_is_a_view_and_needs_no_cv_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    known = from_image_message(image_message())
    image, order = color_image(known, ColorOrder.RGB)
    assert order is ColorOrder.BGR
    assert np.shares_memory(image, known.image.data)


def test_an_unknown_encoding_goes_through_cv_bridge(cv_bridge: None) -> None:
    image, order = color_image(frame('thermal8'), ColorOrder.RGB)
    assert order is ColorOrder.BGR
    np.testing.assert_array_equal(image, np.full((2, 4, 3), 7, np.uint8))


def test_what_cv_bridge_refuses_is_a_dropped_frame_with_its_words(cv_bridge: None) -> None:
    with pytest.raises(FrameError, match=r'thermal99.*\[thermal99\] is not a color format') as caught:
        color_image(frame('thermal99'), ColorOrder.BGR)
    assert caught.value.reason == 'unknown_encoding'


def test_without_cv_bridge_the_known_encodings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    with pytest.raises(FrameError, match=r"'thermal8'.*bgr8.*install cv_bridge") as caught:
        color_image(frame('thermal8'), ColorOrder.BGR)
    assert caught.value.reason == 'unknown_encoding'


def test_depth_is_not_sent_to_cv_bridge(cv_bridge: None) -> None:
    with pytest.raises(FrameError, match='remap image to the colour topic') as caught:
        color_image(frame('16UC1'), ColorOrder.BGR)
    assert caught.value.reason == 'depth_image'


def test_a_compressed_message_becomes_a_frame_of_its_header_and_pixels() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    header = image_message().header
    data = cv2.imencode('.png', pixels)[1].tobytes()
    found = image_frame(CompressedImage(header=header, format='rgb8; png compressed rgb8', data=data))
    assert found.header == header
    assert found.image.encoding == 'rgb8'
    np.testing.assert_array_equal(color_image(found, ColorOrder.BGR)[0], pixels)
    assert image_frame(found) is found


@pytest.mark.parametrize('codec', ['png', 'rvl'])
def test_a_compressed_depth_message_becomes_a_depth_frame(codec: str) -> None:
    depth = np.arange(12, dtype=np.uint16).reshape(3, 4) * 500
    header = image_message().header
    message = CompressedImage(
        header=header, format=f'16UC1; compressedDepth {codec}', data=compressed_depth(depth, codec)
    )
    found = depth_frame_of(message)
    assert found.header == header
    assert found.image.encoding == '16UC1'
    np.testing.assert_array_equal(depth_array(found), depth)
    assert depth_frame_of(found) is found


@pytest.mark.parametrize(
    'reason, says, fields',
    [
        ('unknown_encoding', "'thermal12'", {'encoding': 'thermal12'}),
        ('unknown_encoding', "''", {'encoding': ''}),
        ('bad_step', 'got 100 bytes, expected 192 or more', {'step': 100}),
        ('bad_data_length', 'got 1000 bytes, expected 12288', {'data': bytes(1000)}),
        ('bad_data_length', 'got 0 bytes, expected 12288', {'data': b''}),
        ('bad_data_length', 'got 12288 bytes, expected 12480', {'height': 65}),
        ('zero_size_image', 'got 0x64 pixels', {'width': 0}),
        ('zero_size_image', 'got 64x0 pixels', {'height': 0, 'data': b''}),
    ],
)
def test_an_unusable_image_is_named(
    monkeypatch: pytest.MonkeyPatch, reason: str, says: str, fields: dict[str, Any]
) -> None:
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    with pytest.raises(FrameError, match=says) as caught:
        color_image(from_image_message(image_message(**fields)), ColorOrder.RGB)
    assert caught.value.reason == reason
