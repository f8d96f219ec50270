# SPDX-License-Identifier: Apache-2.0
"""A StereoNode, and a probe that plays its two cameras over real DDS."""

from __future__ import annotations

from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.depth import depth_array
from isaac_inference.ros.messages.image import from_image_message, image_frame_from_array, to_image_message
from isaac_inference.sim.stereo import StereoSample
from support.ros.probe import RELIABLE

SIDES = ('left', 'right')


class StereoBench:
    """Sends pairs to one StereoNode and finds its answers by stamp."""

    def __init__(self, graph: Any, **parameters: Any) -> None:
        self.graph, self.probe = graph, graph.probe
        self.node = graph.load('StereoNode', 'stereo', image_qos__reliability='reliable', **parameters)
        self.depths = self.probe.listen('depth/image', Image)
        self.infos = self.probe.listen('depth/camera_info', CameraInfo)
        self.disparities = self.probe.listen('disparity', DisparityImage)
        make = self.probe.node.create_publisher
        self._images = {side: make(Image, f'{side}/image', RELIABLE) for side in SIDES}
        self._infos = {side: make(CameraInfo, f'{side}/camera_info', RELIABLE) for side in SIDES}
        self.probe.wait_active('stereo')
        self._second = 1_800_000_000

    def put_infos(self, left: CameraInfo, right: CameraInfo) -> None:
        """Both calibrations, and wait until the node has read them."""
        for side, message in zip(SIDES, (left, right), strict=True):
            self.probe.send(message, self._infos[side])
        cameras = self.node._cameras
        expected = [tuple(map(float, message.p)) for message in (left, right)]
        self.probe.wait_until(
            lambda: [getattr(cameras._feeds[side].calibration, 'p', None) for side in SIDES] == expected,
            'the node has read both camera_info',
        )

    def send(
        self, left: np.ndarray, right: np.ndarray, later_ms: float = 0.0, frames: tuple[str, str] = ('lens', 'lens')
    ) -> Header:
        """A pair, the right image so much later than the left one; returns the left header."""
        self._second += 1
        headers = [Header(frame_id=name) for name in frames]
        for header, nanosec in zip(headers, (0, int(later_ms * 1e6)), strict=True):
            header.stamp.sec, header.stamp.nanosec = self._second, nanosec
        for side, image, header in zip(SIDES, (left, right), headers, strict=True):
            encoding = 'bgr8' if image.ndim == 3 else 'mono8'
            self.probe.send(to_image_message(image_frame_from_array(image, encoding, header)), self._images[side])
        return headers[0]

    def of(self, messages: list[Any], header: Header) -> Any:
        """What came with that stamp."""
        self.probe.wait_until(
            lambda: any(message.header.stamp == header.stamp for message in list(messages)), 'the answer to a pair'
        )
        return next(message for message in list(messages) if message.header.stamp == header.stamp)

    def ask(self, left: np.ndarray, right: np.ndarray, **how: Any) -> np.ndarray:
        """(H, W) float32 m, the depth of a pair."""
        return depth_array(from_image_message(self.of(self.depths, self.send(left, right, **how))))

    def refused(self, reason: str, left: np.ndarray, right: np.ndarray, **how: Any) -> str:
        """The node drops a pair under that reason and publishes nothing; returns what diagnostics say."""
        before, count = len(self.depths), self.count(reason)
        self.send(left, right, **how)
        self.probe.wait_until(lambda: self.count(reason) > count, f'dropped.{reason} is counted')
        assert len(self.depths) == before
        return self.probe.status('stereo').message

    def count(self, reason: str) -> int:
        """Frames dropped for it, by the last diagnostics."""
        return int(self.probe.value('stereo', f'dropped.{reason}') or 0)


def pair_infos(sample: StereoSample, baseline: float | None = None) -> tuple[CameraInfo, CameraInfo]:
    """Both calibrations of a rectified sample; `baseline` instead of the true one."""
    left, right = (camera_info(Header(frame_id='lens'), camera) for camera in (sample.left_camera, sample.right_camera))
    right.p[3] = -right.p[0] * (sample.T_left_right.translation[0] if baseline is None else baseline)
    return left, right


def with_projection(camera: CameraModel, R: np.ndarray, P: np.ndarray) -> CameraInfo:
    """The calibration of a raw camera with its rectification."""
    message = camera_info(Header(frame_id='lens'), camera)
    message.r, message.p = R.ravel().tolist(), P.ravel().tolist()
    return message
