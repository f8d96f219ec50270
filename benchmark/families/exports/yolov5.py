# SPDX-License-Identifier: Apache-2.0
"""YOLOv5 by its own exporter, as the package yolov5 has it: three anchors per cell, objectness, names as metadata."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from benchmark.families.arrays import best, from_center
from benchmark.families.case import Decoded, FamilyCase, MissingPackageError, Outputs, Preprocess, Truth

_PREPROCESS = Preprocess('rgb', 'YOLOv5, utils/augmentations.py letterbox and detect.py')


def cases() -> list[FamilyCase]:
    """Every case of this exporter."""
    return [_case('yolov5n_export', 80), _case('yolov5n_export_c3', 3), _case('yolov5n_export_dynamic', 80, True)]


def _case(name: str, classes: int, dynamic: bool = False) -> FamilyCase:
    labels = tuple(f'thing {index}' for index in range(classes))

    def build(folder: Path) -> Path:
        path = folder / f'{name}.onnx'
        _export(path, labels, dynamic)
        return path

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs['output0'][0].astype(np.float32)
        return best(from_center(rows[:, :4]), rows[:, 4:5] * rows[:, 5:])

    columns = f'output0 [1, 25200, 5 + {classes}]: cx, cy, w, h in px, objectness and classes after sigmoid'
    truth = Truth(columns, _PREPROCESS, classes, True, decode, labels=labels)
    return FamilyCase(name, 'yolov5', build, truth)


def _export(path: Path, labels: tuple[str, ...], dynamic: bool) -> None:
    os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '1'  # the exporter reads a pickled network, which is ours
    try:
        import torch
        import yolov5
        from yolov5 import export
        from yolov5.models.yolo import Model
    except ImportError as error:
        raise MissingPackageError(f'yolov5: {error}') from error
    torch.manual_seed(0)
    config = Path(yolov5.__file__).parent / 'models' / 'yolov5n.yaml'
    network = Model(str(config), nc=len(labels))
    network.names = dict(enumerate(labels))
    for level in network.model[-1].m:
        level.bias.data.normal_(0, 1.5)
    work = path.parent / f'{path.stem}.build'
    work.mkdir(parents=True, exist_ok=True)
    torch.save({'model': network, 'ema': None, 'epoch': -1}, work / 'network.pt')
    export.run(weights=str(work / 'network.pt'), include=('onnx',), device='cpu', imgsz=(640, 640), dynamic=dynamic)
    shutil.move(work / 'network.onnx', path)
    shutil.rmtree(work)
