# SPDX-License-Identifier: Apache-2.0
"""NanoDet-Plus in one output, and the first NanoDet with one output per stride for scores and for distances."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, cells, expected_bin, from_distances
from benchmark.families.case import Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.network import Network, cell_total, level_sizes

_MEAN = {'mean': (103.53, 116.28, 123.675), 'std': (57.375, 57.12, 58.395)}
_PREPROCESS = Preprocess(
    'bgr', 'NanoDet, config/*.yml normalize and keep_ratio: false', scale=1.0, **_MEAN, fit='stretch'
)
_AFTER = 'handmade after NanoDet tools/export_onnx.py'


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [
        _plus('nanodet_plus_416', (416, 416), 80, (8, 16, 32, 64), 8),
        _plus('nanodet_plus_320_c1', (320, 320), 1, (8, 16, 32, 64), 8),
        _plus('nanodet_v1_320', (320, 320), 80, (8, 16, 32), 11, offset=0.5),
        _split(),
    ]


def _plus(
    name: str, wh: tuple[int, int], classes: int, strides: tuple[int, ...], bins: int, offset: float = 0.0
) -> FamilyCase:
    """One output: sigmoid scores and the bins of the four distances."""

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('data', (1, 3, wh[1], wh[0]))
        levels = []
        for feature in net.features(image, strides):
            raw = net.head(feature, classes + 4 * bins, bias=-0.5)
            scores, sides = net.split(raw, [classes, 4 * bins], 1)
            rows = net.concat([net.op('Sigmoid', scores), sides], 1)
            levels.append(net.reshape(rows, [0, classes + 4 * bins, -1]))
        net.transpose(net.concat(levels, 2), [0, 2, 1], name='output')
        net.output('output', (1, cell_total(wh, strides), classes + 4 * bins))
        return net.save(folder / f'{name}.onnx', opset=13)

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs['output'][0]
        centers, sizes = cells(input_wh, strides, offset)
        distances = expected_bin(rows[:, classes:], bins) * sizes
        return best(from_distances(centers, distances), rows[:, :classes])

    columns = (
        f'output [1, cells of {strides}, {classes} + 4 * {bins}]: sigmoid scores, bins of left, top, right, bottom'
    )
    return FamilyCase(name, _AFTER, build, Truth(columns, _PREPROCESS, classes, True, decode, wh))


def _split() -> FamilyCase:
    wh, classes, strides, bins = (320, 320), 80, (8, 16, 32), 8
    names = [f'{kind}_pred_stride_{stride}' for kind in ('cls', 'dis') for stride in strides]

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('input.1', (1, 3, wh[1], wh[0]))
        for index, feature in enumerate(net.features(image, strides)):
            columns, lines = level_sizes(wh, strides)[index]
            scores = net.op('Sigmoid', net.head(feature, classes, bias=-0.5))
            for name, tensor, width in ((names[index], scores, classes), (names[index + 3], '', 4 * bins)):
                tensor = tensor or net.head(feature, width)
                net.transpose(net.reshape(tensor, [0, width, -1]), [0, 2, 1], name=name)
        for index, name in enumerate(names):
            columns, lines = level_sizes(wh, strides)[index % 3]
            net.output(name, (1, lines * columns, classes if index < 3 else 4 * bins))
        return net.save(folder / 'nanodet_split.onnx', ('pytorch', '1.7'), 13)

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        scores = np.concatenate([outputs[name][0] for name in names[:3]])
        sides = np.concatenate([outputs[name][0] for name in names[3:]])
        centers, sizes = cells(input_wh, strides, 0.5)
        return best(from_distances(centers, expected_bin(sides, bins) * sizes), scores)

    columns = 'cls_pred_stride_S [1, cells, 80] sigmoid, dis_pred_stride_S [1, cells, 4 * 8] bins; strides 8, 16, 32'
    truth = Truth(columns, _PREPROCESS, classes, True, decode, wh)
    return FamilyCase('nanodet_split', 'handmade after NanoDet v0.x tools/export.py', build, truth)
