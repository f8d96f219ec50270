# SPDX-License-Identifier: Apache-2.0
"""Boxes and class scores in two tensors: a transformer's queries, or every cell of a grid before NMS."""

from __future__ import annotations

import numpy as np

from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.layouts import values
from isaac_inference.models.recognition.layouts.candidate import Candidate, Evidence
from isaac_inference.models.recognition.layouts.grid import strides_of
from isaac_inference.models.recognition.layouts.roles import base_name, split_pair

_MOST_QUERIES = 1000
_RF_DETR = {'dets', 'labels'}
_COCO_IDS = 91


def boxes_and_scores(evidence: Evidence) -> list[Candidate]:
    """The decoder for boxes and class scores in two outputs; [] where there are none."""
    pair = split_pair(evidence.outputs)
    if pair is None:
        return []
    boxes, scores = pair
    if _are_logits_of_queries(evidence, boxes, scores):
        return [_queries(evidence, boxes, scores)]
    return [_dense(evidence, boxes, scores)]


def _are_logits_of_queries(evidence: Evidence, boxes: TensorSpec, scores: TensorSpec) -> bool:
    """True for DETR and its relatives: some hundred queries, with logits and boxes in fractions."""
    if len(boxes.shape) != 3 or boxes.shape[1] not in (None, scores.shape[1]):
        return False
    name = base_name(scores.name)
    if 'logit' in name or base_name(boxes.name) == 'pred_boxes':
        return True
    rows = boxes.shape[1]
    if rows is not None and (rows > _MOST_QUERIES or strides_of(rows, evidence.input_wh)):
        return False
    if any(word in name for word in ('score', 'prob', 'conf')) or evidence.tail(scores).last & {'Sigmoid', 'Softmax'}:
        return False
    return rows is not None or 'label' in name


def _queries(evidence: Evidence, boxes: TensorSpec, logits: TensorSpec) -> Candidate:
    """A transformer's queries."""
    return Candidate(
        'detr',
        {'logits': logits, 'boxes': boxes},
        'shapes and names of the outputs',
        convention=_detr_family(evidence, logits),
        unused_ids=_unused_ids(boxes, logits),
    )


def _unused_ids(boxes: TensorSpec, logits: TensorSpec) -> tuple[int, ...]:
    """Columns of RF-DETR's own export that no class has: one more than classes; of COCO's 91 category ids the first."""
    columns = logits.shape[-1]
    if columns is None or {base_name(boxes.name), base_name(logits.name)} != _RF_DETR:
        return ()
    return (0,) if columns == _COCO_IDS else (columns - 1,)


def _detr_family(evidence: Evidence, logits: TensorSpec) -> str:
    """Whose transformer it is, by the names in the graph and of the outputs; '' where nothing says it."""
    file = evidence.file
    if file.mentions('dinov2', 'dinov3', 'rfdetr', 'rf_detr', 'lwdetr', 'lw_detr'):
        return 'rf_detr'
    if file.mentions(
        'enc_score_head', 'fpn_blocks', 'denoising_class', 'lateral_convs', 'hybrid_encoder', 'hgnet', 'dfine'
    ):
        return 'rt_detr'
    if file.mentions(
        'class_labels_classifier', 'bbox_predictor', 'query_position_embeddings', 'detection_tokens', 'refpoint'
    ):
        return 'detr'
    if {base_name(spec.name) for spec in evidence.outputs} >= _RF_DETR:
        return 'rf_detr'
    return 'rf_detr' if logits.shape[-1] == 91 else ''


def _dense(evidence: Evidence, boxes: TensorSpec, scores: TensorSpec) -> Candidate:
    """Every cell's box and class scores, before NMS."""
    rows, columns = boxes.shape[1], scores.shape[2]
    is_swapped = rows is not None and scores.shape[1] != rows and columns == rows
    count = scores.shape[1] if is_swapped else columns
    options: dict[str, object] = {}
    numbers = evidence.values().get(boxes.name)
    if numbers is not None and numbers.size and numbers.shape[-1] == 4:
        rows_of = np.asarray(numbers, np.float32).reshape(-1, 4)
        if len(boxes.shape) == 4 or values.are_normalized(rows_of):
            options['normalized'] = True
        if values.box_format_of(rows_of) == 'cxcywh':
            options['box_format'] = 'cxcywh'
    if base_name(boxes.name).startswith('yolonms'):  # keras-yolo3, as in the ONNX model zoo
        options['box_format'] = 'yxyx'
    last = evidence.tail(scores).last
    found = evidence.values().get(scores.name)
    table = None if found is None or not found.size else np.asarray(found, np.float32)[0]
    if table is not None and is_swapped:
        table = table.T
    is_softmax = 'Softmax' in last or (
        not evidence.tail(scores).is_known and table is not None and values.sums_to_one(table)
    )
    if table is not None and not values.are_probabilities(table):
        options['activation'] = 'sigmoid'
    convention = _dense_family(evidence, boxes, scores, is_swapped)
    if is_softmax and count is not None:
        options |= {'background': 'first', 'normalized': True}
        count, convention = count - 1, convention or 'ssd'
    if rows is not None and rows <= _MOST_QUERIES and not strides_of(rows, evidence.input_wh, rare=True):
        options['nms'] = False
    roles = {'boxes': boxes, 'scores': scores}
    anchors = _anchors(evidence, boxes)
    if anchors is not None:
        roles['anchors'] = anchors
        options = {name: value for name, value in options.items() if name not in ('normalized', 'box_format')}
        convention = 'efficientdet'
    selected = [spec for spec in evidence.outputs if spec.dtype.startswith('int') and spec.shape[-1:] == (3,)]
    if len(selected) == 1:
        roles['selected'] = selected[0]
        options['nms'] = False
    return Candidate('boxes_scores', roles, 'shapes of the outputs', options, count, convention)


def _anchors(evidence: Evidence, boxes: TensorSpec) -> TensorSpec | None:
    """The output with the anchors that boxes are relative to, as EfficientDet in PyTorch gives: the same each time."""
    found = [spec for spec in evidence.constants if spec.shape[-1:] == (4,) and spec.shape[1:] == boxes.shape[1:]]
    return found[0] if len(found) == 1 else None


def _dense_family(evidence: Evidence, boxes: TensorSpec, scores: TensorSpec, is_swapped: bool) -> str:
    """Whose detector has its boxes and scores apart like this; '' where several do."""
    if len(boxes.shape) == 4 or base_name(boxes.name).startswith('yolonms'):
        return 'darknet'
    if evidence.exporter.is_ultralytics:
        return 'ultralytics'
    if is_swapped or 'paddle' in evidence.file.producer.lower():
        return 'rt_detr'
    if evidence.file.mentions('yolo_nas', 'yolonas', 'graph2_pred'):
        return 'yolo_nas'
    if evidence.file.mentions('damo', 'gfl_cls', 'gfocal'):
        return 'damo_yolo'
    return ''
