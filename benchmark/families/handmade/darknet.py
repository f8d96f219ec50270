# SPDX-License-Identifier: Apache-2.0
"""YOLOv2 to YOLOv4 from Darknet and Keras: raw maps, the ONNX model zoo's YOLOv3, pytorch-YOLOv4."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, by_size, cells, final, from_center, sigmoid, softmax
from benchmark.families.case import Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.network import Network, cell_total, level_sizes

YOLOV3_ANCHORS = (((116, 90), (156, 198), (373, 326)), ((30, 61), (62, 45), (59, 119)), ((10, 13), (16, 30), (33, 23)))
YOLOV4_ANCHORS = (((12, 16), (19, 36), (40, 28)), ((36, 75), (76, 55), (72, 146)), ((142, 110), (192, 243), (459, 401)))
_TINY_V2 = ((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52))
_YOLOV3 = Preprocess(
    'rgb', 'onnx/models, vision/object_detection_segmentation/yolov3: letterbox, 128, 1/255', pad=128, certain=False
)
_YOLOV4 = Preprocess('rgb', 'pytorch-YOLOv4, demo.py do_detect: cv2.resize, RGB, 1/255', fit='stretch', certain=False)
_TINY = Preprocess(
    'rgb', 'onnx/models, tiny-yolov2: the graph scales 0..255 itself', scale=1.0, fit='stretch', certain=False
)
_JKJUNG = Preprocess(
    'rgb', 'tensorrt_demos, utils/yolo_with_plugins.py: cv2.resize, RGB, 1/255', fit='stretch', certain=False
)


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [_yolov4(), _yolov3_zoo(), _tiny_yolov3_zoo(), _raw_maps(), _tiny_yolov2()]


def _yolov4() -> FamilyCase:
    wh, classes, strides = (416, 416), 80, (8, 16, 32)
    count = 3 * cell_total(wh, strides)

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('input', ('batch_size', 3, wh[1], wh[0]))
        boxes, scores = [], []
        for level, feature in enumerate(net.features(image, strides)):
            columns, lines = level_sizes(wh, strides)[level]
            raw = net.reshape(net.head(feature, 3 * (5 + classes)), [0, 3, 5 + classes, lines * columns])
            xy, log_wh, objectness, ids = net.split(raw, [2, 2, 1, classes], 2)
            corners = cells(wh, [strides[level]])[0] / strides[level]
            center = net.op('Add', net.op('Sigmoid', xy), net.constant(corners.T[None, None]))
            center = net.op('Mul', center, net.constant(1 / np.array([columns, lines]).reshape(1, 1, 2, 1)))
            pairs = np.array(YOLOV4_ANCHORS[level]) / np.array(wh)
            extent = net.op('Mul', net.op('Exp', log_wh), net.constant(pairs[None, :, :, None]))
            first = net.op('Sub', center, net.op('Mul', extent, net.constant(0.5)))
            found = net.transpose(net.concat([first, net.op('Add', first, extent)], 2), [0, 1, 3, 2])
            boxes.append(net.reshape(found, [0, -1, 1, 4]))
            score = net.op('Mul', net.op('Sigmoid', ids), net.op('Sigmoid', objectness))
            scores.append(net.reshape(net.transpose(score, [0, 1, 3, 2]), [0, -1, classes]))
        net.concat(boxes, 1, name='boxes')
        net.concat(scores, 1, name='confs')
        net.output('boxes', ('batch_size', count, 1, 4))
        net.output('confs', ('batch_size', count, classes))
        return net.save(folder / 'yolov4_pytorch.onnx', ('pytorch', '1.4'), 13)

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        return best(by_size(outputs['boxes'][0, :, 0], input_wh), outputs['confs'][0])

    truth = Truth(
        'boxes [N, 10647, 1, 4]: x1, y1, x2, y2 in 0..1; confs [N, 10647, 80]', _YOLOV4, classes, True, decode, wh
    )
    return FamilyCase('yolov4_pytorch', 'handmade after pytorch-YOLOv4 darknet2onnx.py', build, truth)


def _zoo_rows(net: Network, image: str, wh: tuple[int, int], strides: tuple[int, ...], classes: int) -> tuple[str, str]:
    """Boxes [1, N, 4] as y1, x1, y2, x2 in 0..1 and scores [1, N, classes], as keras-yolo3 makes them."""
    boxes, scores = [], []
    features = net.features(image, strides)
    for level, feature in enumerate(reversed(features)):
        stride = strides[::-1][level]
        columns, lines = level_sizes(wh, [stride])[0]
        raw = net.reshape(net.head(feature, 3 * (5 + classes)), [0, 3, 5 + classes, lines * columns])
        raw = net.transpose(raw, [0, 3, 1, 2])
        xy, log_wh, objectness, ids = net.split(raw, [2, 2, 1, classes], 3)
        corners = (cells(wh, [stride])[0] / stride)[None, :, None]
        center = net.op('Add', net.op('Sigmoid', xy), net.constant(corners))
        center = net.op('Div', center, net.constant([float(columns), float(lines)]))
        extent = net.op('Mul', net.op('Exp', log_wh), net.constant(np.array(YOLOV3_ANCHORS[level]) / np.array(wh)))
        order = net.constant([1, 0], 'int64')
        center, extent = (net.op('Gather', item, order, axis=3) for item in (center, extent))
        half = net.op('Mul', extent, net.constant(0.5))
        found = net.concat([net.op('Sub', center, half), net.op('Add', center, half)], 3)
        boxes.append(net.reshape(found, [1, -1, 4]))
        score = net.op('Mul', net.op('Sigmoid', objectness), net.op('Sigmoid', ids))
        scores.append(net.reshape(score, [1, -1, classes]))
    return net.concat(boxes, 1), net.concat(scores, 1)


def _keras(net: Network, wh: tuple[int, int], strides: tuple[int, ...], names: tuple[str, str, str]) -> int:
    """keras-yolo3's graph with NonMaxSuppression; the number of boxes."""
    image = net.input('input_1', ('unk__576', 3, wh[1], wh[0]))
    size = net.input('image_shape', ('unk__577', 2))
    boxes, scores = _zoo_rows(net, image, wh, strides, 80)
    factor = net.op('Gather', size, net.constant([0, 1, 0, 1], 'int64'), axis=1)
    net.op('Mul', boxes, net.op('Unsqueeze', factor, net.constant([1], 'int64')), name=names[0])
    net.transpose(scores, [0, 2, 1], name=names[1])
    limits = [net.constant([5], 'int64'), net.constant([0.5]), net.constant([0.3])]
    found = net.op('NonMaxSuppression', names[0], names[1], *limits)
    net.op('Cast', found, to=6, name='kept')
    return 3 * cell_total(wh, strides)


def _zoo_decode(names: tuple[str, str, str]) -> object:
    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        kept = outputs[names[2]].reshape(-1, 3)
        boxes = outputs[names[0]][0][kept[:, 2]][:, [1, 0, 3, 2]]
        return final(boxes, outputs[names[1]][0, kept[:, 1], kept[:, 2]], kept[:, 1])

    return decode


def _shape_feed(wh: tuple[int, int]) -> dict[str, np.ndarray]:
    """The image's (height, width): that of the input, so that boxes come back in its px."""
    return {'image_shape': np.array([[wh[1], wh[0]]], np.float32)}


_ZOO = 'boxes [1, N, 4]: y1, x1, y2, x2 in px of the image; scores [1, 80, N]; indices: batch, class, box'


def _yolov3_zoo() -> FamilyCase:
    wh, names = (416, 416), ('yolonms_layer_1', 'yolonms_layer_1:1', 'yolonms_layer_1:2')

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        count = _keras(net, wh, (8, 16, 32), names)
        net.op('Identity', 'kept', name=names[2])
        net.output(names[0], (1, count, 4))
        net.output(names[1], (1, 80, count))
        net.output(names[2], ('unk__580', 3), 'int32')
        return net.save(folder / 'yolov3_zoo.onnx', ('keras2onnx', '1.5.1'), 13, graph_name='yolov3')

    truth = Truth(_ZOO, _YOLOV3, 80, False, _zoo_decode(names), wh, feeds=_shape_feed)
    return FamilyCase('yolov3_zoo', 'handmade after onnx/models yolov3-10', build, truth)


def _tiny_yolov3_zoo() -> FamilyCase:
    wh, names = (416, 416), ('yolonms_layer_1', 'yolonms_layer_1:1', 'yolonms_layer_1:2')

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        count = _keras(net, wh, (16, 32), names)
        net.op('Unsqueeze', 'kept', net.constant([0], 'int64'), name=names[2])
        net.output(names[0], (1, count, 4))
        net.output(names[1], (1, 80, count))
        net.output(names[2], (1, 'unk__590', 3), 'int32')
        return net.save(folder / 'tiny_yolov3_zoo.onnx', ('keras2onnx', '1.5.2'), 13, graph_name='yolov3-tiny')

    columns = _ZOO + '; indices have a batch axis'
    truth = Truth(columns, _YOLOV3, 80, False, _zoo_decode(names), wh, feeds=_shape_feed)
    return FamilyCase('tiny_yolov3_zoo', 'handmade after onnx/models tiny-yolov3-11', build, truth)


def _raw_maps() -> FamilyCase:
    wh, classes, strides = (608, 608), 80, (32, 16, 8)
    names = ('082_convolutional', '094_convolutional', '106_convolutional')

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        image = net.input('000_net', (1, 3, wh[1], wh[0]))
        for name, feature, stride in zip(names, reversed(net.features(image, strides)), strides, strict=True):
            net.head(feature, 255, name=name)
            columns, lines = level_sizes(wh, [stride])[0]
            net.output(name, (1, 255, lines, columns))
        return net.save(folder / 'yolov3_raw_maps.onnx', ('NVIDIA TensorRT sample', ''), 13, graph_name='YOLOv3-608')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        boxes, scores = [], []
        for name, stride, pairs in zip(names, strides, YOLOV3_ANCHORS, strict=True):
            raw = outputs[name][0].reshape(3, 5 + classes, -1).transpose(0, 2, 1).astype(np.float64)
            centers = sigmoid(raw[..., :2]) * stride + cells(input_wh, [stride])[0]
            extents = np.exp(raw[..., 2:4]) * np.array(pairs).reshape(3, 1, 2)
            boxes.append(np.concatenate([centers, extents], -1).reshape(-1, 4))
            scores.append((sigmoid(raw[..., 4:5]) * sigmoid(raw[..., 5:])).reshape(-1, classes))
        return best(from_center(np.concatenate(boxes)), np.concatenate(scores))

    truth = Truth('maps [1, 3 * 85, H, W] of strides 32, 16, 8, no activation', _JKJUNG, classes, True, decode, wh)
    return FamilyCase('yolov3_raw_maps', 'handmade after NVIDIA yolov3_to_onnx.py', build, truth)


def _tiny_yolov2() -> FamilyCase:
    wh, classes = (416, 416), 20

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        image = net.input('image', ('None', 3, wh[1], wh[0]))
        feature = net.features(image, (32,), scale=1 / 255)[0]
        net.head(feature, 125, name='grid')
        net.output('grid', ('None', 125, 13, 13))
        return net.save(folder / 'tiny_yolov2_zoo.onnx', ('OnnxMLTools', '1.0.0.0'), 13, graph_name='tinyYOLOv2')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        raw = outputs['grid'][0].reshape(5, 25, -1).transpose(0, 2, 1).astype(np.float64)
        centers = sigmoid(raw[..., :2]) * 32 + cells(input_wh, [32])[0]
        extents = np.exp(raw[..., 2:4]) * np.array(_TINY_V2).reshape(5, 1, 2) * 32
        boxes = np.concatenate([centers, extents], -1).reshape(-1, 4)
        scores = sigmoid(raw[..., 4:5]) * softmax(raw[..., 5:])
        return best(from_center(boxes), scores.reshape(-1, classes))

    truth = Truth(
        'grid [N, 5 * 25, 13, 13]: sigmoid x, y, exp w, h, objectness, softmax classes',
        _TINY,
        classes,
        True,
        decode,
        wh,
    )
    return FamilyCase('tiny_yolov2_zoo', 'handmade after onnx/models tinyyolov2-8', build, truth)
