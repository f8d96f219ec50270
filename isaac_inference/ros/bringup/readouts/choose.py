# SPDX-License-Identifier: Apache-2.0
"""Which readout a model has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from isaac_inference.errors import ConfigError
from isaac_inference.models import ModelCard, Task
from isaac_inference.models.card.tasks import MonoDepthSpec
from isaac_inference.ros.bringup.graph import found_by
from isaac_inference.ros.bringup.readouts.base import Readout
from isaac_inference.ros.bringup.readouts.classes import ClassReadout
from isaac_inference.ros.bringup.readouts.depth import DepthReadout
from isaac_inference.ros.bringup.readouts.detections import DetectionReadout


def readout_of(card: ModelCard) -> Readout:
    """What is read out of the graph of a model that sees one image.

    Raises:
        ConfigError: the model sees more than that.
    """
    made = _READOUTS.get(card.task)
    if made is None:
        raise ConfigError(
            f'--model: {card.path} is for {card.task.value}, which needs more than one picture; its node is in '
            'docs/tasks.md, and `isaac-inference evaluate --sim --task` measures it on the simulator'
        )
    return made(card)


def _detections(card: ModelCard) -> Readout:
    found = found_by(card)
    return DetectionReadout(keypoints=found['keypoints'], masks=found['masks'])


_READOUTS: Mapping[Task, Callable[[ModelCard], Readout]] = {
    **dict.fromkeys((Task.DETECTION, Task.KEYPOINTS, Task.INSTANCE_SEGMENTATION), _detections),
    Task.SEMANTIC_SEGMENTATION: lambda card: ClassReadout(),
    Task.MONO_DEPTH: lambda card: DepthReadout(cast(MonoDepthSpec, card.spec).kind),
}
