# SPDX-License-Identifier: Apache-2.0
"""What a model is for: by cards, by the exporter's metadata, else by its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping

from isaac_inference.errors import ModelError
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tasks import SPECS, TOP_DOWN_ROLES, Task
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.tasks.by_outputs import (
    TaskFinding,
    keypoints_by_outputs,
    task_by_inputs,
    task_by_outputs,
)

_BOXES = (Task.DETECTION, Task.KEYPOINTS, Task.INSTANCE_SEGMENTATION)
_OF_TOP_DOWN = (
    *(
        f'keypoints.{name}'
        for name in ('form', 'columns', 'extra', 'unit', 'split_ratio', 'grid', 'presence_activation', 'min_presence')
    ),
    *(f'outputs.{role}' for role in TOP_DOWN_ROLES),
)
_ONLY: Mapping[str, tuple[Task, ...]] = {
    **dict.fromkeys(_OF_TOP_DOWN, (Task.TOP_DOWN_KEYPOINTS,)),
    'keypoints': (*_BOXES, Task.TOP_DOWN_KEYPOINTS),
    **dict.fromkeys(('decoder', 'decoder_options', 'masks', 'objects', 'vocabulary'), _BOXES),
    **dict.fromkeys(('activation', 'output_layout'), (Task.SEMANTIC_SEGMENTATION, Task.TOP_DOWN_KEYPOINTS)),
    'labels': (*_BOXES, Task.SEMANTIC_SEGMENTATION),
    'depth': (Task.MONO_DEPTH, Task.DEPTH_COMPLETION),
    **dict.fromkeys(('disparity', 'images'), (Task.STEREO_DEPTH,)),
}
"""Keys and sections of a card that only some tasks have; what is said of a key goes before its section."""

_TELLS: Mapping[str, Task] = {
    **dict.fromkeys(_OF_TOP_DOWN, Task.TOP_DOWN_KEYPOINTS),
    'keypoints': Task.KEYPOINTS,
    'masks': Task.INSTANCE_SEGMENTATION,
    'outputs.prototypes': Task.INSTANCE_SEGMENTATION,
    'outputs.masks': Task.INSTANCE_SEGMENTATION,
    'activation': Task.SEMANTIC_SEGMENTATION,
    'output_layout': Task.SEMANTIC_SEGMENTATION,
    'outputs.classes': Task.SEMANTIC_SEGMENTATION,
    'disparity': Task.STEREO_DEPTH,
    'images': Task.STEREO_DEPTH,
    'outputs.disparity': Task.STEREO_DEPTH,
    'value_inputs.depth': Task.DEPTH_COMPLETION,
}
"""Keys and sections of a card that settle what a model is for, the first one that it has."""


_OF_SEVERAL = ('keypoints', 'activation', 'output_layout')
"""Those of them that top-down networks have too, which their outputs tell."""


def find_task(file: ModelFile, values: CardValues, exporter: ExporterFacts) -> TaskFinding:
    """What the model is for; tasks that cannot be run yet are refused by name.

    Raises:
        ModelError: the metadata names a task that there is no recognition for, or the outputs leave a choice.
    """
    if 'task' in values:
        return TaskFinding(Sourced(Task(values['task'].value), values['task'].source))
    for told, task in _TELLS.items():
        item = next((item for key, item in values.items() if key == told or key.startswith(f'{told}.')), None)
        if item is not None:
            found = keypoints_by_outputs(file, values, exporter) if told in _OF_SEVERAL and not exporter.task else None
            return found or TaskFinding(Sourced(task, f'{told} of {item.source}'))
    if 'decoder' in values:
        task = FAMILIES[values['decoder'].value].task
        return TaskFinding(Sourced(task, 'the outputs' if task is Task.DETECTION else 'the decoder'))
    if exporter.task is None:
        by_inputs = task_by_inputs(file)
        if by_inputs is not None:
            return by_inputs
        depth = next((item for key, item in values.items() if key.startswith('depth.') or key == 'outputs.depth'), None)
        if depth is not None:
            return TaskFinding(Sourced(Task.MONO_DEPTH, f'depth of {depth.source}'))
    if exporter.task in (None, 'obb'):
        found = task_by_outputs(file, values, exporter) if exporter.task is None else None
        return found or TaskFinding(Sourced(Task.DETECTION, 'the outputs'))
    supported = [task.value for task in SPECS]
    if exporter.task not in supported:
        what = f'task {exporter.task} is not supported yet (metadata "task"); supported: {", ".join(supported)}'
        raise ModelError(f'{file.path}: {what}. Give a model for one of them')
    return TaskFinding(Sourced(Task(exporter.task), 'metadata "task"'))


def check_keys(values: CardValues, task: Sourced[Task]) -> None:
    """Raise ModelError for keys of a card that have no effect on a model for this task: all of them at once."""
    wrong: dict[str, str] = {}
    for key, item in values.items():
        section = key.partition('.')[0]
        named = key if key in _ONLY else section
        if task.value not in _ONLY.get(named, (task.value,)):
            wrong.setdefault(named, item.source)
    if wrong:
        sources = ', '.join(dict.fromkeys(wrong.values()))
        raise ModelError(
            f'{sources}: {", ".join(wrong)}: no effect on a model for {task.value.value} ({task.source}); remove that, '
            'or correct `task`'
        )
