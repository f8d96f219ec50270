# SPDX-License-Identifier: Apache-2.0
"""One builder a detector family, and their table: each writes the known boxes in its family's layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto

from support.onnx_models.graph import Known, Tiny, known_angle, known_detections, known_keypoints

_ROWS = 30  # boxes of the families without a grid
_GARBAGE = 5  # rows of efficient_nms after the valid ones


def _cells(input_wh: tuple[int, int], strides: tuple[int, ...]) -> int:
    return sum(-(-input_wh[0] // stride) * -(-input_wh[1] // stride) for stride in strides)


def _grid_rows(tiny: Tiny) -> list[tuple[Known, int, int, int, float]]:
    """Each known box twice: box, row in the grid of stride 8, column and row of the cell, score."""
    columns = -(-tiny.input_wh[0] // 8)
    rows = []
    for known in known_detections(tiny.classes, tiny.input_wh):
        x, y = (int(known.xyxy[0] + known.xyxy[2]) // 16, int(known.xyxy[1] + known.xyxy[3]) // 16)
        rows += [(known, y * columns + x + shift, x + shift, y, known.score - 0.2 * shift) for shift in (0, 1)]
    return rows


def _centre(known: Known) -> list[float]:
    x0, y0, x1, y1 = known.xyxy
    return [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]


def _yolox(tiny: Tiny) -> None:
    slope = np.zeros((_cells(tiny.input_wh, (8, 16, 32)), 5 + tiny.classes), np.float32)
    base = np.zeros_like(slope)
    for known, row, x, y, score in _grid_rows(tiny):
        cx, cy, width, height = _centre(known)
        base[row, :4] = cx / 8 - x, cy / 8 - y, np.log(width / 8), np.log(height / 8)
        base[row, 5 + known.class_id] = score
        slope[row, 4] = 1.0
    tiny.add_output('predictions', tiny.affine(slope, base), slope.shape)


def _yolov5(tiny: Tiny) -> None:
    slope = np.zeros((3 * _cells(tiny.input_wh, (8, 16, 32)), 5 + tiny.classes), np.float32)
    base = np.zeros_like(slope)
    for known, row, _, _, score in _grid_rows(tiny):
        base[row, :4] = _centre(known)
        base[row, 5 + known.class_id] = score
        slope[row, 4] = 1.0
    tiny.add_output('predictions', tiny.affine(slope, base), slope.shape)


def _yolov8(tiny: Tiny, transposed: bool = False) -> None:
    slope = np.zeros((4 + tiny.classes, _cells(tiny.input_wh, (8, 16, 32))), np.float32)
    base = np.zeros_like(slope)
    for known, row, _, _, score in _grid_rows(tiny):
        base[:4, row] = _centre(known)
        slope[4 + known.class_id, row] = score
    if transposed:
        slope, base = slope.T, base.T
    tiny.add_output('predictions', tiny.affine(slope, base), slope.shape)


def _yolov8_pose(tiny: Tiny, transposed: bool = False) -> None:
    count, dims = tiny.keypoint_shape
    slope = np.zeros((4 + tiny.classes + count * dims, _cells(tiny.input_wh, (8, 16, 32))), np.float32)
    base = np.zeros_like(slope)
    for known, row, _, _, score in _grid_rows(tiny):
        base[:4, row] = _centre(known)
        slope[4 + known.class_id, row] = score
        base[4 + tiny.classes :, row] = np.ravel(known_keypoints(known, tiny.keypoint_shape))
    if transposed:
        slope, base = slope.T, base.T
    tiny.add_output('predictions', tiny.affine(slope, base), slope.shape)


def _yolov8_obb(tiny: Tiny) -> None:
    slope = np.zeros((5 + tiny.classes, _cells(tiny.input_wh, (8, 16, 32))), np.float32)
    base = np.zeros_like(slope)
    for known, row, _, _, score in _grid_rows(tiny):
        base[:4, row] = _centre(known)
        slope[4 + known.class_id, row] = score
        base[-1, row] = known_angle(known)
    tiny.add_output('predictions', tiny.affine(slope, base), slope.shape)


def _end_to_end(tiny: Tiny) -> None:
    slope = np.zeros((_ROWS, 6), np.float32)
    base = np.zeros_like(slope)
    for row, known in enumerate(known_detections(tiny.classes, tiny.input_wh)):
        base[row] = (*known.xyxy, 0.0, known.class_id)
        slope[row, 4] = known.score
    tiny.add_output('predictions', tiny.affine(slope, base), slope.shape)


def _end_to_end_rotated(tiny: Tiny) -> None:
    slope = np.zeros((_ROWS, 7), np.float32)
    base = np.zeros_like(slope)
    for row, known in enumerate(known_detections(tiny.classes, tiny.input_wh)):
        base[row] = (*_centre(known), 0.0, known.class_id, known_angle(known))
        slope[row, 4] = known.score
    tiny.add_output('predictions', tiny.affine(slope, base), slope.shape)


def _end_to_end_pose(tiny: Tiny) -> None:
    count, dims = tiny.keypoint_shape
    slope = np.zeros((_ROWS, 6 + count * dims), np.float32)
    base = np.zeros_like(slope)
    for row, known in enumerate(known_detections(tiny.classes, tiny.input_wh)):
        base[row] = (*known.xyxy, 0.0, known.class_id, *np.ravel(known_keypoints(known, tiny.keypoint_shape)))
        slope[row, 4] = known.score
    tiny.add_output('predictions', tiny.affine(slope, base), slope.shape)


def _nanodet(tiny: Tiny) -> None:
    slope = np.zeros((_cells(tiny.input_wh, (8, 16, 32, 64)), tiny.classes + 32), np.float32)
    base = np.zeros_like(slope)
    for known, row, x, y, score in _grid_rows(tiny):
        x0, y0, x1, y1 = known.xyxy
        slope[row, known.class_id] = score
        for side, distance in enumerate((x - x0 / 8, y - y0 / 8, x1 / 8 - x, y1 / 8 - y)):
            base[row, tiny.classes + 8 * side + int(distance)] = 50.0
    tiny.add_output('predictions', tiny.affine(slope, base), slope.shape)


def _detr(tiny: Tiny, softmax: bool = False) -> None:
    slope = np.zeros((_ROWS, tiny.classes + softmax), np.float32)
    base = np.zeros_like(slope)
    boxes = np.full((_ROWS, 4), 0.5, np.float32)
    if softmax:
        base[:, -1] = 1.0
    for row, known in enumerate(known_detections(tiny.classes, tiny.input_wh)):
        boxes[row] = np.asarray(_centre(known)) / (*tiny.input_wh, *tiny.input_wh)
        slope[row, known.class_id] = known.score
        if softmax:
            slope[row, -1] = -known.score
    scores = tiny.node('Clip', tiny.affine(slope, base), tiny.constant(1e-6), tiny.constant(1 - 1e-6))
    logits = tiny.node('Log', scores)
    if not softmax:
        rest = tiny.node('Log', tiny.node('Sub', tiny.constant(1.0), scores))
        logits = tiny.node('Sub', logits, rest)
    tiny.add_output('logits', logits, slope.shape)
    tiny.add_output('boxes', tiny.affine(np.zeros_like(boxes), boxes), boxes.shape)


def _finished(tiny: Tiny, boxes: str, rows: int, labels_dtype: Any, label_kind: int) -> None:
    """Outputs boxes, scores and labels of finished boxes; rows after the known ones score nothing."""
    slope, labels = np.zeros(rows, np.float32), np.zeros(rows, np.float32)
    for row, known in enumerate(known_detections(tiny.classes, tiny.input_wh)):
        slope[row], labels[row] = known.score, known.class_id
    tiny.add_output('boxes', boxes, (rows, 4))
    tiny.add_output('scores', tiny.affine(slope, np.zeros_like(slope)), (rows,))
    whole = tiny.node('Cast', tiny.affine(np.zeros_like(labels), labels), to=label_kind)
    tiny.add_output('labels', whole, (rows,), label_kind)


def _boxes_scores_labels(tiny: Tiny, with_sizes: bool = True) -> None:
    """As RT-DETR's deployment exports: boxes in px of the size that `orig_target_sizes` gives."""
    boxes = np.zeros((_ROWS, 4), np.float32)
    for row, known in enumerate(known_detections(tiny.classes, tiny.input_wh)):
        boxes[row] = np.asarray(known.xyxy) / (*tiny.input_wh, *tiny.input_wh)
    scaled = tiny.affine(np.zeros_like(boxes), boxes)
    if with_sizes:
        sizes = tiny.node('Cast', 'orig_target_sizes', to=TensorProto.FLOAT)
        corners = tiny.node('Unsqueeze', tiny.node('Concat', sizes, sizes, axis=1), tiny.constant([1], np.int64))
        scaled = tiny.node('Mul', scaled, corners)
    _finished(tiny, scaled, _ROWS, np.int64, TensorProto.INT64)


def _efficient_nms(tiny: Tiny) -> None:
    """Only the first `num_detections` rows count, none on a black image; the others are garbage."""
    found = known_detections(tiny.classes, tiny.input_wh)
    boxes = np.full((len(found) + _GARBAGE, 4), -1.0, np.float32)
    boxes[: len(found)] = [known.xyxy for known in found]
    is_bright = tiny.node('Cast', tiny.node('Greater', 'brightness', tiny.constant(0.02)), to=TensorProto.INT32)
    count = tiny.node('Mul', is_bright, tiny.constant([[len(found)]], np.int32))
    tiny.add_output('num_detections', count, (1,), TensorProto.INT32)
    _finished(tiny, tiny.affine(np.zeros_like(boxes), boxes), len(boxes), np.int32, TensorProto.INT32)


@dataclass(frozen=True)
class Kind:
    """One row of the table: the decoder that reads it, what builds it, the names its exporters use, and the metadata
    that it can't be read without.
    """

    decoder: str
    build: Callable[[Tiny], None]
    output_names: Mapping[str, str]
    options: Mapping[str, Any]
    has_size_input: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


_KEYPOINTS = {'isaac_inference.card': 'keypoints: {count: 8, dims: 3}'}

_ROTATED = {'author': 'Ultralytics', 'task': 'obb', 'names': "{0: 'a', 1: 'b', 2: 'c'}"}

KINDS: dict[str, Kind] = {
    'yolox': Kind('yolox', _yolox, {'predictions': 'output'}, {'strides': (8, 16, 32)}),
    'yolov5': Kind('yolov5', _yolov5, {'predictions': 'output0'}, {}),
    'yolov8': Kind('yolov8', _yolov8, {'predictions': 'output0'}, {}),
    'yolov8_transposed': Kind('yolov8', lambda tiny: _yolov8(tiny, True), {'predictions': 'output0'}, {}),
    'yolov8_pose': Kind('yolov8_pose', _yolov8_pose, {'predictions': 'output0'}, {}, metadata=_KEYPOINTS),
    'yolov8_pose_transposed': Kind(
        'yolov8_pose', lambda tiny: _yolov8_pose(tiny, True), {'predictions': 'output0'}, {}, metadata=_KEYPOINTS
    ),
    'yolov8_obb': Kind('yolov8_obb', _yolov8_obb, {'predictions': 'output0'}, {}, metadata=_ROTATED),
    'end_to_end': Kind('end_to_end', _end_to_end, {'predictions': 'output0'}, {}),
    'end_to_end_rotated': Kind(
        'end_to_end',
        _end_to_end_rotated,
        {'predictions': 'output0'},
        {'columns': ('cx', 'cy', 'w', 'h', 'score', 'class', 'angle')},
        metadata={**_ROTATED, 'end2end': 'True'},
    ),
    'end_to_end_pose': Kind('end_to_end_pose', _end_to_end_pose, {'predictions': 'output0'}, {}, metadata=_KEYPOINTS),
    'detr': Kind('detr', _detr, {'logits': 'logits', 'boxes': 'pred_boxes'}, {'activation': 'sigmoid'}),
    'detr_softmax': Kind(
        'detr',
        lambda tiny: _detr(tiny, True),
        {'logits': 'logits', 'boxes': 'pred_boxes'},
        {'activation': 'softmax'},
    ),
    'boxes_scores_labels': Kind('boxes_scores_labels', _boxes_scores_labels, {}, {'normalized': False}, True),
    'normalized_boxes': Kind(
        'boxes_scores_labels', lambda tiny: _boxes_scores_labels(tiny, False), {}, {'normalized': True}
    ),
    'efficient_nms': Kind(
        'efficient_nms',
        _efficient_nms,
        {'num_detections': 'num_dets', 'boxes': 'det_boxes', 'scores': 'det_scores', 'labels': 'det_classes'},
        {'normalized': False},
    ),
    'nanodet': Kind('nanodet', _nanodet, {'predictions': 'output'}, {'strides': (8, 16, 32, 64)}),
}
