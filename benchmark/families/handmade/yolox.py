# SPDX-License-Identifier: Apache-2.0
"""YOLOX as Megvii exports it, and as Autoware runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, cells, final, from_center
from benchmark.families.case import Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.network import Network, cell_total
from benchmark.families.suppression import EFFICIENT_NMS, fixed_outputs, suppress

STRIDES = (8, 16, 32)
PREPROCESS = Preprocess(
    'bgr', 'YOLOX, yolox/data/data_augment.py preproc: no scaling, padding 114', scale=1.0, anchor='top_left'
)
_AFTER = 'handmade after YOLOX'


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [
        _case('yolox_raw', False, (640, 640), 80),
        _case('yolox_raw_416_c1', False, (416, 416), 1),
        _case('yolox_decoded', True, (640, 640), 80),
        _case('yolox_decoded_dynamic_c3', True, (640, 384), 3, batch='batch'),
        _autoware(),
    ]


def _case(name: str, decoded: bool, wh: tuple[int, int], classes: int, batch: int | str = 1) -> FamilyCase:
    """One output [N, cells, 5 + classes]."""

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('images', (batch, 3, wh[1], wh[0]))
        rows = grid_rows(net, image, classes, name='' if decoded else 'output')
        if decoded:
            decode_rows(net, rows, wh, classes, name='output')
        net.output('output', (batch, cell_total(wh, STRIDES), 5 + classes))
        return net.save(folder / f'{name}.onnx')

    what = 'cx, cy, w, h in px' if decoded else 'cell offsets x, y and log w, h in strides'
    columns = f'output [N, cells, 5 + {classes}]: {what}, sigmoid objectness, sigmoid classes'
    decode = _decode_px if decoded else _decode_raw
    return FamilyCase(name, _AFTER, build, Truth(columns, PREPROCESS, classes, True, decode, wh))


def grid_rows(net: Network, image: str, classes: int, name: str = '') -> str:
    """YOLOX's head: boxes, sigmoid objectness and classes of each level, flattened; boxes not decoded."""
    levels = []
    for feature in net.features(image, STRIDES, scale=1 / 255):
        parts = [net.head(feature, 4), net.op('Sigmoid', net.head(feature, 1))]
        parts.append(net.op('Sigmoid', net.head(feature, classes, bias=-1)))
        levels.append(net.reshape(net.concat(parts, 1), [0, 5 + classes, -1]))
    return net.transpose(net.concat(levels, 2), [0, 2, 1], name=name)


def decode_rows(net: Network, rows: str, wh: tuple[int, int], classes: int, name: str = '') -> str:
    """Megvii's decode_outputs: (xy + grid) * stride, exp(wh) * stride."""
    corners, sizes = cells(wh, STRIDES)
    strides = net.constant(sizes[None])
    centers = net.op('Mul', net.op('Add', net.cut(rows, 0, 2, 2), net.constant((corners / sizes)[None])), strides)
    extents = net.op('Mul', net.op('Exp', net.cut(rows, 2, 4, 2)), strides)
    return net.concat([centers, extents, net.cut(rows, 4, 5 + classes, 2)], 2, name=name)


def _decode_px(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['output'][0]
    return best(from_center(rows[:, :4]), rows[:, 4:5] * rows[:, 5:])


def _decode_raw(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['output'][0].astype(np.float64)
    corners, strides = cells(input_wh, STRIDES)
    boxes = np.concatenate([corners + rows[:, :2] * strides, np.exp(rows[:, 2:4]) * strides], axis=1)
    return best(from_center(boxes), rows[:, 4:5] * rows[:, 5:])


def decode_fixed(outputs: Outputs, names: tuple[str, str, str, str]) -> Decoded:
    """The rows that an NMS plugin counted: names of the count, boxes, scores and ids."""
    count, boxes, scores, ids = (outputs[name] for name in names)
    rows = int(count.reshape(-1)[0])
    return final(boxes.reshape(-1, 4)[:rows], scores.reshape(-1)[:rows], ids.reshape(-1)[:rows])


def _autoware() -> FamilyCase:
    wh, classes = (960, 960), 8
    names = ('num_detections', 'detection_boxes', 'detection_scores', 'detection_classes')

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('images', (1, 3, wh[1], wh[0]))
        rows = decode_rows(net, grid_rows(net, image, classes), wh, classes)
        boxes = net.cut(rows, 0, 4, 2)
        scores = net.op('Mul', net.cut(rows, 4, 5, 2), net.cut(rows, 5, 5 + classes, 2))
        centers, half = net.cut(boxes, 0, 2, 2), net.op('Mul', net.cut(boxes, 2, 4, 2), net.constant(0.5))
        corners = net.concat([net.op('Sub', centers, half), net.op('Add', centers, half)], 2)
        kept = suppress(net, corners, net.transpose(scores, [0, 2, 1]))
        fixed_outputs(net, kept, EFFICIENT_NMS)
        return net.save(folder / 'autoware_yolox.onnx')

    truth = Truth(
        'num_detections [1, 1] int32; detection_boxes [1, 100, 4]: x1, y1, x2, y2 in px; scores; classes int32',
        PREPROCESS,
        classes,
        False,
        lambda outputs, input_wh: decode_fixed(outputs, names),
        wh,
    )
    note = 'TensorRT plugin EfficientNMS_TRT replaced by NonMaxSuppression, so that it runs'
    return FamilyCase('autoware_yolox', 'handmade after Autoware tensorrt_yolox', build, truth, note)
