# SPDX-License-Identifier: Apache-2.0
"""EfficientDet by effdet (PyTorch): the ten maps of its heads; its postprocessing cannot be exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmark.families.arrays import best, sigmoid
from benchmark.families.case import IMAGENET, Decoded, FamilyCase, MissingPackageError, Outputs, Preprocess, Truth

_PREPROCESS = Preprocess(
    'rgb', 'effdet, data/transforms.py ResizePad: top left, ImageNet', **IMAGENET, anchor='top_left', pad=124
)
_WH, _CLASSES, _STRIDES = (320, 320), 90, (8, 16, 32, 64, 128)
_NAMES = [f'{kind}_{level}' for kind in ('class', 'box') for level in range(3, 8)]


def cases() -> list[FamilyCase]:
    """Every case of this exporter."""
    maps = 'class_L [1, 9 * 90, H, W] before the sigmoid, box_L [1, 9 * 4, H, W] offsets dy, dx, dh, dw of anchors'

    def build(folder: Path) -> Path:
        path = folder / 'effdet_maps.onnx'
        _export(path)
        return path

    truth = Truth(maps, _PREPROCESS, _CLASSES, True, _maps, _WH)
    return [FamilyCase('effdet_maps', 'effdet, torch.onnx', build, truth)]


def _maps(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    """The anchors are EfficientDet's: 4 strides wide, 3 octaves, ratios 1, 1.4 / 0.7 and 0.7 / 1.4."""
    boxes, scores = [], []
    for level, stride in enumerate(_STRIDES):
        logits = outputs[_NAMES[level]][0]
        lines, columns = logits.shape[1:]
        shift = outputs[_NAMES[level + 5]][0].reshape(9, 4, lines, columns).astype(np.float64)
        scores.append(sigmoid(logits).reshape(9, _CLASSES, -1).transpose(2, 0, 1).reshape(-1, _CLASSES))
        sides = [
            (4 * stride * 2 ** (octave / 3) * wide, 4 * stride * 2 ** (octave / 3) * high)
            for octave in range(3)
            for wide, high in ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
        ]
        size = np.array(sides).T.reshape(2, 9, 1, 1)
        ys, xs = np.mgrid[:lines, :columns] * stride + stride / 2
        cy, cx = ys + shift[:, 0] * size[1], xs + shift[:, 1] * size[0]
        high, wide = np.exp(shift[:, 2]) * size[1] / 2, np.exp(shift[:, 3]) * size[0] / 2
        found = np.stack([cx - wide, cy - high, cx + wide, cy + high], -1)
        boxes.append(found.transpose(1, 2, 0, 3).reshape(-1, 4))
    return best(np.concatenate(boxes), np.concatenate(scores))


def _export(path: Path) -> None:
    try:
        import torch
        from effdet import EfficientDet, get_efficientdet_config
    except ImportError as error:
        raise MissingPackageError(f'effdet: {error}') from error
    torch.manual_seed(0)
    config = get_efficientdet_config('tf_efficientdet_lite0')
    model: Any = EfficientDet(config, pretrained_backbone=False)
    model.class_net.predict.conv_pw.bias.data.normal_(-2, 1)
    torch.onnx.export(
        model.eval(),
        torch.randn(1, 3, *_WH),
        str(path),
        input_names=['images'],
        output_names=_NAMES,
        opset_version=17,
        dynamo=False,
    )
