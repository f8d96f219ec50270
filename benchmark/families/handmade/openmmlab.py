# SPDX-License-Identifier: Apache-2.0
"""OpenMMLab's detectors: mmdeploy with NMS, RTMDet's raw outputs, mmyolo's export."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, cells, final, from_distances, sigmoid
from benchmark.families.case import Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.network import Network, level_sizes
from benchmark.families.suppression import PluginNames, fixed_outputs, suppress

_STRIDES = (8, 16, 32)
_WH = (640, 640)
_PREPROCESS = Preprocess(
    'bgr', 'mmdetection, configs/rtmdet: mean 103.53, 116.28, 123.675, bgr_to_rgb False, Pad 114', scale=1.0,
    mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395), anchor='top_left',
)  # fmt: skip
_MMYOLO = Preprocess('rgb', 'mmyolo, configs/yolov8: mean 0, std 255, bgr_to_rgb True, letterbox 114', certain=False)


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [_deployed('mmdeploy_rtmdet', 80, _STRIDES), _deployed('mmdeploy_rtmdet_c1', 1, _STRIDES), _raw(), _mmyolo()]


def _heads(net: Network, image: str, classes: int, strides: tuple[int, ...]) -> list[tuple[str, str]]:
    """Raw class maps and distances in px of each level, as RTMDetSepBNHead returns them."""
    found = []
    for feature, stride in zip(net.features(image, strides), strides, strict=True):
        scores = net.head(feature, classes, bias=-1)
        sides = net.op('Mul', net.op('Exp', net.head(feature, 4, bias=0.5, spread=0.4)), net.constant(float(stride)))
        found.append((scores, sides))
    return found


def _boxes_scores(net: Network, image: str, classes: int) -> tuple[str, str]:
    """Boxes [N, cells, 4] as corners in px and sigmoid scores [N, cells, classes]."""
    scores, sides = [], []
    for logits, distances in _heads(net, image, classes, _STRIDES):
        scores.append(net.reshape(net.transpose(logits, [0, 2, 3, 1]), [0, -1, classes]))
        sides.append(net.reshape(net.transpose(distances, [0, 2, 3, 1]), [0, -1, 4]))
    left_top, right_bottom = net.split(net.concat(sides, 1), [2, 2], 2)
    points = net.constant(cells(_WH, _STRIDES)[0][None])
    corners = [net.op('Sub', points, left_top), net.op('Add', points, right_bottom)]
    return net.concat(corners, 2), net.op('Sigmoid', net.concat(scores, 1))


def _deployed(name: str, classes: int, strides: tuple[int, ...]) -> FamilyCase:
    """mmdeploy's two outputs after NMS."""

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('input', ('batch', 3, _WH[1], _WH[0]))
        boxes, scores = _boxes_scores(net, image, classes)
        kept = suppress(net, boxes, net.transpose(scores, [0, 2, 1]), top=5)
        flat = net.op('Squeeze', kept.scores, net.constant([1], 'int64'))
        _, order = net.ops('TopK', [flat, net.op('Shape', flat)], ['sorted', 'order'], axis=0)
        rows = net.op('Gather', net.concat([kept.boxes, kept.scores], 1), order, axis=0)
        ids = net.op('Gather', net.op('Squeeze', kept.ids, net.constant([1], 'int64')), order, axis=0)
        net.op('Unsqueeze', rows, net.constant([0], 'int64'), name='dets')
        net.op('Unsqueeze', ids, net.constant([0], 'int64'), name='labels')
        net.output('dets', ('batch', 'num_dets', 5))
        net.output('labels', ('batch', 'num_dets'), 'int64')
        return net.save(folder / f'{name}.onnx')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        return final(outputs['dets'][0, :, :4], outputs['dets'][0, :, 4], outputs['labels'][0])

    columns = 'dets [N, boxes, 5]: x1, y1, x2, y2 in px, score; labels [N, boxes] int64'
    truth = Truth(columns, _PREPROCESS, classes, False, decode, _WH)
    return FamilyCase(name, 'handmade after mmdeploy detection_onnxruntime', build, truth)


def _raw() -> FamilyCase:
    names = [f'{kind}_{index}' for kind in ('cls_score', 'bbox_pred') for index in range(3)]

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('input', (1, 3, _WH[1], _WH[0]))
        found = _heads(net, image, 80, _STRIDES)
        for index, (columns, lines) in enumerate(level_sizes(_WH, _STRIDES)):
            for name, tensor, width in zip((names[index], names[index + 3]), found[index], (80, 4), strict=True):
                node = next(item for item in net.nodes if item.output[0] == tensor)
                node.output[0] = name
                net.output(name, (1, width, lines, columns))
        net.outputs.sort(key=lambda item: names.index(item.name))
        return net.save(folder / 'rtmdet_raw.onnx')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = [np.concatenate([outputs[name][0].reshape(width, -1).T for name in part])
                for part, width in ((names[:3], 80), (names[3:], 4))]  # fmt: skip
        return best(from_distances(cells(input_wh, _STRIDES)[0], rows[1]), sigmoid(rows[0]))

    columns = 'cls_score_i [1, 80, H, W] before the sigmoid; bbox_pred_i [1, 4, H, W] left, top, right, bottom in px'
    truth = Truth(columns, _PREPROCESS, 80, True, decode, _WH)
    return FamilyCase('rtmdet_raw', 'handmade after mmdetection RTMDet forward', build, truth)


def _mmyolo() -> FamilyCase:
    names = PluginNames('num_dets', 'boxes', 'scores', 'labels')

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('images', (1, 3, _WH[1], _WH[0]))
        boxes, scores = _boxes_scores(net, image, 80)
        fixed_outputs(net, suppress(net, boxes, net.transpose(scores, [0, 2, 1]), top=5), names, empty_id=-1)
        return net.save(folder / 'mmyolo_nms.onnx')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = int(outputs['num_dets'][0, 0])
        return final(outputs['boxes'][0, :rows], outputs['scores'][0, :rows], outputs['labels'][0, :rows])

    columns = 'num_dets [1, 1], boxes [1, 100, 4]: x1, y1, x2, y2 in px, scores, labels int32; rows after are padding'
    truth = Truth(columns, _MMYOLO, 80, False, decode, _WH)
    return FamilyCase('mmyolo_nms', 'handmade after mmyolo projects/easydeploy', build, truth, 'EfficientNMS replaced')
