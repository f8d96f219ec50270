# SPDX-License-Identifier: Apache-2.0
"""The camera of a topic's newest CameraInfo: one that cannot be used is not replaced by the last good one."""

from __future__ import annotations

import math
from typing import Any

import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.calibration import Calibration, ImageRectified
from isaac_inference.ros.messages.camera_info import CameraFeed, camera_info
from isaac_inference.sim import default_camera


def message(**fields: Any) -> CameraInfo:
    made = camera_info(Header(), default_camera(320, 240))
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    'reason, says, fields',
    [
        ('no_intrinsics', 'K is all zeros', {'k': [0.0] * 9, 'p': [0.0] * 12}),
        ('bad_intrinsics', 'fx -300', {'k': [-300.0, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0]}),
        ('bad_intrinsics', 'nine finite', {'k': [math.nan, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0]}),
        ('bad_intrinsics', '0x240 pixels', {'width': 0}),
        ('unknown_distortion', 'fov', {'distortion_model': 'fov', 'd': [0.1]}),
        ('bad_intrinsics', '1 coefficients .* for fisheye, expected 4', {'distortion_model': 'fisheye', 'd': [0.1]}),
    ],
)
def test_an_unusable_camera_info_is_named_and_leaves_no_camera(reason: str, says: str, fields: dict[str, Any]) -> None:
    feed = CameraFeed()
    feed.put(message())
    assert feed.camera is not None
    for _ in range(2):
        with pytest.raises(FrameError, match=says) as caught:
            feed.put(message(**fields))
        assert caught.value.reason == reason
        assert feed.camera is None
    feed.put(message())
    assert feed.camera is not None
    assert (feed.camera.width, feed.camera.height) == (320, 240)


def test_a_camera_is_made_only_where_the_message_says_something_new() -> None:
    feed = CameraFeed()
    feed.put(message())
    first = feed.camera
    feed.put(message())
    assert feed.camera is first
    feed.put(message(width=640, height=480))
    assert feed.camera is not None
    assert feed.camera.width == 640


def test_whether_an_image_is_undecided_is_found_out_with_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with each question: that makes two cameras, and is asked for every frame."""
    asked: list[Calibration] = []
    only = Calibration.only
    monkeypatch.setattr(Calibration, 'only', lambda self: asked.append(self) or only(self))
    feed = CameraFeed()
    assert not feed.undecided
    bent = message(distortion_model='plumb_bob', d=[-0.3, 0.1, 0.0, 0.0, 0.0])
    for _ in range(3):
        feed.put(bent)
        assert feed.undecided
    feed.show(True)
    assert (feed.undecided, feed.rectified) == (True, True)
    assert len(asked) == 2  # by the message, and by what was shown
    feed.put(message())
    assert not feed.undecided
    with pytest.raises(FrameError):
        feed.put(message(k=[0.0] * 9, p=[0.0] * 12))
    assert not feed.undecided


def test_a_rectified_image_says_its_intrinsics() -> None:
    """By P, in px of the image that is published: with its binning and its roi."""
    lens = {'d': [-0.2, 0.0, 0.0, 0.0, 0.0], 'p': [250.0, 0, 150, 0, 0, 251.0, 110, 0, 0, 0, 1.0, 0]}
    feed = CameraFeed(ImageRectified.TRUE)
    assert feed.flat is None, 'no camera is known yet'
    feed.put(message(**lens))
    assert feed.flat is not None and feed.flat.tolist() == [250.0, 251.0, 150.0, 110.0]
    part = RegionOfInterest(x_offset=40, y_offset=20, width=200, height=160, do_rectify=True)
    feed.put(message(**lens, roi=part, binning_x=2, binning_y=2))
    assert feed.flat.tolist() == [125.0, 125.5, (150 - 40 + 0.5) / 2 - 0.5, (110 - 20 + 0.5) / 2 - 0.5]


def test_a_raw_image_says_none_unless_it_is_the_same() -> None:
    lens = {'d': [-0.2, 0.0, 0.0, 0.0, 0.0]}
    feed = CameraFeed(ImageRectified.FALSE)
    feed.put(message(**lens))
    assert feed.flat is None
    feed.put(message(p=[250.0, 0, 150, 0, 0, 251.0, 110, 0, 0, 0, 1.0, 0]))
    assert feed.flat is None, 'it bends nothing, but a rectified one is another'
    feed.put(message())
    assert feed.flat is not None and feed.camera is not None
    assert feed.flat.tolist() == feed.camera.K[(0, 1, 0, 1), (0, 1, 2, 2)].tolist()
