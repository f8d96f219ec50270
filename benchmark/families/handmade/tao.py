# SPDX-License-Identifier: Apache-2.0
"""NVIDIA TAO: DetectNet_v2's grids, the BatchedNMS of its YOLO and SSD, the outputs of its DINO and Deformable DETR."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, by_size, from_center, sigmoid
from benchmark.families.case import IMAGENET, Decoded, FamilyCase, Outputs, Preprocess, Truth
from benchmark.families.handmade.ssd import anchor_rows, anchors_of, ssd_boxes
from benchmark.families.handmade.yolox import decode_fixed
from benchmark.families.network import Network
from benchmark.families.suppression import PluginNames, fixed_outputs, suppress

_DETECTNET = Preprocess(
    'rgb', 'TAO, DetectNet_v2 deployment: net-scale-factor 1/255, RGB', fit='stretch', certain=False
)
_CAFFE = Preprocess(
    'bgr', 'TAO, YOLOv4 deployment: offsets 103.939;116.779;123.68, model-color-format 1', scale=1.0,
    mean=(103.939, 116.779, 123.68), fit='letterbox', anchor='top_left', pad=0, certain=False,
)  # fmt: skip
_DINO = Preprocess(
    'rgb', 'TAO, DINO deployment: offsets and scale of ImageNet', **IMAGENET, fit='stretch', certain=False
)


def cases() -> list[FamilyCase]:
    """Every case of this file."""
    return [_detectnet('tao_detectnet_v2', ':0', 3), _detectnet('tao_detectnet_v2_c1', '', 1), _batched_nms(), _dino()]


def _detectnet(name: str, suffix: str, classes: int) -> FamilyCase:
    """`suffix` follows the tensors' names in newer exports."""
    wh, stride, scale = (960, 544), 16, 35.0
    bbox, cov = f'output_bbox/BiasAdd{suffix}', f'output_cov/Sigmoid{suffix}'

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        image = net.input(f'input_1{suffix}', ('unk__622', 3, wh[1], wh[0]))
        feature = net.features(image, (stride,))[0]
        boxes = net.head(feature, 4 * classes, bias=2.5, spread=0.15)
        net.op('Identity', boxes, name=bbox)
        net.op('Sigmoid', net.head(feature, classes, bias=-1), name=cov)
        net.output(bbox, ('unk__623', 4 * classes, 34, 60))
        net.output(cov, ('unk__624', classes, 34, 60))
        return net.save(folder / f'{name}.onnx', ('tf2onnx', '1.9.2'), graph_name='tf2onnx')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        cover = outputs[cov][0].reshape(classes, -1)
        sides = outputs[bbox][0].reshape(classes, 4, -1)
        ys, xs = np.mgrid[:34, :60]
        centers = np.stack([xs.ravel(), ys.ravel()]) * stride + 0.5
        ids, spots = cover.argmax(0), np.arange(cover.shape[1])
        found = sides[ids, :, spots] * scale
        boxes = np.concatenate([centers.T - found[:, :2], centers.T + found[:, 2:]], 1)
        scores = np.zeros((len(ids), classes))
        scores[spots, ids] = cover[ids, spots]
        return best(boxes, scores)

    columns = (
        'output_cov [N, C, 34, 60] sigmoid; output_bbox [N, 4 C, 34, 60]: distances left, top, right, bottom in units '
        'of 35 px from (16 column + 0.5, 16 row + 0.5); clustering follows'
    )
    truth = Truth(columns, _DETECTNET, classes, True, decode, wh)
    return FamilyCase(name, 'handmade after TAO DetectNet_v2', build, truth)


def _batched_nms() -> FamilyCase:
    wh, strides, classes = (960, 544), (16, 32), 4
    names = PluginNames('BatchedNMS', 'BatchedNMS_1', 'BatchedNMS_2', 'BatchedNMS_3', 'float32')

    def build(folder: Path) -> Path:
        net = Network(style='plain')
        image = net.input('Input', (1, 3, wh[1], wh[0]))
        offsets, logits = anchor_rows(net, image, wh, strides, 3, classes, 1 / 128)
        boxes = ssd_boxes(net, offsets, anchors_of(wh, strides, 3), wh)
        scores = net.transpose(net.op('Sigmoid', logits), [0, 2, 1])
        fixed_outputs(net, suppress(net, boxes, scores, top=60), names, rows=200, empty_id=-1)
        return net.save(folder / 'tao_batched_nms.onnx', ('keras2onnx', '1.7.0'), graph_name='yolov4')

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        boxes, scores, ids = decode_fixed(outputs, (names.count, names.boxes, names.scores, names.ids))
        return by_size(boxes, input_wh).astype(np.float32), scores, ids

    columns = 'BatchedNMS [N, 1] count, _1 [N, 200, 4]: x1, y1, x2, y2 in 0..1, _2 scores, _3 class as float'
    truth = Truth(columns, _CAFFE, classes, False, decode, wh)
    note = 'TensorRT plugin BatchedNMSDynamic_TRT replaced by NonMaxSuppression, so that it runs'
    return FamilyCase('tao_batched_nms', 'handmade after TAO YOLOv4', build, truth, note)


def _dino() -> FamilyCase:
    wh, classes = (960, 544), 91

    def build(folder: Path) -> Path:
        net = Network()
        image = net.input('inputs', ('batch_size', 3, wh[1], wh[0]))
        feature = net.features(image, (32,))[0]
        tokens = net.cut(net.transpose(net.reshape(feature, [0, 8, -1]), [0, 2, 1]), 0, 300, 1)
        weights = [net.constant(net.random.normal(0, 0.8, (8, count))) for count in (classes, 4)]
        net.op('Add', net.op('MatMul', tokens, weights[0]), net.constant(-1.0), name='pred_logits')
        net.op('Sigmoid', net.op('MatMul', tokens, weights[1]), name='pred_boxes')
        net.output('pred_logits', ('batch_size', 300, classes))
        net.output('pred_boxes', ('batch_size', 300, 4))
        return net.save(folder / 'tao_dino.onnx', ('pytorch', '2.1.0'), 17)

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        return best(by_size(from_center(outputs['pred_boxes'][0]), input_wh), sigmoid(outputs['pred_logits'][0]))

    columns = 'pred_logits [N, 300, 91] before the sigmoid; pred_boxes [N, 300, 4]: cx, cy, w, h in 0..1'
    truth = Truth(columns, _DINO, classes, False, decode, wh)
    return FamilyCase('tao_dino', 'handmade after TAO DINO and Deformable DETR', build, truth)
