# SPDX-License-Identifier: Apache-2.0
"""Images to `detections` and `instance_mask`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation import Boxes
from isaac_inference.evaluation.tasks.masks import MaskSample, MaskTask
from isaac_inference.ros.bringup.clients.feeder import FeedTopics
from isaac_inference.ros.bringup.evaluation.tasks.base import TaskGraph, TaskOptions
from isaac_inference.ros.bringup.graph import NodeSpec, found_by, perception_graph
from isaac_inference.ros.messages.detections import read_detections
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.messages.masks import INSTANCE_MASK, read_masks
from isaac_inference.ros.runtime.topics.type_adapter import plain

_DETECTIONS = 'detections'


class MaskGraph(TaskGraph[MaskSample, Boxes]):
    """Preprocess, inference and detection nodes.

    Raises:
        ConfigError: the model has no masks.
    """

    topics = FeedTopics(
        {'image': IMAGE}, {INSTANCE_MASK: IMAGE, _DETECTIONS: plain(Detection2DArray)}, ('detection/timings',)
    )

    def __init__(self, options: TaskOptions) -> None:
        card = options.need('masks', 'a detector with masks of the simulated objects')
        if card.masks is None:
            raise ConfigError(
                f'--task masks: {card.path} is for {card.task.value} and gives no masks; expected a model with masks, '
                'such as the demo model, which is taken without --model'
            )
        self._options, self._card = options, card

    def task(self) -> MaskTask:
        return MaskTask(self._options.min_visibility)

    def nodes(self) -> tuple[NodeSpec, ...]:
        return perception_graph(
            model=self._options.model, model_card=self._options.model_card, annotate=False, finds=found_by(self._card)
        )

    def messages(self, sample: MaskSample, header: Header) -> Mapping[str, Any]:
        return {'image': image_frame_from_array(sample.color, 'bgr8', header)}

    def read(self, messages: Mapping[str, Any], sample: MaskSample) -> Boxes:
        rows = messages[_DETECTIONS].detections
        seen = read_detections(rows, None)
        height, width = sample.color.shape[:2]
        return Boxes(
            np.array([item.box for item in seen], float).reshape(-1, 4),
            tuple(item.label for item in seen),
            np.array([item.score for item in seen], float),
            tuple(item.identity for item in seen),
            read_masks(messages[INSTANCE_MASK], seen, len(rows), (width, height)),
        )
