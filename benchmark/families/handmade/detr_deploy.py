# SPDX-License-Identifier: Apache-2.0
"""DETR's relatives by their own projects: RT-DETR, D-FINE, DEIM and DEIMv2 with postprocessing, and the first DETR."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, by_size, final, from_center, softmax
from benchmark.families.case import IMAGENET, Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.network import Network

_PLAIN = Preprocess('rgb', 'RT-DETR, D-FINE, DEIM: configs Resize 640 x 640, ConvertPILImage scale', fit='stretch')
_DINOV3 = Preprocess('rgb', 'DEIMv2, configs of the DINOv3 sizes: Normalize with ImageNet', **IMAGENET, fit='stretch')
_DETR = Preprocess('rgb', 'DETR, datasets/coco.py: RandomResize 800, ImageNet', **IMAGENET, fit='stretch')


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [
        _deployed('rtdetr_deploy', 'RT-DETR tools/export_onnx.py', 80, _PLAIN, True),
        _deployed('dfine_deploy', 'D-FINE tools/deployment/export_onnx.py', 80, _PLAIN, True),
        _deployed('deim_deploy_c2', 'DEIM tools/deployment/export_onnx.py', 2, _PLAIN, True),
        _deployed('deimv2_deploy', 'DEIMv2 tools/deployment/export_onnx.py', 80, _DINOV3, True),
        _deployed('rtdetrv2_deploy_fixed', 'RT-DETRv2 tools/export_onnx.py', 80, _PLAIN, False),
        _detr(),
    ]


def queries(net: Network, image: str, classes: int, count: int) -> tuple[str, str]:
    """Logits [N, count, classes] and boxes [N, count, 4] as cx, cy, w, h in 0..1."""
    feature = net.features(image, (32,))[0]
    tokens = net.cut(net.transpose(net.reshape(feature, [0, 8, -1]), [0, 2, 1]), 0, count, 1)
    weights = [net.constant(net.random.normal(0, 0.8, (8, width))) for width in (classes, 4)]
    logits = net.op('Add', net.op('MatMul', tokens, weights[0]), net.constant(net.random.normal(-1, 1, classes)))
    return logits, net.op('Sigmoid', net.op('MatMul', tokens, weights[1]))


def _size(wh: tuple[int, int]) -> dict[str, np.ndarray]:
    return {'orig_target_sizes': np.array([wh], np.int64)}


def _deployed(name: str, after: str, classes: int, preprocess: Preprocess, dynamic: bool) -> FamilyCase:
    wh, count = (640, 640), 300
    batch: int | str = 'N' if dynamic else 1

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('images', (batch, 3, wh[1], wh[0]))
        size = net.input('orig_target_sizes', (batch, 2), 'int64')
        logits, boxes = queries(net, image, classes, count)
        cx, cy, width, height = (
            net.op('Squeeze', part, net.constant([2], 'int64')) for part in net.split(boxes, [1] * 4, 2)
        )
        half = [net.op('Mul', side, net.constant(0.5)) for side in (width, height)]
        corners = [
            net.op(kind, middle, part) for kind in ('Sub', 'Add') for middle, part in zip((cx, cy), half, strict=True)
        ]
        boxes = net.concat([net.op('Unsqueeze', item, net.constant([2], 'int64')) for item in corners], 2)
        repeated = net.op('Tile', size, net.constant([1, 2], 'int64'))
        scale = net.op('Cast', net.op('Unsqueeze', repeated, net.constant([1], 'int64')), to=1)
        boxes = net.op('Mul', boxes, scale)
        flat = net.reshape(net.op('Sigmoid', logits), [0, -1])
        _, where = net.ops('TopK', [flat, net.constant([count], 'int64')], ['scores', '/postprocessor/TopK_output_1'])
        ids = net.op(
            'Sub',
            where,
            net.op('Mul', net.op('Div', where, net.constant(classes, 'int64')), net.constant(classes, 'int64')),
            name='labels',
        )
        rows = net.op('Div', where, net.constant(classes, 'int64'))
        index = net.op('Tile', net.op('Unsqueeze', rows, net.constant([2], 'int64')), net.constant([1, 1, 4], 'int64'))
        net.op('GatherElements', boxes, index, axis=1, name='boxes')
        net.output(ids, (batch, count), 'int64')
        net.output('boxes', (batch, count, 4))
        net.output('scores', (batch, count))
        return net.save(folder / f'{name}.onnx', ('pytorch', '2.0.1'), 16)

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        return final(outputs['boxes'][0], outputs['scores'][0], outputs['labels'][0])

    columns = 'labels [N, 300] int64, boxes [N, 300, 4]: x1, y1, x2, y2 in px of orig_target_sizes (w, h), scores'
    truth = Truth(columns, preprocess, classes, False, decode, wh, feeds=_size)
    return FamilyCase(name, f'handmade after {after}', build, truth)


def _detr() -> FamilyCase:
    wh, classes, count = (800, 800), 91, 100

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('inputs', ('batch_size', 3, wh[1], wh[0]))
        logits, boxes = queries(net, image, classes + 1, count)
        net.op('Identity', logits, name='pred_logits')
        net.op('Identity', boxes, name='pred_boxes')
        net.output('pred_logits', ('batch_size', count, classes + 1))
        net.output('pred_boxes', ('batch_size', count, 4))
        return net.save(folder / 'detr_facebook.onnx', ('pytorch', '1.7'), 13)

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        scores = softmax(outputs['pred_logits'][0])[:, :-1]
        return best(by_size(from_center(outputs['pred_boxes'][0]), input_wh), scores)

    columns = 'pred_logits [N, 100, 92]: softmax, the last column is "no object"; pred_boxes cx, cy, w, h in 0..1'
    truth = Truth(columns, _DETR, classes, False, decode, wh)
    return FamilyCase('detr_facebook', 'handmade after DETR test_all.py', build, truth)
