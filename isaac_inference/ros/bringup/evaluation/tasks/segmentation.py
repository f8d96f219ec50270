# SPDX-License-Identifier: Apache-2.0
"""Images to `class_mask`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.tasks.segmentation import ClassSample, SegmentationTask, check_labels, common_ids
from isaac_inference.models import Task
from isaac_inference.ros.bringup.clients.feeder import FeedTopics
from isaac_inference.ros.bringup.evaluation.tasks.base import TaskGraph, TaskOptions
from isaac_inference.ros.bringup.graph import NodeSpec, found_by, perception_graph
from isaac_inference.ros.messages.class_mask import CLASS_MASK, LABEL_INFO, class_mask_array, labels_of
from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.sim import LABELS


class SegmentationGraph(TaskGraph[ClassSample, np.ndarray]):
    """Preprocess, inference and segmentation nodes.

    Raises:
        ConfigError: the model is for another task, or does not know the simulator's classes.
    """

    topics = FeedTopics(
        {'image': IMAGE}, {CLASS_MASK: IMAGE}, ('segmentation/timings',), {LABEL_INFO: plain(LabelInfo)}
    )

    def __init__(self, options: TaskOptions) -> None:
        wanted = f"a semantic segmentation model of the simulator's classes ({', '.join(LABELS)}); none comes with it"
        card = options.need('segmentation', wanted)
        if card.task is not Task.SEMANTIC_SEGMENTATION:
            raise ConfigError(f'--task segmentation: {card.path} is for {card.task.value}; expected {wanted}')
        check_labels(card.labels)
        self._options, self._card = options, card

    def task(self) -> SegmentationTask:
        return SegmentationTask()

    def nodes(self) -> tuple[NodeSpec, ...]:
        return perception_graph(
            model=self._options.model, model_card=self._options.model_card, annotate=False, finds=found_by(self._card)
        )

    def messages(self, sample: ClassSample, header: Header) -> Mapping[str, Any]:
        return {'image': image_frame_from_array(sample.color, 'bgr8', header)}

    def read(self, messages: Mapping[str, Any], sample: ClassSample) -> np.ndarray:
        return common_ids(class_mask_array(messages[CLASS_MASK]), labels_of(messages[LABEL_INFO]))
