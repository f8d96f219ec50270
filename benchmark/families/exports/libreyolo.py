# SPDX-License-Identifier: Apache-2.0
"""Networks of LibreYOLO by its exporter: layouts of its own behind the names of known families."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.families.arrays import best, by_size, final, from_center, sigmoid
from benchmark.families.case import (
    IMAGENET,
    Decode,
    Decoded,
    FamilyCase,
    MissingPackageError,
    Outputs,
    Preprocess,
    Truth,
)
from isaac_inference.models.card.labels import SHIPPED

_YOLOX = Preprocess('bgr', 'LibreYOLO, preprocess/yolox.py: no scaling, 114', scale=1.0, anchor='top_left')
_YOLO9 = Preprocess('rgb', 'LibreYOLO, preprocess/yolo9.py: letterbox at the top left, 114', anchor='top_left')
_DARKNET = Preprocess('rgb', 'LibreYOLO, models/darknet/preprocess.py: top left, 128', anchor='top_left', pad=128)
_NAS = Preprocess('rgb', 'LibreYOLO, preprocess/yolonas.py: long side 636, centred')
_PICODET = Preprocess('rgb', 'LibreYOLO, models/picodet/utils.py: ImageNet', **IMAGENET, fit='stretch')
_PPYOLOE = Preprocess('rgb', 'LibreYOLO, models/ppyoloe/utils.py: ImageNet', **IMAGENET, fit='stretch')
_DFINE = Preprocess('rgb', 'LibreYOLO, preprocess/dfine.py: resize, 1/255', fit='stretch')
_RTMDET = Preprocess(
    'bgr', 'LibreYOLO, models/rtmdet/utils.py', scale=1.0, mean=(103.53, 116.28, 123.675),
    std=(57.375, 57.12, 58.395), anchor='top_left',
)  # fmt: skip
_EFFICIENTDET = Preprocess(
    'rgb', 'LibreYOLO, models/efficientdet/utils.py: ImageNet, top left', **IMAGENET, anchor='top_left', pad=124
)
_IN_GRAPH = Preprocess(
    'bgr', 'LibreYOLO, export/deepstream.py: mean and std are in the graph', scale=1.0, anchor='top_left', pad=114
)
_CLASSES = 80


def cases() -> list[FamilyCase]:
    """Every case of this exporter."""
    columns_first = 'output [N, 4 + 80, cells]: x1, y1, x2, y2 in px (not the center), scores'
    rows_first = 'output [N, cells, 4 + 80]: x1, y1, x2, y2 in px, scores'
    candidates = 'output [N, boxes, 6]: x1, y1, x2, y2 in px, score, class; before NMS'
    detr = 'pred_logits [N, queries, 80] before the sigmoid; pred_boxes cx, cy, w, h in 0..1'
    return [
        _case('libreyolo_yolox', 'YOLOX', 'n', 416, _rows_obj, _YOLOX, True,
              'output [N, cells, 5 + 80]: cx, cy, w, h in px, objectness, classes'),
        _case('libreyolo_yolo4', 'YOLO4', 't', 416, _columns_corners, _DARKNET, True, columns_first),
        _case('libreyolo_yolo9', 'YOLO9', 't', 640, _columns_corners, _YOLO9, True, columns_first),
        _case('libreyolo_yolo9_nms', 'YOLO9', 't', 640, _final_rows, _YOLO9, False,
              'output [1, 300, 6]: x1, y1, x2, y2 in px, score, class; raw [1, 84, 8400] before NMS', nms=True),
        _case('libreyolo_yolo9_deepstream', 'YOLO9', 't', 640, _candidates, _YOLO9, True, candidates, deepstream=True),
        _case('libreyolo_yolonas', 'YOLONAS', 's', 640, _swapped, _NAS, True,
              'pred_logits [N, 8400, 4] are the boxes x1, y1, x2, y2 in px, pred_boxes [N, 8400, 80] the scores'),
        _case('libreyolo_picodet', 'PICODET', 's', 320, _rows_corners, _PICODET, True, rows_first),
        _case('libreyolo_ppyoloe', 'PPYOLOE', 's', 640, _two_tensors, _PPYOLOE, True,
              'boxes [N, 8400, 4] x1, y1, x2, y2 in px; scores [N, 8400, 80]'),
        _case('libreyolo_rtmdet', 'RTMDet', 't', 640, _rows_corners, _RTMDET, True, rows_first),
        _case('libreyolo_rtmdet_deepstream', 'RTMDet', 't', 640, _candidates, _IN_GRAPH, True, candidates,
              deepstream=True),
        _case('libreyolo_efficientdet', 'EfficientDet', 'd0', 512, _candidates, _EFFICIENTDET, True, candidates),
        _case('libreyolo_dfine', 'DFINE', 'n', 640, _detr, _DFINE, False, detr),
        _case('libreyolo_dfine_deepstream', 'DFINE', 'n', 640, _candidates, _DFINE, False,
              candidates.replace('; before NMS', ', one row per query'), deepstream=True),
        _case('libreyolo_deimv2', 'DEIMv2', 'atto', 320, _detr, _DFINE, False, detr),
    ]  # fmt: skip


def _case(
    name: str,
    network: str,
    size: str,
    side: int,
    decode: Decode,
    preprocess: Preprocess,
    needs_nms: bool,
    columns: str,
    **export: Any,
) -> FamilyCase:
    def build(folder: Path) -> Path:
        path = folder / f'{name}.onnx'
        _export(network, size, path, export)
        return path

    truth = Truth(columns, preprocess, _CLASSES, needs_nms, decode, (side, side), labels=SHIPPED['coco80'])
    return FamilyCase(name, 'libreyolo', build, truth)


def _export(network: str, size: str, path: Path, export: dict[str, Any]) -> None:
    try:
        import libreyolo
        import torch
    except ImportError as error:
        raise MissingPackageError(f'libreyolo: {error}') from error
    torch.manual_seed(0)
    kind: Callable[..., Any] = getattr(libreyolo, f'Libre{network}')
    model = kind(model_path=None, size=size, nb_classes=_CLASSES, device='cpu')
    _spread(model.model)
    model.export(format='onnx', output_path=str(path), **export)


def _spread(network: Any) -> None:
    """Biases that differ from class to class, sides of boxes above 0, statistics of batch norm."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
        bias = getattr(module, 'bias', None)
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)) and bias is not None:
            if len(bias) % _CLASSES == 0:
                bias.data.normal_(-1, 2)
            elif len(bias) == 4:
                bias.data.uniform_(1, 3)


def _rows_obj(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['output'][0]
    return best(from_center(rows[:, :4]), rows[:, 4:5] * rows[:, 5:])


def _columns_corners(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['output'][0].T
    return best(rows[:, :4], rows[:, 4:])


def _rows_corners(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['output'][0]
    return best(rows[:, :4], rows[:, 4:])


def _final_rows(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['output'][0]
    rows = rows[rows.any(axis=1)]
    return final(rows[:, :4], rows[:, 4], rows[:, 5])


def _candidates(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['output'][0]
    rows = rows[rows[:, 5] >= 0]  # EfficientDet: ids that COCO does not use
    return final(rows[:, :4], rows[:, 4], rows[:, 5])


def _swapped(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    return best(outputs['pred_logits'][0], outputs['pred_boxes'][0])


def _two_tensors(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    return best(outputs['boxes'][0], outputs['scores'][0])


def _detr(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    return best(by_size(from_center(outputs['pred_boxes'][0]), input_wh), sigmoid(outputs['pred_logits'][0]))
