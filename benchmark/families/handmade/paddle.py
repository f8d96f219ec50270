# SPDX-License-Identifier: Apache-2.0
"""PaddleDetection through paddle2onnx: PP-YOLOE, PicoDet, RT-DETR; and NanoDet, whose head PicoDet shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, cells, expected_bin, final, from_distances
from benchmark.families.case import IMAGENET, Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.network import Network, level_sizes
from benchmark.families.suppression import suppress

_PADDLE = ('PaddlePaddle', '')
_WH = (640, 640)
_STRIDES = (8, 16, 32)
_FOUR = (8, 16, 32, 64)
_PPYOLOE = Preprocess(
    'rgb', 'PaddleDetection, infer_cfg.yml of ppyoloe_plus: Resize 640, norm_type none', fit='stretch'
)
_OLD_PPYOLOE = Preprocess(
    'rgb', 'PaddleDetection, infer_cfg.yml of ppyoloe: ImageNet mean and std', **IMAGENET, fit='stretch'
)
_PICODET = Preprocess(
    'rgb', 'PaddleDetection, picodet_416_reader.yml: RGB after Decode, ImageNet mean and std', **IMAGENET, fit='stretch'
)
_RTDETR = Preprocess('rgb', 'PaddleDetection, rtdetr_reader.yml: mean 0, std 1, norm_type none', fit='stretch')
_FINAL = 'boxes [N, 6]: class, score, x1, y1, x2, y2 in px of the original image; number per image int32'


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [_ppyoloe_raw(), _ppyoloe_nms(), _rtdetr(), _picodet(), _picodet_nms()]


def _scale_one(wh: tuple[int, int]) -> dict[str, np.ndarray]:
    """A scale factor (height, width) of 1: boxes come back in px of the input."""
    return {'scale_factor': np.ones((1, 2), np.float32)}


def _size_too(wh: tuple[int, int]) -> dict[str, np.ndarray]:
    return {**_scale_one(wh), 'im_shape': np.array([[wh[1], wh[0]]], np.float32)}


def _ppyoloe(net: Network, image: str, classes: int, names: tuple[str, str] = ('', '')) -> tuple[str, str]:
    """Boxes [1, 8400, 4] in px and scores [1, classes, 8400], as PPYOLOEHead makes them."""
    scores, sides = [], []
    for feature, (columns, lines) in zip(net.features(image, _STRIDES), level_sizes(_WH, _STRIDES), strict=True):
        bins = net.reshape(net.head(feature, 4 * 17), [-1, 4, 17, lines * columns])
        shares = net.op('Softmax', net.transpose(bins, [0, 2, 3, 1]), axis=1)
        weight = net.constant(np.arange(17.0).reshape(1, 17, 1, 1))
        distances = net.op('Squeeze', net.op('Conv', shares, weight), net.constant([1], 'int64'))
        sides.append(distances)
        logits = net.op('Sigmoid', net.head(feature, classes, bias=-1))
        scores.append(net.reshape(logits, [-1, classes, lines * columns]))
    all_scores = net.concat(scores, 2, name=names[1])
    left_top, right_bottom = net.split(net.concat(sides, 1), [2, 2], 2)
    centers, strides = cells(_WH, _STRIDES, 0.5)
    points = net.constant((centers / strides)[None])
    corners = [net.op('Sub', points, left_top), net.op('Add', points, right_bottom)]
    boxes = net.op('Mul', net.concat(corners, 2), net.constant(strides[None]), name=names[0])
    return boxes, all_scores


def _ppyoloe_raw() -> FamilyCase:
    names = ('tmp_16', 'concat_14.tmp_0')

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        image = net.input('image', ('unk__0', 3, 640, 640))
        _ppyoloe(net, image, 80, names)
        net.output(names[0], ('unk__1', 8400, 4))
        net.output(names[1], ('unk__2', 80, 8400))
        return net.save(folder / 'ppyoloe_raw.onnx', _PADDLE, 13, graph_name='Model from PaddlePaddle.')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        return best(outputs[names[0]][0], outputs[names[1]][0].T)

    columns = 'boxes [1, 8400, 4] x1, y1, x2, y2 in px; sigmoid scores [1, 80, 8400]'
    truth = Truth(columns, _PPYOLOE, 80, True, decode, _WH)
    return FamilyCase('ppyoloe_raw', 'handmade after PaddleDetection export_model.py exclude_nms=True', build, truth)


def _final_rows(net: Network, boxes: str, scores: str, names: tuple[str, str]) -> None:
    """Paddle's multiclass_nms3 as paddle2onnx writes it: rows class, score, box; and the number of rows."""
    kept = suppress(net, boxes, scores, top=5)
    parts = [net.op('Cast', kept.ids, to=1), kept.scores, kept.boxes]
    net.concat(parts, 1, name=names[0])
    total = net.op('Shape', kept.scores)
    first = net.op('Slice', total, net.constant([0], 'int64'), net.constant([1], 'int64'))
    net.op('Cast', first, to=6, name=names[1])
    net.output(names[0], ('unk__3', 6))
    net.output(names[1], ('unk__4',), 'int32')


def _decode_final(rows_name: str) -> object:
    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs[rows_name]
        rows = rows[rows[:, 0] >= 0]
        return final(rows[:, 2:6], rows[:, 1], rows[:, 0])

    return decode


def _unscale(net: Network, boxes: str, factor: str) -> str:
    """Boxes divided by the scale factor, which holds (height, width)."""
    order = net.op('Gather', factor, net.constant([1, 0, 1, 0], 'int64'), axis=1)
    return net.op('Div', boxes, net.op('Unsqueeze', order, net.constant([1], 'int64')))


def _ppyoloe_nms() -> FamilyCase:
    names = ('multiclass_nms3_0.tmp_0', 'multiclass_nms3_0.tmp_2')

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        image = net.input('image', ('unk__0', 3, 640, 640))
        factor = net.input('scale_factor', ('unk__1', 2))
        boxes, scores = _ppyoloe(net, image, 80)
        _final_rows(net, _unscale(net, boxes, factor), scores, names)
        return net.save(folder / 'ppyoloe_nms.onnx', _PADDLE, 13, graph_name='Model from PaddlePaddle.')

    truth = Truth(_FINAL, _OLD_PPYOLOE, 80, False, _decode_final(names[0]), _WH, feeds=_scale_one)
    return FamilyCase('ppyoloe_nms', 'handmade after PaddleDetection export_model.py and paddle2onnx', build, truth)


def _rtdetr() -> FamilyCase:
    names = ('reshape2_95.tmp_0', 'tile_3.tmp_0')

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        size = net.input('im_shape', ('unk__0', 2))
        image = net.input('image', ('unk__1', 3, 640, 640))
        factor = net.input('scale_factor', ('unk__2', 2))
        feature = net.features(image, (32,))[0]
        tokens = net.reshape(feature, [0, 8, -1])
        tokens = net.transpose(tokens, [0, 2, 1])
        query = net.cut(tokens, 0, 300, 1)
        weights = [net.constant(net.random.normal(0, 0.8, (8, count))) for count in (80, 4)]
        logits = net.op('Sigmoid', net.op('Add', net.op('MatMul', query, weights[0]), net.constant(-1.0)))
        corners = net.op('Sigmoid', net.op('MatMul', query, weights[1]))
        center, extent = net.split(corners, [2, 2], 2)
        half = net.op('Mul', extent, net.constant(0.5))
        boxes = net.concat([net.op('Sub', center, half), net.op('Add', center, half)], 2)
        original = net.op('Floor', net.op('Add', net.op('Div', size, factor), net.constant(0.5)))
        scale = net.op('Gather', original, net.constant([1, 0, 1, 0], 'int64'), axis=1)
        boxes = net.op('Mul', boxes, net.op('Unsqueeze', scale, net.constant([1], 'int64')))
        top, where = net.ops('TopK', [net.reshape(logits, [0, -1]), net.constant([300], 'int64')], ['top', 'where'])
        ids = net.op('Mod', where, net.constant(80, 'int64'))
        rows = net.op('Unsqueeze', net.op('Div', where, net.constant(80, 'int64')), net.constant([2], 'int64'))
        picked = net.op('GatherND', boxes, rows, batch_dims=1)
        parts = [net.op('Unsqueeze', item, net.constant([2], 'int64')) for item in (net.op('Cast', ids, to=1), top)]
        net.reshape(net.concat([*parts, picked], 2), [-1, 6], name=names[0])
        net.ops('Identity', [net.constant([300], 'int32')], [names[1]])
        net.output(names[0], ('unk__3', 6))
        net.output(names[1], (1,), 'int32')
        return net.save(folder / 'paddle_rtdetr.onnx', _PADDLE, 16, graph_name='Model from PaddlePaddle.')

    truth = Truth(_FINAL, _RTDETR, 80, False, _decode_final(names[0]), _WH, feeds=_size_too)
    return FamilyCase('paddle_rtdetr', 'handmade after PaddleDetection RT-DETR and paddle2onnx', build, truth)


def _pico_levels(net: Network, image: str, wh: tuple[int, int], classes: int) -> tuple[list[str], list[str]]:
    """Sigmoid scores [1, cells, classes] and distance bins [1, cells, 32] of each level."""
    scores, bins = [], []
    for feature, (columns, lines) in zip(net.features(image, _FOUR), level_sizes(wh, _FOUR), strict=True):
        logits = net.op('Sigmoid', net.head(feature, classes, bias=-1))
        scores.append(net.transpose(net.reshape(logits, [1, classes, lines * columns]), [0, 2, 1]))
        bins.append(net.transpose(net.reshape(net.head(feature, 32), [1, 32, lines * columns]), [0, 2, 1]))
    return scores, bins


def _picodet() -> FamilyCase:
    wh, classes = (416, 416), 80
    names = [f'transpose_{index}.tmp_0' for index in (0, 2, 4, 6, 1, 3, 5, 7)]

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        scores, bins = _pico_levels(net, net.input('image', (1, 3, wh[1], wh[0])), wh, classes)
        for name, made in zip(names, [*scores, *bins], strict=True):
            node = next(item for item in net.nodes if item.output[0] == made)
            node.output[0] = name
        for index, name in enumerate(names):
            columns, lines = level_sizes(wh, _FOUR)[index % 4]
            net.output(name, (1, lines * columns, classes if index < 4 else 32))
        return net.save(folder / 'picodet_raw.onnx', _PADDLE, 11, graph_name='Model from PaddlePaddle.')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        scores = np.concatenate([outputs[name][0] for name in names[:4]])
        bins = np.concatenate([outputs[name][0] for name in names[4:]])
        centers, strides = cells(input_wh, _FOUR, 0.5)
        return best(from_distances(centers, expected_bin(bins, 8) * strides), scores)

    columns = 'four outputs of sigmoid scores [1, cells, 80], four of bins [1, cells, 4 * 8], strides 8, 16, 32, 64'
    truth = Truth(columns, _PICODET, classes, True, decode, wh)
    return FamilyCase('picodet_raw', 'handmade after PaddleDetection PicoDet export.benchmark', build, truth)


def _picodet_nms() -> FamilyCase:
    wh, classes = (320, 320), 80
    names = ('multiclass_nms3_0.tmp_0', 'multiclass_nms3_0.tmp_2')

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        image = net.input('image', ('unk__0', 3, wh[1], wh[0]))
        factor = net.input('scale_factor', ('unk__1', 2))
        scores, bins = _pico_levels(net, image, wh, classes)
        shares = net.op('Softmax', net.reshape(net.concat(bins, 1), [0, -1, 4, 8]), axis=3)
        distances = net.op('MatMul', shares, net.constant(np.arange(8.0).reshape(8, 1)))
        centers, strides = cells(wh, _FOUR, 0.5)
        sides = net.reshape(distances, [0, -1, 4])
        scaled = net.op('Mul', sides, net.constant(strides[None]))
        left_top, right_bottom = net.split(scaled, [2, 2], 2)
        points = net.constant(centers[None])
        boxes = net.concat([net.op('Sub', points, left_top), net.op('Add', points, right_bottom)], 2)
        _final_rows(net, _unscale(net, boxes, factor), net.transpose(net.concat(scores, 1), [0, 2, 1]), names)
        return net.save(folder / 'picodet_nms.onnx', _PADDLE, 13, graph_name='Model from PaddlePaddle.')

    truth = Truth(_FINAL, _PICODET, classes, False, _decode_final(names[0]), wh, feeds=_scale_one)
    return FamilyCase('picodet_nms', 'handmade after PaddleDetection PicoDet and paddle2onnx', build, truth)
