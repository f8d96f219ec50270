# SPDX-License-Identifier: Apache-2.0
"""Exports by ultralytics, run as its users run it. Without `weights` a network has the random weights of its start."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.families.arrays import best, by_size, final, from_center
from benchmark.families.case import Decode, Decoded, FamilyCase, MissingPackageError, Outputs, Preprocess, Truth

_LETTERBOX = Preprocess('rgb', 'ultralytics, data/augment.py LetterBox and engine/predictor.py preprocess')
_STRETCH = Preprocess('rgb', 'ultralytics, models/rtdetr/predict.py: LetterBox(scale_fill=True)', fit='stretch')
_MADE_BY = 'ultralytics'
_SPREAD = 2.0  # of the logits of random heads, so that scores differ


def cases() -> list[FamilyCase]:
    """Every case of this exporter."""
    return [
        _grid('yolov3_tiny', 'yolov3-tiny.yaml', note='strides 16 and 32 alone'),
        _grid('yolov5nu', 'yolov5n.yaml', note='the anchor-free head that ultralytics gives YOLOv5'),
        _grid('yolov8n', 'yolov8n.yaml'),
        _grid('yolov8n_c1', 'yolov8n.yaml', classes=1),
        _grid('yolov8n_c2_320', 'yolov8n.yaml', classes=2, imgsz=320),
        _grid('yolov8n_c3_rect', 'yolov8n.yaml', classes=3, imgsz=(384, 640)),
        _grid('yolov8n_c81', 'yolov8n.yaml', classes=81),
        _grid('yolov8n_dynamic', 'yolov8n.yaml', dynamic=True),
        _grid('yolov8n_half', 'yolov8n.yaml', quantize=16, note='float16 inside; input and output stay float32'),
        _grid('yolov8n_p2', 'yolov8n-p2.yaml', imgsz=320, note='strides 4, 8, 16, 32'),
        _grid('yolov8n_p6', 'yolov8n-p6.yaml', note='strides 8, 16, 32, 64'),
        _grid('yolov8n_worldv2', 'yolov8n-worldv2.yaml', classes=80, note='open vocabulary, exported with fixed names'),
        _grid('yolov9t', 'yolov9t.yaml'),
        _grid('yolo11n', 'yolo11n.yaml'),
        _grid('yolo12n', 'yolo12n.yaml'),
        _final('yolov8n_nms', 'yolov8n.yaml', nms=True, conf=0.01),
        _final('yolov10n', 'yolov10n.yaml', nms=False),
        _final('yolov10n_c1', 'yolov10n.yaml', classes=1, nms=False),
        _final('yolo26n', 'yolo26n.yaml', nms=False),
        _final('yolo26n_c2', 'yolo26n.yaml', classes=2, nms=False),
        _grid('yolo26n_one_to_many', 'yolo26n.yaml', nms=None, note='end-to-end model exported without that branch'),
        _grid('yolov8n_seg', 'yolov8n-seg.yaml', extra=32, note='masks are not decoded'),
        _grid('yolov8n_pose', 'yolov8n-pose.yaml', classes=1, extra=51, note='keypoints are not decoded'),
        _grid('yolov8n_obb', 'yolov8n-obb.yaml', classes=15, extra=1, note='boxes without their angle, the last row'),
        _final('yolo26n_seg', 'yolo26n-seg.yaml', extra=32, nms=False, note='masks are not decoded'),
        _final('yolo26n_pose', 'yolo26n-pose.yaml', classes=1, extra=51, nms=False, note='keypoints are not decoded'),
        _final('yolov8n_pose_nms', 'yolov8n-pose.yaml', classes=1, extra=51, nms=True, conf=0.01),
        _rtdetr('ultralytics_rtdetr'),
        *_legacy(),
    ]


def _legacy() -> list[FamilyCase]:
    """The cases whose layout or metadata 8.4 changed."""

    def rtdetr(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs['output0'][0]
        return best(by_size(from_center(rows[:, :4]), input_wh), rows[:, 4:])

    columns = 'output0 [1, 300, 4 + 80]: cx, cy, w, h in 0..1, sigmoid scores'
    old: dict[str, Any] = {'release': '8.3'}
    return [
        _case('ultralytics83_rtdetr', 'rtdetr-l.yaml', 80, columns, rtdetr, False, '', _STRETCH, _narrow, **old),
        _grid('ultralytics83_yolov8n', 'yolov8n.yaml', **old),
        _grid('ultralytics83_yolo11n_c2', 'yolo11n.yaml', classes=2, **old),
        _final('ultralytics83_yolov8n_nms', 'yolov8n.yaml', nms=True, conf=0.01, **old),
        _final('ultralytics83_yolov10n', 'yolov10n.yaml', **old),
    ]


def _grid(name: str, config: str, classes: int = 80, extra: int = 0, note: str = '', **export: Any) -> FamilyCase:
    """A case whose output is [1, 4 + classes + extra, cells]."""
    columns = f'output0 [1, 4 + {classes} + {extra}, cells]: cx, cy, w, h in px, sigmoid scores, {extra} further rows'

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs['output0'][0].astype(np.float32).T
        return best(from_center(rows[:, :4]), rows[:, 4 : 4 + classes])

    return _case(name, config, classes, columns, decode, True, note, **export)


def _final(name: str, config: str, classes: int = 80, extra: int = 0, note: str = '', **export: Any) -> FamilyCase:
    """A case whose output is [1, boxes, 6 + extra]."""
    columns = f'output0 [1, 300, {6 + extra}]: x1, y1, x2, y2 in px, score, class, {extra} more; padded with rows of 0'

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs['output0'][0]
        rows = rows[rows.any(axis=1)]
        return final(rows[:, :4], rows[:, 4], rows[:, 5])

    return _case(name, config, classes, columns, decode, False, note, **export)


def _rtdetr(name: str, classes: int = 80) -> FamilyCase:
    """RT-DETR as ultralytics exports it, with a narrow decoder so that the file is small."""

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        rows = outputs['output0'][0]
        return final(by_size(from_center(rows[:, :4]), input_wh), rows[:, 4], rows[:, 5])

    columns = 'output0 [1, 300, 6]: cx, cy, w, h in 0..1, score, class'
    return _case(name, 'rtdetr-l.yaml', classes, columns, decode, False, '', preprocess=_STRETCH, change=_narrow)


def _narrow(config: dict[str, Any]) -> None:
    """A quarter of the width, and 3 decoder layers of 64 channels."""
    config['scales'] = {'l': [0.5, 0.25, 256]}
    config['head'][-1][3] = ['nc', 64, 300, 4, 4, 3]


def _case(
    name: str,
    config: str,
    classes: int,
    columns: str,
    decode: Decode,
    needs_nms: bool,
    note: str,
    preprocess: Preprocess = _LETTERBOX,
    change: Callable[[dict[str, Any]], None] | None = None,
    release: str = '8.4',
    **export: Any,
) -> FamilyCase:
    """One export of `config` with this many classes, by this release of ultralytics."""
    height, width = imgsz if isinstance(imgsz := export.get('imgsz', 640), tuple) else (imgsz, imgsz)
    labels = tuple(f'thing {index}' for index in range(classes))
    if 'worldv2' in config:
        labels = tuple(str(index) for index in range(classes))  # names are set by hand there
    truth = Truth(columns, preprocess, classes, needs_nms, decode, (width, height), labels)

    def build(folder: Path) -> Path:
        _need(release)
        return _export(folder / f'{name}.onnx', config, labels, change, export)

    return FamilyCase(name, f'{_MADE_BY} {release}', build, truth, note)


def _need(release: str) -> None:
    """Raise `MissingPackageError` unless this release is installed."""
    try:
        from ultralytics import __version__
    except ImportError as error:
        raise MissingPackageError(f'ultralytics: {error}') from error
    if not __version__.startswith(f'{release}.'):
        raise MissingPackageError(f'ultralytics {release} in an environment of its own; {__version__} is installed')


def _export(
    path: Path,
    config: str,
    labels: tuple[str, ...],
    change: Callable[[dict[str, Any]], None] | None,
    export: dict[str, Any],
) -> Path:
    """Build the network from its YAML, spread its scores, export, and move the file to `path`."""
    import torch
    from ultralytics import RTDETR, YOLO
    from ultralytics.nn.tasks import yaml_model_load

    torch.manual_seed(0)
    content = copy.deepcopy(yaml_model_load(config))
    content['nc'] = len(labels)
    if change:
        change(content)
    folder = path.parent / f'{path.stem}.build'
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / config
    source.write_text(_yaml(content))
    network = (RTDETR if 'rtdetr' in config else YOLO)(str(source))
    network.model.names = dict(enumerate(labels))
    _spread(network.model)
    made = network.export(format='onnx', **export)
    shutil.move(made, path)
    shutil.rmtree(folder)
    return path


def _yaml(content: dict[str, Any]) -> str:
    """The network's description as YAML."""
    import yaml

    return str(yaml.safe_dump({key: value for key, value in content.items() if key != 'yaml_file'}, sort_keys=False))


def _spread(network: Any) -> None:
    """Give every batch norm statistics and the last convolutions of a head biases that are not all equal."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    head = network.model[-1]
    for module in head.modules():
        if isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            module.bias.data.normal_(-2, _SPREAD)
    if getattr(head, 'reg_max', 0) == 1:  # sides of boxes as they are, not bins: a trained network's are above 0
        for branch in (head.cv2, getattr(head, 'one2one_cv2', None)):
            for level in branch or ():
                level[-1].bias.data.uniform_(3, 6)
