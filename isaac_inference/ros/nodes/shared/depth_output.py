# SPDX-License-Identifier: Apache-2.0
"""Depth as a depth camera publishes it, so that whoever takes a sensor's takes a node's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import Header

from isaac_inference.ops.depth.dense.points import dense_points
from isaac_inference.ops.drawing.depth import color_map
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.dense_cloud import dense_cloud
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.topics.qos import QosParameters
from isaac_inference.ros.runtime.topics.type_adapter import plain


class DepthOutput:
    """`depth/image` (32FC1 m, NaN for unknown: REP 118) and `depth/camera_info`.

    While somebody looks also `depth/points`, and `depth/picture` (bgr8): colours with a scale, for people.

    Args:
        node: in its `on_setup`.
        qos: of the publishers.
    """

    def __init__(self, node: PipelineNode, qos: QosParameters) -> None:
        self._depths = node.advertise(IMAGE, 'depth/image', qos)
        self._infos = node.advertise(plain(CameraInfo), 'depth/camera_info', qos)
        self._clouds = node.advertise(plain(PointCloud2), 'depth/points', qos)
        self._pictures = node.advertise(IMAGE, 'depth/picture', qos)

    def publish(
        self,
        header: Header,
        depth: np.ndarray,
        camera: CameraModel | None,
        color: Callable[[], np.ndarray | None] = lambda: None,
    ) -> None:
        """One frame; the camera's calibration goes before the depth that needs it.

        Args:
            header: the image's.
            depth: (H, W) float32 m, NaN for unknown; not to be written to afterwards.
            camera: of its view; None where it is not known: then there is no calibration and no cloud.
            color: gives (H, W, 3) uint8 BGR of the same view, asked only where there is to be a cloud.
        """
        if camera is not None:
            self._infos.publish(camera_info(header, camera))
        self._depths.publish(image_frame_from_array(depth, '32FC1', header))
        if camera is not None and self._clouds.wanted:
            self._clouds.publish(dense_cloud(header, dense_points(depth, camera, color())))
        self.show(header, depth)

    def show(self, header: Header, values: np.ndarray, unit: str = 'm', near_is_large: bool = False) -> None:
        """`depth/picture` alone, of depth or of numbers that are none; see `color_map`."""
        if self._pictures.wanted:
            picture = color_map(values, unit, near_is_large=near_is_large)
            self._pictures.publish(image_frame_from_array(picture, 'bgr8', header))
