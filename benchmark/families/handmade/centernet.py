# SPDX-License-Identifier: Apache-2.0
"""CenterNet: the maps of its heads, with the sigmoid and without, and an export that finds the peaks itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import final, sigmoid
from benchmark.families.case import Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.network import Network

_PREPROCESS = Preprocess(
    'bgr', 'CenterNet, src/lib/datasets/dataset/coco.py and detectors/base_detector.py', mean=(0.408, 0.447, 0.470),
    std=(0.289, 0.274, 0.278), pad=0,
)  # fmt: skip
_WH, _CLASSES, _STRIDE, _TOP = (512, 512), 80, 4, 100
_SIDE = _WH[0] // _STRIDE


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [_maps('centernet_maps', False), _maps('centernet_maps_sigmoid', True), _peaks()]


def _heads(net: Network, image: str) -> tuple[str, str, str]:
    """Class logits, sizes and offsets in cells."""
    feature = net.features(image, (_STRIDE,))[0]
    return net.head(feature, _CLASSES, bias=-2), net.op('Abs', net.head(feature, 2, bias=6)), net.head(feature, 2)


def _maps(name: str, active: bool) -> FamilyCase:
    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('input.1' if not active else 'input', (1, 3, _WH[1], _WH[0]))
        heat, size, offset = _heads(net, image)
        for made, output in ((heat, 'hm'), (size, 'wh'), (offset, 'reg')):
            net.op('Sigmoid' if active and output == 'hm' else 'Identity', made, name=output)
            net.output(output, (1, _CLASSES if output == 'hm' else 2, _SIDE, _SIDE))
        return net.save(folder / f'{name}.onnx', ('pytorch', '1.4'))

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        heat = outputs['hm'][0] if active else sigmoid(outputs['hm'][0])
        around = np.pad(heat, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
        highest = np.max([around[:, y : y + _SIDE, x : x + _SIDE] for y in range(3) for x in range(3)], axis=0)
        peaks = np.where(heat == highest, heat, 0).reshape(-1)
        order = np.argsort(-peaks, kind='stable')[:_TOP]
        ids, ys, xs = np.unravel_index(order, heat.shape)
        centers = np.stack([xs, ys], 1) + outputs['reg'][0][:, ys, xs].T
        sides = outputs['wh'][0][:, ys, xs].T
        boxes = np.concatenate([centers - sides / 2, centers + sides / 2], 1) * _STRIDE
        return final(boxes, peaks[order], ids)

    how = 'after' if active else 'before'
    columns = f'hm [1, 80, 128, 128] {how} the sigmoid, wh and reg [1, 2, 128, 128] in cells; peaks of 3 x 3 are boxes'
    truth = Truth(columns, _PREPROCESS, _CLASSES, False, decode, _WH)
    return FamilyCase(name, 'handmade after CenterNet, forward of the heads', build, truth)


def _peaks() -> FamilyCase:
    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('images', (1, 3, _WH[1], _WH[0]))
        logits, size, offset = _heads(net, image)
        heat = net.op('Sigmoid', logits)
        pooled = net.op('MaxPool', heat, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])
        same = net.op('Cast', net.op('Equal', heat, pooled), to=1)
        flat = net.reshape(net.op('Mul', heat, same), [1, -1])
        scores, where = net.ops('TopK', [flat, net.constant([_TOP], 'int64')], ['top', 'where'], axis=1)
        spots = net.op('Mod', where, net.constant(_SIDE * _SIDE, 'int64'))
        ids = net.op('Cast', net.op('Div', where, net.constant(_SIDE * _SIDE, 'int64')), to=1)
        ys = net.op('Cast', net.op('Div', spots, net.constant(_SIDE, 'int64')), to=1)
        xs = net.op('Cast', net.op('Mod', spots, net.constant(_SIDE, 'int64')), to=1)
        last = net.constant([2], 'int64')
        rows = net.op('Unsqueeze', spots, last)
        picked = []
        for tensor in (offset, size):
            flat_map = net.transpose(net.reshape(tensor, [1, 2, -1]), [0, 2, 1])
            picked.append(net.op('GatherND', flat_map, rows, batch_dims=1))
        corner = net.concat([net.op('Unsqueeze', item, last) for item in (xs, ys)], 2)
        center = net.op('Add', corner, picked[0])
        half = net.op('Div', picked[1], net.constant(2.0))
        boxes = net.concat([net.op('Sub', center, half), net.op('Add', center, half)], 2)
        boxes = net.op('Mul', boxes, net.constant(float(_STRIDE)))
        tail = [net.op('Unsqueeze', item, last) for item in (scores, ids)]
        net.concat([boxes, *tail], 2, name='detections')
        net.output('detections', (1, _TOP, 6))
        return net.save(folder / 'centernet_peaks.onnx', ('pytorch', '1.8'))

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs['detections'][0]
        return final(rows[:, :4], rows[:, 4], rows[:, 5])

    columns = 'detections [1, 100, 6]: x1, y1, x2, y2 in px, score, class'
    truth = Truth(columns, _PREPROCESS, _CLASSES, False, decode, _WH)
    return FamilyCase('centernet_peaks', 'handmade after CenterNet, ctdet_decode in the graph', build, truth)
