# SPDX-License-Identifier: Apache-2.0
"""Pairs of images to `disparity` and `depth/image`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from isaac_inference.evaluation.tasks.stereo import StereoAnswer, StereoTask
from isaac_inference.ros.bringup.clients.feeder import FeedTopics
from isaac_inference.ros.bringup.evaluation.tasks.base import TaskGraph, TaskOptions, dense_nodes
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.messages.camera_info import rectified_camera_info
from isaac_inference.ros.messages.depth import depth_array
from isaac_inference.ros.messages.disparity import disparity_array
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.sim.stereo import StereoSample

_DISPARITY, _DEPTH = 'disparity', 'depth/image'
_INFO = plain(CameraInfo)
_TAKEN = {
    **{side: f'{side}/image' for side in ('left', 'right')},
    **{f'{side}_info': f'{side}/camera_info' for side in ('left', 'right')},
}


class StereoGraph(TaskGraph[StereoSample, StereoAnswer]):
    """The stereo node, with its network if there is one.

    Raises:
        ConfigError: the model is for something else.
    """

    topics = FeedTopics(
        {'left/camera_info': _INFO, 'right/camera_info': _INFO, 'left/image': IMAGE, 'right/image': IMAGE},
        {_DISPARITY: plain(DisparityImage), _DEPTH: IMAGE},
        ('stereo/timings',),
    )

    def __init__(self, options: TaskOptions) -> None:
        self._nodes = dense_nodes('stereo', options, _TAKEN)

    def task(self) -> StereoTask:
        return StereoTask()

    def nodes(self) -> tuple[NodeSpec, ...]:
        return self._nodes

    def messages(self, sample: StereoSample, header: Header) -> Mapping[str, Any]:
        beside = sample.T_left_right.translation
        return {
            'left/camera_info': rectified_camera_info(header, sample.left_camera, np.zeros(3)),
            'right/camera_info': rectified_camera_info(header, sample.right_camera, beside),
            'left/image': image_frame_from_array(sample.left, 'bgr8', header),
            'right/image': image_frame_from_array(sample.right, 'bgr8', header),
        }

    def read(self, messages: Mapping[str, Any], sample: StereoSample) -> StereoAnswer:
        return StereoAnswer(disparity_array(messages[_DISPARITY]), depth_array(messages[_DEPTH]))
