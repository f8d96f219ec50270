# SPDX-License-Identifier: Apache-2.0
"""Detectors with three anchors per cell: YOLOv5 and YOLOv7, with and without NMS, and their raw feature maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, cells, final, from_center, sigmoid
from benchmark.families.case import Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.handmade.yolox import decode_fixed
from benchmark.families.network import Network, cell_total, level_sizes
from benchmark.families.suppression import SHORT_NAMES, fixed_outputs, suppress

STRIDES = (8, 16, 32)
ANCHORS = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
YOLOV7_ANCHORS = (
    ((12, 16), (19, 36), (40, 28)),
    ((36, 75), (76, 55), (72, 146)),
    ((142, 110), (192, 243), (459, 401)),
)
_YOLOV5 = Preprocess('rgb', 'YOLOv5, utils/augmentations.py letterbox and detect.py')
_YOLOV7 = Preprocess('rgb', 'YOLOv7, utils/datasets.py letterbox and detect.py')
_WH = (640, 640)
_ROWS = 'cx, cy, w, h in px, objectness and classes after sigmoid'


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    names = {0: 'cup', 1: 'bottle'}
    return [
        _rows('yolov5_v6', 'YOLOv5 export.py v6/v7', 'images', 'output0', 80, _YOLOV5, ANCHORS),
        _rows('yolov5_v6_c2_named', 'YOLOv5 export.py v6/v7', 'images', 'output0', 2, _YOLOV5, ANCHORS, names=names),
        _rows('yolov5_v5_with_maps', 'YOLOv5 export.py v5/v6.0', 'images', 'output', 80, _YOLOV5, ANCHORS, maps=True),
        _maps(
            'yolov5_maps', 'YOLOv5 export.py v4/v5, Detect export=True', ['output', '329', '349'], 80, _YOLOV5, ANCHORS
        ),
        _rows('yolov7_grid', 'YOLOv7 export.py --grid', 'images', 'output', 80, _YOLOV7, YOLOV7_ANCHORS),
        _maps('yolov7_maps', 'YOLOv7 export.py', ['output', '516', '528'], 80, _YOLOV7, YOLOV7_ANCHORS),
        _end_to_end(),
        _efficient_nms(),
    ]


def rows_of(net: Network, image: str, wh: tuple[int, int], classes: int, anchors: tuple, maps: list[str]) -> list[str]:
    """Decoded rows [N, 3 * cells, 5 + classes] of each level; `maps` names the maps [N, 3, H, W, 5 + classes]."""
    levels, width = [], 5 + classes
    for index, feature in enumerate(net.features(image, STRIDES)):
        columns, lines = level_sizes(wh, STRIDES)[index]
        flat = net.reshape(net.head(feature, 3 * width), [0, 3, width, lines, columns])
        raw = net.transpose(flat, [0, 1, 3, 4, 2], name=maps[index] if maps else '')
        values = net.op('Sigmoid', raw)
        xy, extent, rest = net.split(values, [2, 2, 1 + classes], 4)
        ys, xs = np.mgrid[:lines, :columns]
        corners = np.broadcast_to(np.stack([xs, ys], -1), (1, 3, lines, columns, 2)) - 0.5
        center = net.op('Add', net.op('Mul', xy, net.constant(2.0)), net.constant(corners))
        center = net.op('Mul', center, net.constant(float(STRIDES[index])))
        doubled = net.op('Pow', net.op('Mul', extent, net.constant(2.0)), net.constant(2.0))
        size = np.broadcast_to(np.array(anchors[index], float).reshape(1, 3, 1, 1, 2), (1, 3, lines, columns, 2))
        rows = net.concat([center, net.op('Mul', doubled, net.constant(size)), rest], 4)
        levels.append(net.reshape(rows, [0, 3 * lines * columns, width]))
    return levels


def _rows(
    name: str,
    after: str,
    image_name: str,
    output: str,
    classes: int,
    preprocess: Preprocess,
    anchors: tuple,
    names: dict[int, str] | None = None,
    maps: bool = False,
) -> FamilyCase:
    """One output of decoded rows; the older exporter has the feature maps beside it."""
    raw_names = [f'onnx::Sigmoid_{number}' for number in (341, 390, 439)] if maps else []

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input(image_name, (1, 3, _WH[1], _WH[0]))
        net.concat(rows_of(net, image, _WH, classes, anchors, raw_names), 1, name=output)
        net.output(output, (1, 3 * cell_total(_WH, STRIDES), 5 + classes))
        for raw, (columns, lines) in zip(raw_names, level_sizes(_WH, STRIDES), strict=False):
            net.output(raw, (1, 3, lines, columns, 5 + classes))
        metadata = {'stride': '32', 'names': str(names)} if names else {}
        return net.save(folder / f'{name}.onnx', metadata=metadata)

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs[output][0]
        return best(from_center(rows[:, :4]), rows[:, 4:5] * rows[:, 5:])

    labels = tuple((names or {}).values())
    truth = Truth(f'{output} [1, 25200, 5 + {classes}]: {_ROWS}', preprocess, classes, True, decode, _WH, labels)
    return FamilyCase(name, f'handmade after {after}', build, truth)


def _maps(
    name: str, after: str, outputs: list[str], classes: int, preprocess: Preprocess, anchors: tuple
) -> FamilyCase:
    """Three outputs [1, 3, H, W, 5 + classes] before the sigmoid."""

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('images', (1, 3, _WH[1], _WH[0]))
        for index, feature in enumerate(net.features(image, STRIDES)):
            columns, lines = level_sizes(_WH, STRIDES)[index]
            flat = net.reshape(net.head(feature, 3 * (5 + classes)), [0, 3, 5 + classes, lines, columns])
            net.transpose(flat, [0, 1, 3, 4, 2], name=outputs[index])
            net.output(outputs[index], (1, 3, lines, columns, 5 + classes))
        return net.save(folder / f'{name}.onnx', opset=12)

    def decode(found: Outputs, input_wh: tuple[int, int]) -> Decoded:
        boxes, scores = [], []
        for output, stride, pairs in zip(outputs, STRIDES, anchors, strict=True):
            values = sigmoid(found[output][0])
            corners = cells(input_wh, [stride])[0].reshape(*values.shape[1:3], 2)
            centers = (values[..., :2] * 2 - 0.5) * stride + corners
            extents = (values[..., 2:4] * 2) ** 2 * np.array(pairs).reshape(3, 1, 1, 2)
            boxes.append(np.concatenate([centers, extents], -1).reshape(-1, 4))
            scores.append((values[..., 4:5] * values[..., 5:]).reshape(-1, classes))
        return best(from_center(np.concatenate(boxes)), np.concatenate(scores))

    columns = f'maps [1, 3, H, W, 5 + {classes}] of strides 8, 16, 32 before the sigmoid; anchors are not in the file'
    truth = Truth(columns, preprocess, classes, True, decode, _WH)
    return FamilyCase(name, f'handmade after {after}', build, truth)


def _corners_scores(net: Network, rows: str, classes: int) -> tuple[str, str]:
    """Boxes [1, N, 4] as corners and scores [1, N, classes] of decoded rows."""
    scores = net.op('Mul', net.cut(rows, 5, 5 + classes, 2), net.cut(rows, 4, 5, 2))
    matrix = net.constant([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]])
    return net.op('MatMul', net.cut(rows, 0, 4, 2), matrix), scores


def _end_to_end() -> FamilyCase:
    """YOLOv7 with NMS for ONNX Runtime: the class comes before the score."""

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('images', (1, 3, _WH[1], _WH[0]))
        rows = net.concat(rows_of(net, image, _WH, 80, YOLOV7_ANCHORS, []), 1)
        boxes, scores = _corners_scores(net, rows, 80)
        top = net.op('ReduceMax', scores, axes=[2], keepdims=1)
        ids = net.op('Cast', net.op('ArgMax', scores, axis=2, keepdims=1), to=1)
        shifted = net.op('Add', boxes, net.op('Mul', ids, net.constant(640.0)))
        limits = [net.constant([100], 'int64'), net.constant([0.45]), net.constant([0.25])]
        kept = net.op('NonMaxSuppression', shifted, net.transpose(top, [0, 2, 1]), *limits)
        batch = net.op('Gather', kept, net.constant([0], 'int64'), axis=1)
        where = net.op('Gather', kept, net.constant([0, 2], 'int64'), axis=1)
        parts = [net.op('Cast', batch, to=1), *(net.op('GatherND', item, where) for item in (boxes, ids, top))]
        net.concat(parts, 1, name='output')
        net.output('output', ('Concatoutput_dim_0', 7))
        return net.save(folder / 'yolov7_end_to_end.onnx')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs['output']
        return final(rows[:, 1:5], rows[:, 6], rows[:, 5])

    columns = 'output [boxes, 7]: image of the batch, x1, y1, x2, y2 in px, class, score'
    truth = Truth(columns, _YOLOV7, 80, False, decode, _WH)
    return FamilyCase(
        'yolov7_end_to_end', 'handmade after YOLOv7 export.py --grid --end2end --max-wh 640', build, truth
    )


def _efficient_nms() -> FamilyCase:
    """YOLOv7 with TensorRT's plugin."""
    names = ('num_dets', 'det_boxes', 'det_scores', 'det_classes')

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('images', (1, 3, _WH[1], _WH[0]))
        rows = net.concat(rows_of(net, image, _WH, 80, YOLOV7_ANCHORS, []), 1)
        boxes, scores = _corners_scores(net, rows, 80)
        fixed_outputs(net, suppress(net, boxes, net.transpose(scores, [0, 2, 1]), top=5), SHORT_NAMES)
        return net.save(folder / 'yolov7_efficient_nms.onnx')

    columns = 'num_dets [1, 1], det_boxes [1, 100, 4]: x1, y1, x2, y2 in px, det_scores, det_classes int32'
    truth = Truth(columns, _YOLOV7, 80, False, lambda outputs, input_wh: decode_fixed(outputs, names), _WH)
    note = 'TensorRT plugin EfficientNMS_TRT replaced by NonMaxSuppression, so that it runs'
    return FamilyCase('yolov7_efficient_nms', 'handmade after YOLOv7 export.py --end2end', build, truth, note)
