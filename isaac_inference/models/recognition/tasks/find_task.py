# SPDX-License-Identifier: Apache-2.0
"""What a model is for: by cards, by the exporter's metadata, else by its outputs."""

from __future__ import annotations

from isaac_inference.errors import ModelError
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tasks import SPECS, Task
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile


def find_task(file: ModelFile, values: CardValues, exporter: ExporterFacts) -> Sourced[Task]:
    """What the model is for; tasks that cannot be run yet are refused by name.

    Raises:
        ModelError: the metadata names a task that there is no recognition for.
    """
    if 'task' in values:
        return Sourced(Task(values['task'].value), values['task'].source)
    keypoints = next((value for key, value in values.items() if key.startswith('keypoints.')), None)
    if keypoints is not None:
        return Sourced(Task.KEYPOINTS, f'keypoints of {keypoints.source}')
    masks = next((value for key, value in values.items() if key.startswith('masks.')), None)
    if masks is not None:
        return Sourced(Task.INSTANCE_SEGMENTATION, f'masks of {masks.source}')
    if 'decoder' in values and FAMILIES[values['decoder'].value].task is Task.KEYPOINTS:
        return Sourced(Task.KEYPOINTS, 'the decoder')
    if exporter.task in (None, 'obb'):
        return Sourced(Task.DETECTION, 'the outputs')
    supported = [task.value for task in SPECS]
    if exporter.task not in supported:
        what = f'task {exporter.task} is not supported yet (metadata "task"); supported: {", ".join(supported)}'
        raise ModelError(f'{file.path}: {what}. Give a model for one of them')
    return Sourced(Task(exporter.task), 'metadata "task"')
