# SPDX-License-Identifier: Apache-2.0
"""SSD and its relatives: jetson-inference, the ONNX model zoo, Caffe's DetectionOutput, EfficientDet of zylo117."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, by_size, final
from benchmark.families.case import IMAGENET, Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.network import Network, level_sizes
from benchmark.families.suppression import suppress

_JETSON = Preprocess(
    'rgb', 'jetson-inference, c/detectNet.cpp pre-processing of SSD ONNX: mean 127, std 128', scale=1.0,
    mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0), fit='stretch', certain=False)  # fmt: skip
_MLPERF = Preprocess(
    'rgb', 'onnx/models, ssd-12 README: resize 1200 x 1200, ImageNet', **IMAGENET, fit='stretch', certain=False
)
_CAFFE = Preprocess(
    'bgr', 'OpenCV, samples/dnn/face_detector: mean 104, 177, 123', scale=1.0, mean=(104.0, 177.0, 123.0), fit='stretch'
)
_MASKRCNN = Preprocess(
    'bgr', 'onnx/models, faster-rcnn README: mean 102.9801, 115.9465, 122.7717, sides multiples of 32', scale=1.0,
    mean=(102.9801, 115.9465, 122.7717), fit='any', certain=False)  # fmt: skip
_ZYLO = Preprocess(
    'rgb', 'Yet-Another-EfficientDet-Pytorch, utils/utils.py preprocess: ImageNet, zeros after normalizing',
    **IMAGENET, anchor='top_left', pad=116, certain=False)  # fmt: skip


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [
        _jetson('jetson_ssd', 21),
        _jetson('jetson_ssd_c1', 2),
        _zoo(),
        _detection_output(),
        _efficientdet(),
        _faster_rcnn(),
    ]


def anchors_of(wh: tuple[int, int], strides: tuple[int, ...], per_cell: int) -> np.ndarray:
    """Anchors [N, 4] as cx, cy, w, h in px: cell by cell, `per_cell` sizes each."""
    rows = []
    for stride, (columns, lines) in zip(strides, level_sizes(wh, strides), strict=True):
        ys, xs = np.mgrid[:lines, :columns]
        for_cell = []
        for index in range(per_cell):
            size = stride * 4 * 2 ** (index / per_cell)
            ratio = (1.0, 1.4, 0.7)[index % 3]
            sides = np.broadcast_to([size * ratio, size / ratio], (lines * columns, 2))
            centers = np.stack([(xs + 0.5).ravel() * stride, (ys + 0.5).ravel() * stride], 1)
            for_cell.append(np.concatenate([centers, sides], 1))
        rows.append(np.stack(for_cell, 1).reshape(-1, 4))
    return np.concatenate(rows)


def anchor_rows(
    net: Network, image: str, wh: tuple[int, int], strides: tuple[int, ...], per_cell: int, columns: int, scale: float
) -> tuple[str, str]:
    """Offsets [1, N, 4] and logits [1, N, columns] of anchors, in the order of `anchors_of`."""
    offsets, logits = [], []
    for feature in net.features(image, strides, scale=scale):
        for found, width, bias in ((offsets, 4, 0.0), (logits, columns, -0.5)):
            tensor = net.transpose(net.head(feature, per_cell * width, bias=bias), [0, 2, 3, 1])
            found.append(net.reshape(tensor, [1, -1, width]))
    return net.concat(offsets, 1), net.concat(logits, 1)


def ssd_boxes(net: Network, offsets: str, anchors: np.ndarray, wh: tuple[int, int], name: str = '') -> str:
    """SSD's decode with variances 0.1 and 0.2: corners in 0..1."""
    unit = anchors / np.array([*wh, *wh])
    centers, sizes = net.constant(unit[None, :, :2]), net.constant(unit[None, :, 2:])
    shift = net.op('Mul', net.op('Mul', net.cut(offsets, 0, 2, 2), net.constant(0.1)), sizes)
    middle = net.op('Add', shift, centers)
    side = net.op('Mul', net.op('Exp', net.op('Mul', net.cut(offsets, 2, 4, 2), net.constant(0.2))), sizes)
    half = net.op('Div', side, net.constant(2.0))
    return net.concat([net.op('Sub', middle, half), net.op('Add', middle, half)], 2, name=name)


def _jetson(name: str, columns: int) -> FamilyCase:
    wh, strides, per_cell = (300, 300), (16, 32, 64), 6

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('input_0', (1, 3, wh[1], wh[0]))
        offsets, logits = anchor_rows(net, image, wh, strides, per_cell, columns, 1.0)
        anchors = anchors_of(wh, strides, per_cell)
        net.op('Softmax', logits, axis=2, name='scores')
        ssd_boxes(net, offsets, anchors, wh, name='boxes')
        net.output('scores', (1, len(anchors), columns))
        net.output('boxes', (1, len(anchors), 4))
        return net.save(folder / f'{name}.onnx', ('pytorch', '1.6'))

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        return best(by_size(outputs['boxes'][0], input_wh), outputs['scores'][0, :, 1:], first_class=1)

    truth = Truth(
        f'scores [1, N, {columns}] softmax, column 0 is background; boxes [1, N, 4]: x1, y1, x2, y2 in 0..1',
        _JETSON,
        columns - 1,
        True,
        decode,
        wh,
        first_class=1,
    )
    return FamilyCase(name, 'handmade after jetson-inference pytorch-ssd onnx_export.py', build, truth)


def _zoo() -> FamilyCase:
    wh, strides = (1200, 1200), (32, 64)

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('image', (1, 3, wh[1], wh[0]))
        offsets, logits = anchor_rows(net, image, wh, strides, 4, 81, 1.0)
        boxes = ssd_boxes(net, offsets, anchors_of(wh, strides, 4), wh)
        scores = net.transpose(net.cut(net.op('Softmax', logits, axis=2), 1, 81, 2), [0, 2, 1])
        kept = suppress(net, boxes, scores, top=3)
        net.op('Unsqueeze', kept.boxes, net.constant([0], 'int64'), name='bboxes')
        ids = net.op('Add', net.transpose(kept.ids, [1, 0]), net.constant(1, 'int64'), name='labels')
        net.transpose(kept.scores, [1, 0], name='scores')
        net.output('bboxes', (1, 'nbox', 4))
        net.output(ids, (1, 'nbox'), 'int64')
        net.output('scores', (1, 'nbox'))
        return net.save(folder / 'ssd_zoo.onnx', ('pytorch', '1.1'))

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        return final(by_size(outputs['bboxes'][0], input_wh), outputs['scores'], outputs['labels'])

    columns = 'bboxes [1, N, 4]: x1, y1, x2, y2 in 0..1; labels [1, N] int64 from 1; scores [1, N]'
    truth = Truth(columns, _MLPERF, 80, False, decode, wh, first_class=1)
    return FamilyCase('ssd_zoo', 'handmade after onnx/models ssd-12', build, truth)


def _detection_output() -> FamilyCase:
    wh, strides, rows = (300, 300), (16, 32, 64), 200

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        image = net.input('data', (1, 3, wh[1], wh[0]))
        offsets, logits = anchor_rows(net, image, wh, strides, 4, 2, 1 / 128)
        boxes = ssd_boxes(net, offsets, anchors_of(wh, strides, 4), wh)
        scores = net.transpose(net.cut(net.op('Softmax', logits, axis=2), 1, 2, 2), [0, 2, 1])
        kept = suppress(net, boxes, scores, top=rows)
        ids = net.op('Add', net.op('Cast', kept.ids, to=1), net.constant(1.0))
        found = net.concat([net.op('Cast', kept.batch, to=1), ids, kept.scores, kept.boxes], 1)
        found = net.concat([found, net.constant(np.full((rows, 7), -1.0))], 0)
        net.reshape(net.cut(found, 0, rows, 0), [1, 1, rows, 7], name='detection_out')
        net.output('detection_out', (1, 1, rows, 7))
        return net.save(folder / 'detection_output.onnx', ('caffe2onnx', ''))

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        found = outputs['detection_out'][0, 0]
        found = found[found[:, 0] >= 0]
        return final(by_size(found[:, 3:], input_wh), found[:, 2], found[:, 1])

    columns = 'detection_out [1, 1, N, 7]: image or -1 after the last, class from 1, score, x1, y1, x2, y2 in 0..1'
    truth = Truth(columns, _CAFFE, 1, False, decode, wh, first_class=1)
    note = 'the layer DetectionOutput of Caffe and OpenVINO, written with standard operators'
    return FamilyCase('detection_output', 'handmade after Caffe SSD and OpenVINO', build, truth, note)


def _efficientdet() -> FamilyCase:
    wh, strides, classes = (512, 512), (8, 16, 32, 64, 128), 90

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('input', (1, 3, wh[1], wh[0]))
        offsets, logits = anchor_rows(net, image, wh, strides, 9, classes, 1.0)
        net.op('Identity', offsets, name='regression')
        net.op('Sigmoid', logits, name='classification')
        centers = anchors_of(wh, strides, 9)
        first, second = centers[:, :2] - centers[:, 2:] / 2, centers[:, :2] + centers[:, 2:] / 2
        boxes = np.concatenate([first[:, ::-1], second[:, ::-1]], 1)
        net.op('Identity', net.constant(boxes[None]), name='anchors')
        for name, width in (('regression', 4), ('classification', classes), ('anchors', 4)):
            net.output(name, (1, len(boxes), width))
        return net.save(folder / 'efficientdet_zylo.onnx', ('pytorch', '1.4'))

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        shift, anchors = outputs['regression'][0].astype(np.float64), outputs['anchors'][0].astype(np.float64)
        sizes = anchors[:, 2:] - anchors[:, :2]
        centers = (anchors[:, :2] + anchors[:, 2:]) / 2 + shift[:, :2] * sizes
        sides = np.exp(shift[:, 2:]) * sizes
        boxes = np.concatenate([(centers - sides / 2)[:, ::-1], (centers + sides / 2)[:, ::-1]], 1)
        return best(boxes, outputs['classification'][0])

    columns = (
        'regression [1, N, 4]: dy, dx, log dh, log dw; classification sigmoid; anchors [1, N, 4]: y1, x1, y2, x2 px'
    )
    truth = Truth(columns, _ZYLO, classes, True, decode, wh)
    return FamilyCase('efficientdet_zylo', 'handmade after Yet-Another-EfficientDet-Pytorch', build, truth)


def _faster_rcnn() -> FamilyCase:
    """An input without a batch axis, and outputs whose names are numbers."""
    wh, strides = (320, 320), (16, 32, 64)

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('image', (3, 'height', 'width'))
        batch = net.op('Unsqueeze', image, net.constant([0], 'int64'))
        sized = net.op('Resize', batch, '', '', net.constant([1, 3, wh[1], wh[0]], 'int64'), mode='linear')
        offsets, logits = anchor_rows(net, sized, wh, strides, 6, 81, 1 / 128)
        boxes = ssd_boxes(net, offsets, anchors_of(wh, strides, 6), wh)
        size = net.op('Gather', net.op('Shape', image), net.constant([2, 1, 2, 1], 'int64'))
        boxes = net.op('Mul', boxes, net.op('Cast', size, to=1))
        scores = net.transpose(net.cut(net.op('Softmax', logits, axis=2), 1, 81, 2), [0, 2, 1])
        kept = suppress(net, boxes, scores, top=3)
        net.op('Identity', kept.boxes, name='6379')
        net.op('Squeeze', net.op('Add', kept.ids, net.constant(1, 'int64')), net.constant([1], 'int64'), name='6381')
        net.op('Squeeze', kept.scores, net.constant([1], 'int64'), name='6383')
        net.output('6379', ('6379_dim_0', 4))
        net.output('6381', ('6379_dim_0',), 'int64')
        net.output('6383', ('6379_dim_0',))
        return net.save(folder / 'faster_rcnn_zoo.onnx', ('pytorch', '1.1'))

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        return final(outputs['6379'], outputs['6383'], outputs['6381'])

    columns = '6379 [N, 4]: x1, y1, x2, y2 in px; 6381 [N] int64 labels from 1; 6383 [N] scores'
    truth = Truth(columns, _MASKRCNN, 80, False, decode, (640, 480), first_class=1, layout='CHW')
    return FamilyCase('faster_rcnn_zoo', 'handmade after onnx/models FasterRCNN-12', build, truth)
