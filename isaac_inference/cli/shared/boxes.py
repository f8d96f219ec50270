# SPDX-License-Identifier: Apache-2.0
"""Commands that are about boxes refuse other models before anything starts, and say what does it for those."""

from __future__ import annotations

from collections.abc import Mapping

from isaac_inference.errors import ConfigError
from isaac_inference.models import DetectionSpec, ModelCard, Task

EVALUATED: Mapping[Task, str] = {
    Task.SEMANTIC_SEGMENTATION: 'segmentation',
    Task.MONO_DEPTH: 'depth',
    Task.STEREO_DEPTH: 'stereo',
    Task.DEPTH_COMPLETION: 'completion',
    Task.TOP_DOWN_KEYPOINTS: 'keypoints',
}
"""The task of a model without boxes -> its name in `evaluate --sim --task`."""


def need_boxes(card: ModelCard, what: str) -> None:
    """Refuse a model that finds no boxes.

    Args:
        card: the model's.
        what: the command and why it wants boxes, such as 'demo: shows poses of objects in boxes'.

    Raises:
        ConfigError: the model finds none.
    """
    if isinstance(card.spec, DetectionSpec):
        return
    name = EVALUATED.get(card.task)
    measured = f'; `isaac-inference evaluate --sim --task {name} --model {card.path}` measures it' if name else ''
    raise ConfigError(f'{what}, and {card.path} is for {card.task.value}, which finds none{measured}')
