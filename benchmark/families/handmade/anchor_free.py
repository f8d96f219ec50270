# SPDX-License-Identifier: Apache-2.0
"""Detectors with one box per cell that decode it in the graph: YOLOv6, YOLOv9, DeepStream-Yolo, YOLO-NAS, DAMO-YOLO."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, cells, final, from_center
from benchmark.families.case import Decode, Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.network import Network, cell_total
from benchmark.families.suppression import suppress

STRIDES = (8, 16, 32)
_WH = (640, 640)
_CELLS = cell_total(_WH, STRIDES)
_LETTERBOX = Preprocess('rgb', 'YOLOv6/v9, letterbox of the data loader and infer.py / detect.py')
_NAS = Preprocess('rgb', 'super-gradients, default_yolo_nas_coco_processing_params: long side 636, centred, 114, 1/255')
_NAS_IN_GRAPH = Preprocess('rgb', 'super-gradients, export(): uint8 image, the graph scales by 1/255', scale=1.0)
_DAMO = Preprocess(
    'rgb', 'DAMO-YOLO, tools/demo.py and configs: image_mean 0, image_std 1', scale=1.0, pad=0, anchor='top_left',
    certain=False,
)  # fmt: skip


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [
        _case('yolov6', 'YOLOv6 deploy/ONNX/export_onnx.py', _yolov6, _decode_yolov6, 80, _LETTERBOX,
              'outputs [1, 8400, 85]: cx, cy, w, h in px, 1.0, sigmoid classes'),
        _case('yolov9_dual', 'YOLOv9 export.py, DualDDetect', _yolov9, _decode_yolov9, 80, _LETTERBOX,
              'output0 [1, 84, 8400] of the auxiliary head, the second output of the main one: cx, cy, w, h in px'),
        _case('deepstream_yolo', 'DeepStream-Yolo utils/export_yoloV8.py', _deepstream, _decode_deepstream, 80,
              _LETTERBOX, 'output [batch, 8400, 6]: x1, y1, x2, y2 in px, score, class; before NMS'),
        _case('deepstream_yolo_2023', 'DeepStream-Yolo of 2023', _deepstream_old, _decode_deepstream_old, 80,
              _LETTERBOX, 'boxes [1, 8400, 4]: cx, cy, w, h in px; scores, classes [1, 8400, 1] float; before NMS'),
        _case('yolo_nas_raw', 'super-gradients convert_to_onnx', _nas, _decode_nas, 80, _NAS,
              'two outputs: boxes [1, 8400, 4] x1, y1, x2, y2 in px; sigmoid scores [1, 8400, 80]'),
        _case('yolo_nas_flat', 'super-gradients export(), FLAT_FORMAT', _nas_flat, _decode_nas_flat, 80, _NAS_IN_GRAPH,
              'graph2_flat_predictions [boxes, 7]: image of the batch, x1, y1, x2, y2 in px, score, class',
              nms=True, layout_note='uint8 input: the exporter puts the preprocessing into the graph'),
        _case('damo_yolo', 'DAMO-YOLO tools/converter.py', _damo, _decode_damo, 80, _DAMO,
              'output [1, 8400, 80] sigmoid scores, the second output boxes [1, 8400, 4] x1, y1, x2, y2 in px'),
    ]  # fmt: skip


def _case(
    name: str,
    after: str,
    draw: Callable[[Network], None],
    decode: Decode,
    classes: int,
    preprocess: Preprocess,
    columns: str,
    nms: bool = False,
    layout_note: str = '',
) -> FamilyCase:
    """A case whose graph `draw` makes."""

    def build(folder: Path) -> Path:
        net = Network()
        draw(net)
        return net.save(folder / f'{name}.onnx')

    truth = Truth(columns, preprocess, classes, not nms, decode, _WH)
    return FamilyCase(name, f'handmade after {after}', build, truth, layout_note)


def boxes_scores(net: Network, image: str, classes: int = 80, seed_bias: float = -1.0) -> tuple[str, str]:
    """Boxes [N, 4, cells] as x1, y1, x2, y2 in strides, and logits [N, classes, cells]."""
    sides, logits = [], []
    for feature in net.features(image, STRIDES):
        sides.append(net.reshape(net.op('Softplus', net.head(feature, 4, bias=1)), [0, 4, -1]))
        logits.append(net.reshape(net.head(feature, classes, bias=seed_bias), [0, classes, -1]))
    left_top, right_bottom = net.split(net.concat(sides, 2), [2, 2], 1)
    centers, strides = cells(_WH, STRIDES, 0.5)
    anchors = net.constant((centers / strides).T[None])
    corners = [net.op('Sub', anchors, left_top), net.op('Add', anchors, right_bottom)]
    return net.concat(corners, 1), net.concat(logits, 2)


def _centered(net: Network, corners: str) -> str:
    """Corners [N, 4, cells] -> cx, cy, w, h, as dist2bbox writes it."""
    first, second = net.split(corners, [2, 2], 1)
    middle = net.op('Div', net.op('Add', first, second), net.constant(2.0))
    return net.concat([middle, net.op('Sub', second, first)], 1)


def _strides() -> np.ndarray:
    return cells(_WH, STRIDES)[1].T[None]


def _image(net: Network, name: str = 'images', batch: int | str = 1) -> str:
    return net.input(name, (batch, 3, _WH[1], _WH[0]))


def _yolov6(net: Network) -> None:
    corners, logits = boxes_scores(net, _image(net))
    boxes = net.op('Mul', _centered(net, corners), net.constant(_strides()))
    rows = net.transpose(boxes, [0, 2, 1])
    scores = net.transpose(net.op('Sigmoid', logits), [0, 2, 1])
    net.concat([rows, net.constant(np.ones((1, _CELLS, 1))), scores], 2, name='outputs')
    net.output('outputs', (1, _CELLS, 85))


def _decode_yolov6(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['outputs'][0]
    return best(from_center(rows[:, :4]), rows[:, 4:5] * rows[:, 5:])


def _yolov9(net: Network) -> None:
    image = _image(net)
    for name in ('output0', '1896'):
        corners, logits = boxes_scores(net, image)
        boxes = net.op('Mul', _centered(net, corners), net.constant(_strides()))
        net.concat([boxes, net.op('Sigmoid', logits)], 1, name=name)
        net.output(name, (1, 84, _CELLS))


def _decode_yolov9(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['1896'][0].T
    return best(from_center(rows[:, :4]), rows[:, 4:])


def _deepstream_parts(net: Network, image: str, names: tuple[str, str] = ('', '')) -> tuple[str, str, str]:
    """Rows of YOLOv8, their best score and its class as a float."""
    corners, logits = boxes_scores(net, image)
    boxes = net.op('Mul', _centered(net, corners), net.constant(_strides()))
    rows = net.transpose(net.concat([boxes, net.op('Sigmoid', logits)], 1), [0, 2, 1])
    scores = net.cut(rows, 4, 84, 2)
    top = net.op('ReduceMax', scores, axes=[2], keepdims=1, name=names[0])
    ids = net.op('Cast', net.op('ArgMax', scores, axis=2, keepdims=1), to=1, name=names[1])
    return rows, top, ids


def _deepstream(net: Network) -> None:
    rows, top, ids = _deepstream_parts(net, _image(net, 'input', 'batch'))
    matrix = net.constant([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]])
    net.concat([net.op('MatMul', net.cut(rows, 0, 4, 2), matrix), top, ids], 2, name='output')
    net.output('output', ('batch', _CELLS, 6))


def _decode_deepstream(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['output'][0]
    return final(rows[:, :4], rows[:, 4], rows[:, 5])


def _deepstream_old(net: Network) -> None:
    rows, _, _ = _deepstream_parts(net, _image(net, 'input'), ('scores', 'classes'))
    bounds = [net.constant([value], 'int64') for value in (0, 4, 2)]
    net.op('Slice', rows, *bounds, name='boxes')
    for name, width in (('boxes', 4), ('scores', 1), ('classes', 1)):
        net.output(name, (1, _CELLS, width))


def _decode_deepstream_old(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    return final(from_center(outputs['boxes'][0]), outputs['scores'], outputs['classes'])


def _nas_parts(net: Network, image: str, names: tuple[str, str]) -> tuple[str, str]:
    """YOLO-NAS's boxes in px and scores, one row per cell."""
    corners, logits = boxes_scores(net, image)
    rows = net.transpose(corners, [0, 2, 1])
    boxes = net.op('Mul', rows, net.constant(cells(_WH, STRIDES)[1][None]), name=names[0])
    return boxes, net.op('Sigmoid', net.transpose(logits, [0, 2, 1]), name=names[1])


def _nas(net: Network) -> None:
    _nas_parts(net, _image(net, 'input'), ('913', '904'))
    net.output('913', (1, _CELLS, 4))
    net.output('904', (1, _CELLS, 80))


def _decode_nas(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    return best(outputs['913'][0], outputs['904'][0])


def _nas_flat(net: Network) -> None:
    image = net.op('Cast', net.input('input', (1, 3, _WH[1], _WH[0]), 'uint8'), to=1)
    boxes, scores = _nas_parts(net, net.op('Div', image, net.constant(255.0)), ('', ''))
    kept = suppress(net, boxes, net.transpose(scores, [0, 2, 1]), top=3)
    parts = [net.op('Cast', kept.batch, to=1), kept.boxes, kept.scores, net.op('Cast', kept.ids, to=1)]
    net.concat(parts, 1, name='graph2_flat_predictions')
    net.output('graph2_flat_predictions', ('num_predictions', 7))


def _decode_nas_flat(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['graph2_flat_predictions']
    return final(rows[:, 1:5], rows[:, 5], rows[:, 6])


def _damo(net: Network) -> None:
    image = net.op('Mul', _image(net), net.constant(1 / 255))
    _nas_parts(net, image, ('952', 'output'))
    net.output('output', (1, _CELLS, 80))
    net.output('952', (1, _CELLS, 4))


def _decode_damo(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    return best(outputs['952'][0], outputs['output'][0])
