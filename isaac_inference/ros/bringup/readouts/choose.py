# SPDX-License-Identifier: Apache-2.0
"""Which readout a model, or a detector and the model behind it, has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from isaac_inference.errors import ConfigError
from isaac_inference.models import KeypointDetectionSpec, ModelCard, Task
from isaac_inference.models.card.tasks import MonoDepthSpec, TopDownKeypointsSpec
from isaac_inference.ros.bringup.graph import found_by
from isaac_inference.ros.bringup.readouts.base import Readout
from isaac_inference.ros.bringup.readouts.classes import ClassReadout
from isaac_inference.ros.bringup.readouts.depth import DepthReadout
from isaac_inference.ros.bringup.readouts.detections import DetectionReadout


def readout_of(card: ModelCard, behind: ModelCard | None = None) -> Readout:
    """What is read out of the graph of a model that sees one image.

    Args:
        card: of the model, or of the detector.
        behind: of the top-down model behind that detector; None for none.

    Raises:
        ConfigError: the model sees more than that.
    """
    if behind is not None:
        return DetectionReadout(
            keypoints=True,
            masks=found_by(card).masks,
            keypoint_names=_keypoint_names(behind),
            stages=('detection', 'keypoints'),
        )
    made = _READOUTS.get(card.task)
    if made is None:
        raise ConfigError(
            f'--model: {card.path} is for {card.task.value}, which needs more than one picture; its node is in '
            'docs/tasks.md, and `isaac-inference evaluate --sim --task` measures it on the simulator'
        )
    return made(card)


def _detections(card: ModelCard) -> Readout:
    found = found_by(card)
    stage = 'keypoints' if card.task is Task.TOP_DOWN_KEYPOINTS else 'detection'
    return DetectionReadout(
        keypoints=found.keypoints, masks=found.masks, keypoint_names=_keypoint_names(card), stages=(stage,)
    )


def _keypoint_names(card: ModelCard) -> tuple[str, ...]:
    """What the keypoints are called; () where nothing says it."""
    spec = card.spec
    points = spec.keypoints if isinstance(spec, (KeypointDetectionSpec, TopDownKeypointsSpec)) else None
    return points.skeleton.names if points is not None and points.skeleton is not None else ()


_BOXES = (Task.DETECTION, Task.KEYPOINTS, Task.INSTANCE_SEGMENTATION, Task.TOP_DOWN_KEYPOINTS)
_READOUTS: Mapping[Task, Callable[[ModelCard], Readout]] = {
    **dict.fromkeys(_BOXES, _detections),
    Task.SEMANTIC_SEGMENTATION: lambda card: ClassReadout(),
    Task.MONO_DEPTH: lambda card: DepthReadout(cast(MonoDepthSpec, card.spec).kind),
}
