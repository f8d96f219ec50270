# SPDX-License-Identifier: Apache-2.0
"""Images and a sensor's depth to `depth/image` without holes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from isaac_inference.evaluation.tasks.completion import CompletionTask
from isaac_inference.ros.bringup.clients.feeder import FeedTopics
from isaac_inference.ros.bringup.evaluation.tasks.base import TaskGraph, TaskOptions, dense_nodes
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.depth import depth_array
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.sim.completion import CompletionSample

_DEPTH = 'depth/image'
_TAKEN = {  # no topic is remapped
    'image': 'image',
    'camera_info': 'camera_info',
    'depth': _DEPTH,
    'depth_info': 'depth/camera_info',
}


class CompletionGraph(TaskGraph[CompletionSample, np.ndarray]):
    """The completion node, with its network if there is one.

    Raises:
        ConfigError: the model is for something else.
    """

    topics = FeedTopics(
        {'camera_info': plain(CameraInfo), 'image': IMAGE, 'sensor_depth/image': IMAGE},
        {_DEPTH: IMAGE},
        ('completion/timings',),
    )

    def __init__(self, options: TaskOptions) -> None:
        self._nodes = dense_nodes('completion', options, _TAKEN)

    def task(self) -> CompletionTask:
        return CompletionTask()

    def nodes(self) -> tuple[NodeSpec, ...]:
        return self._nodes

    def messages(self, sample: CompletionSample, header: Header) -> Mapping[str, Any]:
        return {
            'camera_info': camera_info(header, sample.camera),
            'image': image_frame_from_array(sample.color, 'bgr8', header),
            'sensor_depth/image': image_frame_from_array(sample.measured, '32FC1', header),
        }

    def read(self, messages: Mapping[str, Any], sample: CompletionSample) -> np.ndarray:
        return depth_array(messages[_DEPTH])
