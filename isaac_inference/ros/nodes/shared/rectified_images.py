# SPDX-License-Identifier: Apache-2.0
"""Rectification in a node: the calibration that comes beside the images, and what tells others of the result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.calibration import Calibration
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ros.messages.camera_info import calibration, rectified_camera_info
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.topics.qos import QosParameters
from isaac_inference.ros.runtime.topics.type_adapter import plain

# (H, W, 3) uint8 that nobody writes to any more, and its encoding
Picture = Callable[[Rectification], tuple[np.ndarray, str]]
# image_transport's convention: an image's camera_info is beside it, under that name
IMAGE_TOPIC, INFO_TOPIC = 'rectified/image_rect', 'rectified/camera_info'


class RectifiedImages:
    """`camera_info` of a node's raw images in; `rectified/image_rect` and `rectified/camera_info` out.

    Args:
        node: in its `on_setup`.
        info_qos: of the subscription.
        qos: of the publishers.
    """

    def __init__(self, node: PipelineNode, info_qos: QosParameters, qos: QosParameters) -> None:
        self._node = node
        self._said: Calibration | None = None
        self._made: tuple[Calibration, tuple[int, int], Rectification | FrameError] | None = None
        self._images = node.advertise(IMAGE, IMAGE_TOPIC, qos)
        self._infos = node.advertise(plain(CameraInfo), INFO_TOPIC, qos)
        node.subscribe(plain(CameraInfo), 'camera_info', info_qos, self._on_camera_info, primary=False)

    def clear(self) -> None:
        """Know no camera."""
        self._said = self._made = None

    def rectification(self, width: int, height: int) -> Rectification:
        """Of images of that size: the same object until the calibration or the size changes.

        Raises:
            FrameError: 'no_camera_info' before the first one, and what `Rectification.between` raises.
        """
        if self._said is None:
            raise FrameError(
                'no_camera_info',
                f'rectify is true, and no CameraInfo has come on {self._node.resolve_topic_name("camera_info")} yet: '
                "remap camera_info to the raw image's, or set rectify to false",
            )
        if self._made is None or self._made[:2] != (self._said, (width, height)):
            self._made = self._said, (width, height), self._make(self._said, (width, height))
            self._tell(self._made[2])
        made = self._made[2]
        if isinstance(made, FrameError):  # each frame that it costs is counted under its reason
            raise FrameError(made.reason, str(made))
        return made

    def publish(self, header: Header, made: Rectification, picture: Picture) -> None:
        """The calibration of the rectified image with that header, and while anyone looks the image itself."""
        if self._infos.wanted:
            self._infos.publish(rectified_camera_info(header, made.rectified, made.origin))
        if self._images.wanted:
            pixels, encoding = picture(made)
            self._images.publish(image_frame_from_array(pixels, encoding, header))

    def _on_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        self._said = calibration(message)

    @staticmethod
    def _make(said: Calibration, size: tuple[int, int]) -> Rectification | FrameError:
        try:
            return Rectification.between(said, size)
        except FrameError as error:
            return error

    def _tell(self, made: Rectification | FrameError) -> None:
        """What a new calibration has made of the images, in diagnostics and the log."""
        health, doubt = self._node.health, ''
        if isinstance(made, FrameError):
            health.show('rectified', None)
        else:
            raw, flat = made.raw, made.rectified
            text = (
                f'{raw.width}x{raw.height}, {raw.model}, to {flat.width}x{flat.height} with fx {flat.K[0, 0]:.1f} px, '
                f'{100 * made.seen_share:.0f} % of it seen'
            )
            health.show('rectified', text)
            self._node.get_logger().info(f'images are rectified: {text}')
            doubt = made.doubt() or (self._said.doubt() if self._said else '')
        health.standing('rectification', doubt, log_again=False)
