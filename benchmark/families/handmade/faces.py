# SPDX-License-Identifier: Apache-2.0
"""Face detectors with layouts of their own: UltraFace, YuNet, RetinaFace, SCRFD."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, by_size, cells, final, from_distances
from benchmark.families.case import Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.handmade.ssd import anchor_rows, anchors_of, ssd_boxes
from benchmark.families.network import Network, cell_total, level_sizes

_ULTRAFACE = Preprocess(
    'rgb', 'onnx/models ultraface, demo.py: (x - 127) / 128', scale=1.0, mean=(127.0,) * 3, std=(128.0,) * 3,
    fit='stretch', certain=False)  # fmt: skip
_YUNET = Preprocess(
    'bgr', 'OpenCV, modules/objdetect/src/face_detect.cpp: blobFromImage as it is', scale=1.0, fit='any', certain=False
)
_RETINAFACE = Preprocess(
    'bgr', 'Pytorch_Retinaface, detect.py: minus 104, 117, 123', scale=1.0, mean=(104.0, 117.0, 123.0), fit='any'
)
_SCRFD = Preprocess(
    'rgb', 'insightface, scrfd.py: (x - 127.5) / 128, swapRB, top left, 0', scale=1.0, mean=(127.5,) * 3,
    std=(128.0,) * 3, anchor='top_left', pad=0,
)  # fmt: skip


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [_ultraface(), _yunet(), _retinaface(), _scrfd()]


def _ultraface() -> FamilyCase:
    wh, strides = (320, 240), (8, 16, 32)
    anchors = anchors_of(wh, strides, 3)

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('input', (1, 3, wh[1], wh[0]))
        offsets, logits = anchor_rows(net, image, wh, strides, 3, 2, 1.0)
        net.op('Softmax', logits, axis=2, name='scores')
        ssd_boxes(net, offsets, anchors, wh, name='boxes')
        net.output('scores', (1, len(anchors), 2))
        net.output('boxes', (1, len(anchors), 4))
        return net.save(folder / 'ultraface.onnx', ('pytorch', '1.2'))

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        return best(by_size(outputs['boxes'][0], input_wh), outputs['scores'][0, :, 1:], first_class=1)

    columns = 'scores [1, N, 2]: background, face; boxes [1, N, 4]: x1, y1, x2, y2 in 0..1'
    truth = Truth(columns, _ULTRAFACE, 1, True, decode, wh, first_class=1)
    return FamilyCase('ultraface', 'handmade after onnx/models ultraface', build, truth)


def _yunet() -> FamilyCase:
    wh, strides = (640, 640), (8, 16, 32)
    widths = {'cls': 1, 'obj': 1, 'bbox': 4, 'kps': 10}

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('input', (1, 3, wh[1], wh[0]))
        for feature, stride in zip(net.features(image, strides, 1 / 128), strides, strict=True):
            for kind, width in widths.items():
                tensor = net.transpose(net.head(feature, width), [0, 2, 3, 1])
                name = f'{kind}_{stride}'
                rows = net.reshape(tensor, [1, -1, width], name='' if width == 1 else name)
                if width == 1:
                    net.op('Sigmoid', rows, name=name)
        for kind, width in widths.items():
            for stride in strides:
                net.output(f'{kind}_{stride}', (1, cell_total(wh, [stride]), width))
        return net.save(folder / 'yunet.onnx', ('pytorch', '1.13.1'))

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        boxes, scores = [], []
        for stride in strides:
            rows = outputs[f'bbox_{stride}'][0].astype(np.float64)
            centers = cells(input_wh, [stride])[0] + rows[:, :2] * stride
            half = np.exp(rows[:, 2:]) * stride / 2
            boxes.append(np.concatenate([centers - half, centers + half], 1))
            scores.append(np.sqrt(outputs[f'cls_{stride}'][0] * outputs[f'obj_{stride}'][0]))
        return best(np.concatenate(boxes), np.concatenate(scores))

    columns = 'per stride cls, obj [1, cells, 1] sigmoid; bbox [1, cells, 4]: offsets and log sizes in strides; kps'
    truth = Truth(columns, _YUNET, 1, True, decode, wh)
    return FamilyCase('yunet', 'handmade after opencv_zoo face_detection_yunet_2023mar', build, truth)


def _retinaface() -> FamilyCase:
    wh, strides = (640, 640), (8, 16, 32)
    anchors = np.concatenate([_prior(wh, stride) for stride in strides])

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('input', (1, 3, wh[1], wh[0]))
        offsets, logits = anchor_rows(net, image, wh, strides, 2, 2, 1 / 128)
        net.op('Identity', offsets, name='output')
        net.op('Softmax', logits, axis=2, name='outputt')
        points = [net.reshape(net.transpose(net.head(feature, 20), [0, 2, 3, 1]), [1, -1, 10])
                  for feature in net.features(image, strides, 1 / 128)]  # fmt: skip
        net.concat(points, 1, name='outputtt')
        for name, width in (('output', 4), ('outputt', 2), ('outputtt', 10)):
            net.output(name, (1, len(anchors), width))
        return net.save(folder / 'retinaface.onnx', ('pytorch', '1.3'))

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs['output'][0].astype(np.float64)
        centers = anchors[:, :2] + rows[:, :2] * 0.1 * anchors[:, 2:]
        half = anchors[:, 2:] * np.exp(rows[:, 2:] * 0.2) / 2
        boxes = np.concatenate([centers - half, centers + half], 1)
        return best(boxes, outputs['outputt'][0, :, 1:], first_class=1)

    columns = (
        'output0 [1, N, 4] offsets of priors that are not in the file, output1 background and face, output2 points'
    )
    truth = Truth(columns, _RETINAFACE, 1, True, decode, wh, first_class=1)
    return FamilyCase('retinaface', 'handmade after Pytorch_Retinaface convert_to_onnx.py', build, truth)


def _prior(wh: tuple[int, int], stride: int) -> np.ndarray:
    """RetinaFace's two square priors of each cell: cx, cy, w, h in px."""
    sizes = {8: (16, 32), 16: (64, 128), 32: (256, 512)}[stride]
    centers = cells(wh, [stride], 0.5)[0]
    rows = [np.concatenate([centers, np.full((len(centers), 2), size)], 1) for size in sizes]
    return np.stack(rows, 1).reshape(-1, 4)


def _scrfd() -> FamilyCase:
    wh, strides = (640, 640), (8, 16, 32)
    names = {kind: [f'{kind}_{stride}' for stride in strides] for kind in ('score', 'bbox', 'kps')}

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('input.1', (1, 3, '?', '?'))
        for feature, stride in zip(net.features(image, strides), strides, strict=True):
            for kind, width in (('score', 1), ('bbox', 4), ('kps', 10)):
                tensor = net.head(feature, 2 * width, bias=1.0 if kind == 'bbox' else -1.0)
                if kind == 'bbox':
                    tensor = net.op('Softplus', tensor)
                made = net.transpose(tensor, [2, 3, 0, 1])
                if kind == 'score':
                    net.op('Sigmoid', net.reshape(made, [-1, width]), name=f'{kind}_{stride}')
                else:
                    net.reshape(made, [-1, width], name=f'{kind}_{stride}')
        for kind, width in (('score', 1), ('bbox', 4), ('kps', 10)):
            for index, name in enumerate(names[kind]):
                columns, lines = level_sizes(wh, strides)[index]
                net.output(name, (2 * lines * columns, width))
        return net.save(folder / 'scrfd.onnx', ('pytorch', '1.8'))

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        boxes, scores = [], []
        for stride in strides:
            centers = np.repeat(cells(input_wh, [stride])[0], 2, axis=0)
            boxes.append(from_distances(centers, outputs[f'bbox_{stride}'] * stride))
            scores.append(outputs[f'score_{stride}'])
        found = np.concatenate(scores)
        return final(np.concatenate(boxes), found, np.zeros(len(found)))

    columns = 'no batch axis; per stride score [2 cells, 1] sigmoid, bbox [2 cells, 4] distances in strides, kps'
    truth = Truth(columns, _SCRFD, 1, True, decode, wh)
    return FamilyCase('scrfd', 'handmade after insightface SCRFD', build, truth)
