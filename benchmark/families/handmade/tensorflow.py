# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's detectors through tf2onnx: the Object Detection API of TF1 and TF2, EfficientDet of AutoML."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import by_size, final
from benchmark.families.case import Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.handmade.ssd import anchor_rows, anchors_of, ssd_boxes
from benchmark.families.network import Network
from benchmark.families.suppression import PluginNames, fixed_outputs, suppress

_UINT8 = Preprocess('rgb', 'TensorFlow Object Detection API: uint8 image, the graph scales', scale=1.0, fit='any')
_AUTOML = Preprocess(
    'rgb', 'google/automl efficientdet, model_inspect.py saved_model: uint8 image', scale=1.0, fit='any', certain=False
)
_WH = (320, 320)
_STRIDES = (16, 32, 64)


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [
        _object_detection('tf2_object_detection', 'input_tensor', (1, 'unk__0', 'unk__1', 3), '', True),
        _object_detection('tf1_object_detection', 'image_tensor:0', ('unk__0', 'unk__1', 'unk__2', 3), ':0', False),
        _automl(),
    ]


def _boxes_scores(net: Network, image: str, classes: int) -> tuple[str, str]:
    """Boxes [1, N, 4] as y1, x1, y2, x2 in 0..1 and scores [1, classes, N] of a uint8 NHWC image."""
    pixels = net.transpose(net.op('Cast', image, to=1), [0, 3, 1, 2])
    sized = net.op('Resize', pixels, '', '', net.constant([1, 3, _WH[1], _WH[0]], 'int64'), mode='linear')
    pixels = net.op('Sub', net.op('Mul', sized, net.constant(2 / 255)), net.constant(1.0))
    offsets, logits = anchor_rows(net, pixels, _WH, _STRIDES, 6, classes + 1, 1.0)
    boxes = ssd_boxes(net, offsets, anchors_of(_WH, _STRIDES, 6), _WH)
    boxes = net.op('Gather', boxes, net.constant([1, 0, 3, 2], 'int64'), axis=2)
    scores = net.cut(net.op('Sigmoid', logits), 1, classes + 1, 2)
    return boxes, net.transpose(scores, [0, 2, 1])


def _object_detection(
    name: str, image_name: str, shape: tuple[int | str, ...], suffix: str, all_outputs: bool
) -> FamilyCase:
    """The four outputs that every version has, and TF2's further ones."""
    names = PluginNames('count', *(f'detection_{kind}{suffix}' for kind in ('boxes', 'scores', 'ids')), 'float32')

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        boxes, scores = _boxes_scores(net, net.input(image_name, shape, 'uint8'), 90)
        fixed_outputs(net, suppress(net, boxes, scores, top=5), names)
        net.outputs = [item for item in net.outputs if item.name not in ('count', names.ids)]
        net.op('Add', names.ids, net.constant(1.0), name=f'detection_classes{suffix}')
        net.op('Cast', net.reshape('count', [1]), to=1, name=f'num_detections{suffix}')
        net.output(f'detection_classes{suffix}', (1, 100))
        net.output(f'num_detections{suffix}', (1,))
        if all_outputs:
            count = len(anchors_of(_WH, _STRIDES, 6))
            net.op('Identity', boxes, name='raw_detection_boxes')
            net.transpose(scores, [0, 2, 1], name='raw_detection_scores')
            net.output('raw_detection_boxes', (1, count, 4))
            net.output('raw_detection_scores', (1, count, 90))
        net.outputs.sort(key=lambda item: item.name)
        return net.save(folder / f'{name}.onnx', ('tf2onnx', '1.9.3'), graph_name='tf2onnx')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = int(outputs[f'num_detections{suffix}'].reshape(-1)[0])
        boxes = by_size(outputs[f'detection_boxes{suffix}'][0, :rows][:, [1, 0, 3, 2]], input_wh)
        ids = outputs[f'detection_classes{suffix}'][0, :rows]
        return final(boxes, outputs[f'detection_scores{suffix}'][0, :rows], ids)

    columns = (
        'detection_boxes [1, 100, 4]: y1, x1, y2, x2 in 0..1; detection_classes float from 1; num_detections float'
    )
    truth = Truth(columns, _UINT8, 90, False, decode, (640, 480), first_class=1, layout='NHWC')
    return FamilyCase(name, 'handmade after TensorFlow Object Detection API and tf2onnx', build, truth)


def _automl() -> FamilyCase:
    def build(folder: Path) -> Path:
        net = Network(style='plain')
        image = net.input('image_arrays:0', (1, 'unk__1', 'unk__2', 3), 'uint8')
        boxes, scores = _boxes_scores(net, image, 90)
        kept = suppress(net, boxes, scores, top=2)
        size = net.op('Cast', net.op('Shape', image), to=1)
        size = net.op('Gather', size, net.constant([1, 2, 1, 2], 'int64'))
        ids = net.op('Add', net.op('Cast', kept.ids, to=1), net.constant(1.0))
        parts = [net.op('Cast', kept.batch, to=1), net.op('Mul', kept.boxes, size), kept.scores, ids]
        rows = net.concat([net.concat(parts, 1), net.constant(np.zeros((100, 7)))], 0)
        net.reshape(net.cut(rows, 0, 100, 0), [1, 100, 7], name='detections:0')
        net.output('detections:0', (1, 100, 7))
        return net.save(folder / 'efficientdet_automl.onnx', ('tf2onnx', '1.7.2'), graph_name='tf2onnx')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs['detections:0'][0]
        rows = rows[rows[:, 5] > 0]
        return final(rows[:, [2, 1, 4, 3]], rows[:, 5], rows[:, 6])

    columns = 'detections:0 [1, 100, 7]: image, y1, x1, y2, x2 in px, score, class from 1; padded with 0'
    truth = Truth(columns, _AUTOML, 90, False, decode, (512, 384), first_class=1, layout='NHWC')
    return FamilyCase('efficientdet_automl', 'handmade after google/automl EfficientDet and tf2onnx', build, truth)
