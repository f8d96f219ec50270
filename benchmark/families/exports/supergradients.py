# SPDX-License-Identifier: Apache-2.0
"""YOLO-NAS by super-gradients: raw, and with preprocessing and NMS in the graph in its two formats."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmark.families.arrays import best, final
from benchmark.families.case import Decode, Decoded, FamilyCase, MissingPackageError, Outputs, Preprocess, Truth

_RAW = Preprocess('rgb', 'super-gradients, default_yolo_nas_coco_processing_params: long side 636, centred, 114')
_IN_GRAPH = Preprocess('rgb', 'super-gradients, export(): the graph scales by 1/255', scale=1.0)


def cases() -> list[FamilyCase]:
    """Every case of this exporter."""
    return [
        _case('supergradients_yolo_nas_raw', None, _raw, _RAW, True,
              'two outputs without names: boxes [1, 8400, 4] x1, y1, x2, y2 in px; sigmoid scores [1, 8400, 80]'),
        _case('supergradients_yolo_nas_flat', 'FLAT_FORMAT', _flat, _IN_GRAPH, False,
              'graph2_flat_predictions [boxes, 7]: image of the batch, x1, y1, x2, y2 in px, score, class'),
        _case('supergradients_yolo_nas_batch', 'BATCH_FORMAT', _batch, _IN_GRAPH, False,
              'graph2_num_predictions [1, 1], pred_boxes [1, N, 4]: x1, y1, x2, y2 in px, pred_scores, pred_classes'),
    ]  # fmt: skip


def _case(
    name: str, output_format: str | None, decode: Decode, preprocess: Preprocess, needs_nms: bool, columns: str
) -> FamilyCase:
    def build(folder: Path) -> Path:
        path = folder / f'{name}.onnx'
        _export(path, output_format)
        return path

    return FamilyCase(name, 'super-gradients', build, Truth(columns, preprocess, 80, needs_nms, decode))


def _raw(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    boxes, scores = sorted(outputs.values(), key=lambda array: array.shape[-1])
    return best(boxes[0], scores[0])


def _flat(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = outputs['graph2_flat_predictions']
    return final(rows[:, 1:5], rows[:, 5], rows[:, 6])


def _batch(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    rows = int(outputs['graph2_num_predictions'][0, 0])
    kinds = ('boxes', 'scores', 'classes')
    return final(*(outputs[f'graph2_pred_{kind}'][0, :rows] for kind in kinds))


def _export(path: Path, output_format: str | None) -> None:
    os.environ.setdefault('CRASH_HANDLER', 'FALSE')
    try:
        import torch
        from super_gradients.conversion import DetectionOutputFormatMode, ExportTargetBackend
        from super_gradients.training import models
        from super_gradients.training.processing.processing import default_yolo_nas_coco_processing_params
    except ImportError as error:
        raise MissingPackageError(f'super-gradients: {error}') from error
    torch.manual_seed(0)
    model = models.get('yolo_nas_s', num_classes=80, pretrained_weights=None)
    model.set_dataset_processing_params(**default_yolo_nas_coco_processing_params())
    settings: dict[str, Any] = {'postprocessing': False, 'preprocessing': False}
    if output_format:
        settings = {
            'output_predictions_format': DetectionOutputFormatMode[output_format],
            'confidence_threshold': 0.001,
        }
    model.export(str(path), input_image_shape=(640, 640), engine=ExportTargetBackend.ONNXRUNTIME, **settings)
