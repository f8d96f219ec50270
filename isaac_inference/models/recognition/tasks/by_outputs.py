# SPDX-License-Identifier: Apache-2.0
"""What a model is for by its outputs alone: boxes, or something for each pixel of one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tasks import Task
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.class_labels import known_label_count
from isaac_inference.models.recognition.image_input import find_inputs
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.layouts.find import find_layouts
from isaac_inference.models.recognition.layouts.roles import base_name
from isaac_inference.models.recognition.maps import DenseMap, dense_maps, numbers_of
from isaac_inference.models.recognition.probe import Probe
from isaac_inference.models.recognition.problems import Problems
from isaac_inference.models.recognition.tasks.semantic_segmentation import is_class_map

_OTHER_MAPS = ('heat', 'keypoint', 'kpt', 'paf', 'flow', 'normal', 'embedding', 'feature', 'hidden_state')
_DEPTH_NAMES = ('depth', 'disp', 'inverse')
_MASK_NAMES = ('mask', 'seg', 'matte', 'alpha', 'pha', 'saliency', 'foreground')
_MASK_WORDS = ('segment', 'matting', 'unet')  # in names in the graph
_UNBOUNDED = frozenset({'Relu', 'Softplus', 'Exp', 'Elu', 'LeakyRelu'})
_LOGISTIC = frozenset({'Sigmoid', 'HardSigmoid'})
_MOST_CLASSES = 1000


@dataclass(frozen=True)
class TaskFinding:
    """What a model is for, and what of that is assumed."""

    task: Sourced[Task]
    assumptions: tuple[Assumption, ...] = ()


def task_by_outputs(file: ModelFile, values: CardValues, exporter: ExporterFacts) -> TaskFinding | None:
    """The task of a model whose outputs all say something of each pixel; None for one that may be a detector.

    Raises:
        ModelError: one number for each pixel may be a mask or depth.
    """
    if not any(len(spec.shape) in (3, 4) for spec in file.outputs):
        return None
    problems = Problems(file)
    try:
        inputs = find_inputs(file, values, exporter, problems)
    except ModelError:
        return None
    if problems:
        return None
    evidence = Evidence(
        file, inputs.wh.value, known_label_count(values, exporter), exporter, values=Probe(file, inputs)
    )
    ways = [dense_maps(evidence, spec) for spec in evidence.outputs]
    if not ways or not all(ways) or _is_detector(evidence):
        return None
    maps = [items[0] for items in ways]
    if any(word in base_name(item.spec.name) for item in maps for word in _OTHER_MAPS):
        return None
    if any(is_class_map(evidence, item) for item in maps) or not any(item.has_one_channel for item in maps):
        if any((item.channels or 0) > _MOST_CLASSES for item in maps):
            return None
        return TaskFinding(Sourced(Task.SEMANTIC_SEGMENTATION, 'the outputs'))
    if not all(item.has_one_channel for item in maps):
        return TaskFinding(Sourced(Task.SEMANTIC_SEGMENTATION, 'the outputs'))
    return _one_number(evidence, maps[0])


def _is_detector(evidence: Evidence) -> bool:
    """True where a detector's layout fits too: a single map is none, but several may be."""
    has_open_size = any(None in spec.shape[1:] for spec in evidence.outputs)
    if len(evidence.outputs) == 1 and (len(evidence.outputs[0].shape) == 4 or not has_open_size):
        return False
    return bool(find_layouts(evidence))


def _one_number(evidence: Evidence, found: DenseMap) -> TaskFinding | None:
    """Whether one number for each pixel is a mask: by names, the graph behind the last layer, and one run."""
    name = base_name(found.spec.name)
    if any(word in name for word in _MASK_NAMES):
        return TaskFinding(Sourced(Task.SEMANTIC_SEGMENTATION, f'name of {found.spec.name}'))
    if any(word in name for word in _DEPTH_NAMES):
        return None
    tail = evidence.tail(found.spec)
    if tail.ops & _UNBOUNDED:
        return None
    array = numbers_of(evidence, found)
    is_unit = array is not None and bool(np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1 + 1e-3)
    if tail.ops & _LOGISTIC and (is_unit or array is None):
        said = evidence.file.mentions(*_MASK_WORDS)
        if said:
            return TaskFinding(Sourced(Task.SEMANTIC_SEGMENTATION, f'a sigmoid, and names in the graph ({said})'))
        assumption = Assumption(
            'task',
            Task.SEMANTIC_SEGMENTATION.value,
            f'{found.spec.name} is one number from 0 to 1 for each pixel, as a mask is',
            (('task: mono_depth', 'networks whose sigmoid makes a disparity'),),
        )
        return TaskFinding(Sourced(Task.SEMANTIC_SEGMENTATION, 'assumed, by the outputs'), (assumption,))
    return None
