# SPDX-License-Identifier: Apache-2.0
"""Encodings that only cv_bridge knows. No wheel of cv_bridge exists, so a stand-in with its interface serves here."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
from support.ros.probe import image_message

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ros.messages.image import ImageFrame, color_image, from_image_message


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
