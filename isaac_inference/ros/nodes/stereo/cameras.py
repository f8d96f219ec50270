# SPDX-License-Identifier: Apache-2.0
"""The two cameras of a pair, as their CameraInfo describe them, and the images made rectified."""

from __future__ import annotations

import dataclasses

import numpy as np
from sensor_msgs.msg import CameraInfo

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.calibration import ImageRectified
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ops.image.remap import PixelMap, remap_into
from isaac_inference.ops.stereo.rig import StereoRig
from isaac_inference.ros.messages.camera_info import CameraFeed

SIDES = ('left', 'right')
_SAME = 1e-4  # relative to the focal length, and rad


class StereoCameras:
    """Takes the CameraInfo of both sides; what follows from them is made again only where they say something new.

    Args:
        rectified: whether the images are.
        topics: by side, names that may tell where that is 'auto': of the images first, then of their CameraInfo.
    """

    def __init__(self, rectified: ImageRectified, topics: dict[str, list[str]]) -> None:
        self._feeds = {side: CameraFeed(rectified, topics[side]) for side in SIDES}
        self._rig: StereoRig | None = None
        self._image_wh: tuple[int, int] | None = None
        self._maps: dict[str, PixelMap | None] = {}

    def put(self, side: str, message: CameraInfo) -> bool:
        """Take a message; whether it says something new.

        Raises:
            FrameError: as `camera_model`.
        """
        feed = self._feeds[side]
        before = feed.calibration
        try:
            feed.put(message)
        finally:
            is_new = feed.calibration is not before
            if is_new:
                self._rig, self._maps = None, {}
        return is_new

    def fit(self, width: int, height: int) -> None:
        """Images have this size: where it is that of the whole sensor although there is a roi, they show the whole.

        Raises:
            FrameError: 'camera_info_size', where a camera is of images of another size.
        """
        if (width, height) != self._image_wh:
            self._image_wh, self._rig, self._maps = (width, height), None, {}
        for feed in self._feeds.values():
            feed.fit(width, height)

    @property
    def frames(self) -> tuple[str, str]:
        """The frames that the two CameraInfo name."""
        return self._feeds['left'].frame_id, self._feeds['right'].frame_id

    @property
    def assumed(self) -> dict[str, str]:
        """What had to be assumed, in words, by side."""
        found = {side: self._feeds[side].assumed.get('image_rectified', '') for side in SIDES}
        return {side: text for side, text in found.items() if text}

    @property
    def rig(self) -> StereoRig:
        """The rectified pair.

        Raises:
            FrameError: 'no_camera_info', and what `StereoRig.from_calibrations` raises.
        """
        if self._rig is None:
            left, right = (self._feeds[side].calibration for side in SIDES)
            if left is None or right is None:
                missing = ' and '.join(f'{side}/camera_info' for side in SIDES if not self._feeds[side].calibration)
                raise FrameError(
                    'no_camera_info',
                    f'images arrived, but no usable {missing} yet: depth needs focal length and baseline of a '
                    'calibrated pair; remap them to those of the two cameras',
                )
            self._rig = StereoRig.from_calibrations(left, right, self._image_wh)
        return self._rig

    @property
    def is_rectified(self) -> bool:
        """Whether the left image needs no rectification."""
        return self._map('left') is None

    def rectify(self, side: str, image: np.ndarray) -> np.ndarray:
        """The image in the view of P; itself where it is so already. (H, W) or (H, W, 3) uint8.

        Raises:
            FrameError: 'camera_info_size', and what `rig` and `Rectification.between` raise.
        """
        self.fit(image.shape[1], image.shape[0])
        places = self._map(side)
        if places is None:
            return image
        flat = np.empty((*places.part.shape, *image.shape[2:]), np.uint8)
        remap_into(image, places, flat, 0)
        return flat

    def _map(self, side: str) -> PixelMap | None:
        if side not in self._maps:
            self._maps[side] = self._make_map(side)
        return self._maps[side]

    def _make_map(self, side: str) -> PixelMap | None:
        feed = self._feeds[side]
        if feed.calibration is None or feed.rectified:
            return None
        raw = feed.calibration.camera(False, self._image_wh)
        # of both images the same window: what `do_rectify` asks for differs from one side to the other
        said = dataclasses.replace(feed.calibration, do_rectify=False)
        made = Rectification.between(said, (raw.width, raw.height))
        flat = made.rectified
        is_turned = np.abs(made.R - np.eye(3)).max() > _SAME
        is_moved = np.abs(raw.K - flat.K).max() > _SAME * raw.focal
        if not (raw.distortion or is_turned or is_moved):
            return None
        places = made.raw_pixels(np.arange(float(flat.width)), np.arange(float(flat.height)))
        return PixelMap.of(places, (raw.width, raw.height))
