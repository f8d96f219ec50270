# SPDX-License-Identifier: Apache-2.0
"""RF-DETR by its own exporter: one more column of scores than there are classes."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmark.families.arrays import best, by_size, from_center, sigmoid
from benchmark.families.case import IMAGENET, Decoded, FamilyCase, MissingPackageError, Outputs, Preprocess, Truth

_PREPROCESS = Preprocess(
    'rgb', 'RF-DETR, export/_onnx/inference.py: ImageNet, square resize', **IMAGENET, fit='stretch'
)


def cases() -> list[FamilyCase]:
    """Every case of this exporter."""
    return [_case('rfdetr_nano_c3', 3, 0), _case('rfdetr_nano_coco', 90, 1)]


def _case(name: str, classes: int, first: int) -> FamilyCase:
    """A network for `classes` classes, whose first one is in column `first`."""

    def build(folder: Path) -> Path:
        try:
            import torch
            from rfdetr import RFDETRNano
        except ImportError as error:
            raise MissingPackageError(f'rfdetr: {error}') from error
        torch.manual_seed(0)
        model = RFDETRNano(pretrain_weights=None, num_classes=classes, device='cpu')
        work = folder / f'{name}.build'
        made = model.export(output_dir=str(work))
        shutil.move(str(made), folder / f'{name}.onnx')
        shutil.rmtree(work)
        return folder / f'{name}.onnx'

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        scores = sigmoid(outputs['labels'][0])[:, first : first + classes]
        return best(by_size(from_center(outputs['dets'][0]), input_wh), scores, first_class=first)

    columns = (
        f'dets [1, 300, 4]: cx, cy, w, h in 0..1; labels [1, 300, {classes + 1}] before the sigmoid, column '
        f'{0 if first else classes} belongs to no class'
    )
    truth = Truth(columns, _PREPROCESS, classes, False, decode, (384, 384), first_class=first)
    return FamilyCase(name, 'rfdetr', build, truth)
