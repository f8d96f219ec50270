# SPDX-License-Identifier: Apache-2.0
"""Boxes, scores and labels in tensors of their own: what NMS in the graph, or a transformer's postprocessing, makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.layouts import values
from isaac_inference.models.recognition.layouts.candidate import Candidate, Evidence
from isaac_inference.models.recognition.layouts.roles import base_name, finished_roles
from isaac_inference.models.recognition.layouts.tables import classes_by_width

_TENSORFLOW_ONLY = ('raw_detection_boxes', 'raw_detection_scores', 'detection_multiclass_scores', 'anchor_indices')
_GRID_ROWS = 1000
_COCO_90 = 90
_TAO = ('batchednms', 'nmsed')
_PADDLE = ('class', 'score', 'x1', 'y1', 'x2', 'y2')


def finished_boxes(evidence: Evidence) -> list[Candidate]:
    """The decoder for finished boxes in several outputs, or for a table with its number of rows; [] if neither."""
    named = {base_name(spec.name): spec for spec in evidence.outputs}
    roles = _tensorflow_roles(named) or finished_roles(evidence.outputs)
    if roles is None:
        return _table_with_count(evidence)
    boxes = roles['boxes']
    counted = 'num_detections' in roles
    decoder = 'efficient_nms' if counted else 'boxes_scores_labels'
    options, convention = _details(evidence, named, roles)
    if options.get('box_format') == 'yxyx':
        class_count = _tensorflow_classes(named)
    else:
        class_count = classes_by_width(evidence.tail(roles['labels'])) or classes_by_width(evidence.tail(boxes))
    if convention == 'torchvision' and class_count is not None:
        class_count, options['first_label'] = class_count - 1, 1  # the first class is the background
    rows = boxes.shape[-2]
    if not counted and rows is not None and rows > _GRID_ROWS:
        options['nms'] = True
    return [Candidate(decoder, roles, 'shapes and names of the outputs', options, class_count, convention)]


def _tensorflow_roles(named: Mapping[str, TensorSpec]) -> dict[str, TensorSpec] | None:
    """The roles by the names of TensorFlow's Object Detection API, which EfficientNMS exports use too."""
    wanted = {
        'num_detections': 'num_detections',
        'boxes': 'detection_boxes',
        'scores': 'detection_scores',
        'labels': 'detection_classes',
    }
    if not all(name in named for name in wanted.values()):
        return None
    return {role: named[name] for role, name in wanted.items()}


def _details(
    evidence: Evidence, named: Mapping[str, TensorSpec], roles: Mapping[str, TensorSpec]
) -> tuple[dict[str, object], str]:
    """Options and convention of finished boxes."""
    options: dict[str, object] = {}
    count = roles.get('num_detections')
    is_float_count = count is not None and count.dtype.startswith('float')
    if 'detection_boxes' in named and (is_float_count or any(name in named for name in _TENSORFLOW_ONLY)):
        return {'box_format': 'yxyx', 'normalized': True, 'first_label': 1}, 'tensorflow'
    if any(word in spec.name.lower() for spec in roles.values() for word in _TAO):
        return {'normalized': True}, 'detectnet'
    if evidence.tail(roles['labels']).last == {'Add'}:  # the class with the best score, and one
        options['first_label'] = 1
    numbers = evidence.numbers(roles['boxes'], roles['boxes'].shape[-1] or 4)
    if numbers is not None:
        normalized = values.are_normalized(numbers[:, :4])
        if normalized is not None:
            options['normalized'] = normalized
        if values.box_format_of(numbers[:, :4]) == 'cxcywh':
            options['box_format'] = 'cxcywh'
    if evidence.file.mentions('efficientnms') or 'detection_boxes' in named:
        return options, 'yolox' if 'detection_boxes' in named else ''
    if len(roles['boxes'].shape) == 2 and _is_torchvision(evidence):
        options['first_label'] = 1
        return options, 'torchvision'
    return options, 'rtmdet' if roles['boxes'].shape[-1] == 5 else ''


def _is_torchvision(evidence: Evidence) -> bool:
    """True where the graph subtracts ImageNet's mean itself, or has torchvision's names of outputs."""
    entries = [evidence.file.entry(spec.name) for spec in evidence.file.inputs]
    by_name = {base_name(spec.name) for spec in evidence.outputs} >= {'boxes', 'labels', 'scores'}
    return by_name or any(entry.offset[0] and abs(entry.offset[0] / entry.scale[0] + 0.485) < 0.01 for entry in entries)


def _tensorflow_classes(named: Mapping[str, TensorSpec]) -> int | None:
    """How many classes a TensorFlow export has, by its scores per class, of which the first is the background."""
    for name in ('detection_multiclass_scores', 'raw_detection_scores'):
        spec = named.get(name)
        if spec is not None and spec.shape[-1]:
            return spec.shape[-1] - (spec.shape[-1] != _COCO_90)
    return None


def _table_with_count(evidence: Evidence) -> list[Candidate]:
    """Paddle's table of class, score and box, beside the number of its rows."""
    outputs = (*evidence.outputs, *evidence.constants)  # the number may be a constant
    tables = [spec for spec in outputs if len(spec.shape) == 2 and spec.shape[1] in (6, None)]
    counts = [spec for spec in outputs if len(spec.shape) == 1 and spec.dtype.startswith('int')]
    if len(tables) != 1 or len(counts) != 1 or len(outputs) != 2 or not tables[0].dtype.startswith('float'):
        return []
    numbers = evidence.numbers(tables[0], 6)
    columns = (None if numbers is None else values.columns_of(numbers)) or _PADDLE
    roles = {'predictions': tables[0], 'num_detections': counts[0]}
    is_detr = any(spec.name == 'im_shape' for spec in evidence.file.inputs)  # as Paddle's RT-DETR has beside its image
    return [
        Candidate(
            'end_to_end',
            roles,
            'a table and its number of rows',
            {'columns': columns},
            classes_by_width(evidence.tail(tables[0])),
            'rt_detr' if is_detr else 'paddle',
        )
    ]


def two_tables(outputs: Sequence[TensorSpec]) -> bool:
    """True for two outputs of one shape, as a network with an auxiliary head has."""
    return len(outputs) == 2 and outputs[0].shape == outputs[1].shape and len(outputs[0].shape) == 3
