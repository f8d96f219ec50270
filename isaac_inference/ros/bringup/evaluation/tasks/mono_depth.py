# SPDX-License-Identifier: Apache-2.0
"""Images to `depth/relative`, or to `depth/image` of a metric model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from std_msgs.msg import Header

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.tasks.mono_depth import DepthSample, MonoDepthTask
from isaac_inference.models.card.tasks import DepthKind, MonoDepthSpec
from isaac_inference.ros.bringup.clients.feeder import FeedTopics
from isaac_inference.ros.bringup.evaluation.tasks.base import TaskGraph, TaskOptions
from isaac_inference.ros.bringup.graph import NodeSpec, found_by, perception_graph
from isaac_inference.ros.messages.depth import depth_array
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array

METRES, NUMBERS = 'depth/image', 'depth/relative'


class MonoDepthGraph(TaskGraph[DepthSample, np.ndarray]):
    """Preprocess, inference and depth nodes.

    Raises:
        ConfigError: the model is for another task.
    """

    def __init__(self, options: TaskOptions) -> None:
        wanted = 'a network for depth from one image; none comes with it'
        card = options.need('depth', wanted)
        if not isinstance(card.spec, MonoDepthSpec):
            raise ConfigError(f'--task depth: {card.path} is for {card.task.value}; expected {wanted}')
        self._options, self._card, self._kind = options, card, card.spec.kind
        self._answer = METRES if self._kind is DepthKind.METRIC else NUMBERS
        self.topics = FeedTopics({'image': IMAGE}, {self._answer: IMAGE}, ('depth/timings',))

    def task(self) -> MonoDepthTask:
        return MonoDepthTask(self._kind)

    def nodes(self) -> tuple[NodeSpec, ...]:
        return perception_graph(
            model=self._options.model, model_card=self._options.model_card, annotate=False, finds=found_by(self._card)
        )

    def messages(self, sample: DepthSample, header: Header) -> Mapping[str, Any]:
        return {'image': image_frame_from_array(sample.color, 'bgr8', header)}

    def read(self, messages: Mapping[str, Any], sample: DepthSample) -> np.ndarray:
        return depth_array(messages[self._answer])
