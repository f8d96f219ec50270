# SPDX-License-Identifier: Apache-2.0
"""What a model is for by its inputs and outputs alone: boxes, people's keypoints, or something for each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tasks import Task
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.class_labels import known_label_count
from isaac_inference.models.recognition.image_input import IMAGE_DTYPES, find_inputs
from isaac_inference.models.recognition.layouts import values as numbers
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.layouts.find import find_layouts
from isaac_inference.models.recognition.layouts.roles import base_name
from isaac_inference.models.recognition.layouts.tables import is_multipose
from isaac_inference.models.recognition.maps import STRIDES, DenseMap, dense_maps, numbers_of, with_patches
from isaac_inference.models.recognition.probe import Probe
from isaac_inference.models.recognition.problems import Problems
from isaac_inference.models.recognition.tasks.semantic_segmentation import is_class_map
from isaac_inference.models.recognition.top_down.layouts import find_top_down

_OTHER_MAPS = ('heat', 'keypoint', 'kpt', 'paf', 'flow', 'normal', 'embedding', 'feature', 'hidden_state')
_BESIDE_DEPTH = ('intrinsic', 'extrinsic', 'focal', 'fov', 'scale', 'pose')
_CONFIDENCE = ('conf', 'sky', 'uncertainty', 'valid')
DEPTH_WORDS = ('depth_head', 'depth_anything', 'midas', 'zoedepth', 'depth_model', 'monodepth', 'dispconv', 'dpt.')
"""Parts of names in a graph that speak for depth."""

_DEPTH_NAMES = ('depth', 'disp', 'inverse')
_MASK_NAMES = ('mask', 'seg', 'matte', 'alpha', 'pha', 'saliency', 'foreground')
_MASK_WORDS = ('segment', 'matting', 'unet')  # in names in the graph
_UNBOUNDED = frozenset({'Relu', 'Softplus', 'Exp', 'Elu', 'LeakyRelu'})
_LOGISTIC = frozenset({'Sigmoid', 'HardSigmoid'})
_SCORE_NAMES = ('score', 'logit', 'prob', 'class')
_DECIDING = frozenset({'Softmax', 'ArgMax', 'LogSoftmax'})
_LOOK_ALIKES = {  # (channels, stride) -> what else has them
    (3, 1): 'pictures that a network makes of pictures',
    (17, 4): "heat maps of COCO's 17 keypoints",
    (16, 4): "heat maps of MPII's 16 keypoints",
    (133, 4): 'heat maps of whole bodies',
}
_MOST_CLASSES = 1000


@dataclass(frozen=True)
class TaskFinding:
    """What a model is for, and what of that is assumed."""

    task: Sourced[Task]
    assumptions: tuple[Assumption, ...] = ()


def task_by_inputs(file: ModelFile) -> TaskFinding | None:
    """The task of a model that takes two images, or an image and a depth image; None for any other.

    One of its outputs has one number for each pixel.
    """
    images = [spec for spec in file.inputs if len(spec.shape) == 4 and spec.dtype in IMAGE_DTYPES]
    if not images or len(images) != len(file.inputs):
        return None
    image, *beside = sorted(images, key=_channels, reverse=True)
    if not any(_may_have_one_number(spec, _size(image)) for spec in file.outputs):
        return None
    kinds = [_channels(spec) for spec in (image, *beside)]
    if kinds == [6] or (kinds == [3, 3] and image.shape == beside[0].shape):
        return TaskFinding(Sourced(Task.STEREO_DEPTH, 'the inputs'))
    if kinds == [3, 1] and beside[0].dtype.startswith('float') and 'mask' not in beside[0].name.lower():
        same = _size(image) == _size(beside[0])
        return TaskFinding(Sourced(Task.DEPTH_COMPLETION, 'the inputs')) if same else None
    return None


def _channels(spec: TensorSpec) -> int:
    """3, 6 or 1 channels of an image input, 0 where it has none of these."""
    return next((count for count in (3, 6, 1) if count in (spec.shape[1], spec.shape[3])), 0)


def _size(spec: TensorSpec) -> tuple[int | None, ...]:
    """(rows, columns) of an image input."""
    count = _channels(spec)
    return spec.shape[2:] if spec.shape[1] == count else spec.shape[1:3]


def _may_have_one_number(spec: TensorSpec, size: tuple[int | None, ...]) -> bool:
    """True for an output that may have one number for each pixel of an image of (rows, columns)."""
    shape = spec.shape
    if not spec.dtype.startswith('float') or shape[:1] not in ((1,), (None,)) or len(shape) not in (3, 4):
        return False
    ways = (
        [shape[1:]]
        if len(shape) == 3
        else [shape[2:] if axis == 1 else shape[1:3] for axis in (1, 3) if shape[axis] in (1, None)]
    )
    if None in size or any(None in way for way in ways):
        return bool(ways)
    return any(tuple(-(-side // step) for side in size) == way for way in ways for step in STRIDES)  # type: ignore[operator]


def task_by_outputs(file: ModelFile, values: CardValues, exporter: ExporterFacts) -> TaskFinding | None:
    """The task of a model whose outputs are keypoints of people, or say something of each pixel; None for a possible
    detector.

    Raises:
        ModelError: one number for each pixel may be a mask or depth.
    """
    evidence = _evidence(file, values, exporter)
    if evidence is None:
        return None
    keypoints = _keypoints(evidence)
    if keypoints is not None or not any(len(spec.shape) in (3, 4) for spec in file.outputs):
        return keypoints
    ways = [dense_maps(evidence, spec) for spec in evidence.outputs]
    dense = [items[0] for items in ways if items]
    beside = [spec for spec, items in zip(evidence.outputs, ways, strict=True) if not items]
    if not dense or not all(any(word in base_name(spec.name) for word in _BESIDE_DEPTH) for spec in beside):
        return None
    if any(item.stride == 0 and not _is_named(item) for item in dense) or _is_detector(evidence):
        return None
    maps = [item for item in dense if not any(word in base_name(item.spec.name) for word in _CONFIDENCE)] or dense
    if any(word in base_name(item.spec.name) for item in maps for word in _OTHER_MAPS):
        return None
    if any(is_class_map(evidence, item) for item in maps) or not any(item.has_one_channel for item in maps):
        if any((item.channels or 0) > _MOST_CLASSES for item in maps):
            return None
        if len(maps) == 1:
            _check_look_alikes(evidence, maps[0])
        return TaskFinding(Sourced(Task.SEMANTIC_SEGMENTATION, 'the outputs'))
    if not all(item.has_one_channel for item in maps):
        return TaskFinding(Sourced(Task.SEMANTIC_SEGMENTATION, 'the outputs'))
    return _one_number(evidence, maps[0])


def keypoints_by_outputs(file: ModelFile, values: CardValues, exporter: ExporterFacts) -> TaskFinding | None:
    """The task of a model whose outputs can only be the keypoints of people; None for any other.

    Raises:
        ModelError: they are such, but leave a choice.
    """
    evidence = _evidence(file, values, exporter)
    return None if evidence is None else _keypoints(evidence)


def _evidence(file: ModelFile, values: CardValues, exporter: ExporterFacts) -> Evidence | None:
    """What is known of a model; None where its inputs are not those of a model that sees an image."""
    problems = Problems(file)
    try:
        inputs = with_patches(file, find_inputs(file, values, exporter, problems))
    except ModelError:
        return None
    if problems:
        return None
    return Evidence(file, inputs.wh.value, known_label_count(values, exporter), exporter, values=Probe(file, inputs))


def _keypoints(evidence: Evidence) -> TaskFinding | None:
    if is_multipose(evidence.outputs):
        return TaskFinding(Sourced(Task.KEYPOINTS, "shape of the output: MoveNet's for several people"))
    found = find_top_down(evidence)
    return None if found is None else TaskFinding(Sourced(Task.TOP_DOWN_KEYPOINTS, found.why))


def _is_detector(evidence: Evidence) -> bool:
    """True where a detector's layout fits too: a single map is none, but several may be."""
    has_open_size = any(None in spec.shape[1:] for spec in evidence.outputs)
    if len(evidence.outputs) == 1 and (len(evidence.outputs[0].shape) == 4 or not has_open_size):
        return False
    return bool(find_layouts(evidence))


def _is_named(found: DenseMap) -> bool:
    """True where the name of an output, and its channels where they are no axis, say that it is a map."""
    name = base_name(found.spec.name)
    if found.has_one_channel:
        return any(word in name for word in (*_DEPTH_NAMES, *_MASK_NAMES))
    return found.channels is not None


def _check_look_alikes(evidence: Evidence, found: DenseMap) -> None:
    """Raise ModelError for scores that may as well be a picture, or heat maps of people's joints."""
    what = _LOOK_ALIKES.get((found.channels or 0, found.stride))
    tail = evidence.tail(found.spec)
    is_named = any(word in base_name(found.spec.name) for word in (*_SCORE_NAMES, *_MASK_NAMES))
    if what is None or is_named or evidence.label_count == found.channels or tail.ops & _DECIDING:
        return
    raise evidence.file.unclear(
        f'{found.spec.describe()} may have scores of {found.channels} classes, but {what} look the same',
        'task: semantic_segmentation',
        *(() if found.channels == 3 else ('task: top_down_keypoints',)),
    )


def _one_number(evidence: Evidence, found: DenseMap) -> TaskFinding:
    """Whether one number for each pixel is a mask or depth: by names, the end of the graph, and one run.

    Raises:
        ModelError: nothing of that says it.
    """
    mask, depth = Task.SEMANTIC_SEGMENTATION, Task.MONO_DEPTH
    name = base_name(found.spec.name)
    for words, task in ((_MASK_NAMES, mask), (_DEPTH_NAMES, depth)):
        if any(word in name for word in words):
            return TaskFinding(Sourced(task, f'name of {found.spec.name}'))
    file, tail = evidence.file, evidence.tail(found.spec)
    said = file.mentions(*DEPTH_WORDS)
    if said:
        return TaskFinding(Sourced(depth, f'names in the graph ({said})'))
    if tail.ops & _UNBOUNDED and not tail.ops & _LOGISTIC:
        return TaskFinding(Sourced(depth, f'{found.spec.name} is not negative and has no upper bound in the graph'))
    array = numbers_of(evidence, found)
    usable = array is not None and bool(np.isfinite(array).all())
    is_unit = usable and numbers.are_probabilities(np.asarray(array))
    if tail.ops & _LOGISTIC and (is_unit or not usable):
        said = file.mentions(*_MASK_WORDS)
        if said:
            return TaskFinding(Sourced(mask, f'a sigmoid, and names in the graph ({said})'))
        assumption = Assumption(
            'task',
            mask.value,
            f'{found.spec.name} is one number from 0 to 1 for each pixel, as a mask is',
            (('task: mono_depth', 'networks whose sigmoid makes a disparity'),),
        )
        return TaskFinding(Sourced(mask, 'assumed, by the outputs'), (assumption,))
    if tail.ops & _LOGISTIC:
        return TaskFinding(Sourced(depth, f'{found.spec.name} is a sigmoid times a largest depth'))
    raise file.unclear(
        f'{found.spec.describe()} is one number for each pixel, which may be a mask or depth',
        'task: semantic_segmentation',
        'task: mono_depth',
    )
