# SPDX-License-Identifier: Apache-2.0
"""What ultralytics and YOLOv5 write into an ONNX file's metadata: task, class names, image size, stride."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.card.labels import labels_from

_TASKS = {'detect': 'detection', 'pose': 'keypoints'}


@dataclass(frozen=True)
class ExporterFacts:
    """What an exporter says about its model; None or False where it says nothing.

    Attributes:
        task: 'detection', 'keypoints', or the exporter's own word for a task that is not supported.
        labels: class names.
        input_wh: (width, height) in px that the model was exported for.
        stride: px; a dynamic width and height must be multiples of it.
        end_to_end: True if the output boxes are final and need no NMS.
        keypoint_shape: (keypoints per box, values per keypoint: 2 or 3) of a pose model.
        decoders: the decoders that this exporter's detectors need, () if the exporter is unknown.
    """

    task: str | None = None
    labels: tuple[str, ...] | None = None
    input_wh: tuple[int, int] | None = None
    stride: int | None = None
    end_to_end: bool = False
    keypoint_shape: tuple[int, int] | None = None
    decoders: tuple[str, ...] = ()


def exporter_facts(path: Path, metadata: Mapping[str, str]) -> ExporterFacts:
    """Read the metadata of an ONNX file; raises ModelError for class names that can't be used."""
    if 'names' not in metadata:
        return ExporterFacts()
    origin = f'{path.name}: metadata "names"'
    names = _literal(metadata['names'])
    if not isinstance(names, (dict, list, tuple)):
        raise ModelError(
            f'{origin}: got {metadata["names"][:60]!r}, expected a list or a mapping of class names; '
            'export the model again, or remove that metadata and give `labels:` in a card'
        )
    if isinstance(names, dict):
        names = {_index(key): name for key, name in names.items()}
    options = _literal(metadata.get('args', ''))
    with_nms = bool(options.get('nms')) if isinstance(options, dict) else False
    task = metadata.get('task')
    decoders: tuple[str, ...] = ()
    if metadata.get('author') == 'Ultralytics' or task is not None:
        decoders = ('yolov8', 'end_to_end')
    elif 'stride' in metadata:
        decoders = ('yolov5',)
    return ExporterFacts(
        task=_TASKS.get(task, task) if task is not None else None,
        labels=labels_from(names, origin, None),
        input_wh=_input_wh(_literal(metadata.get('imgsz', ''))),
        stride=_stride(_literal(metadata.get('stride', ''))),
        end_to_end=with_nms or _literal(metadata.get('end2end', '')) in (True, 'true'),
        keypoint_shape=_keypoint_shape(_literal(metadata.get('kpt_shape', ''))),
        decoders=decoders,
    )


def _literal(content: str) -> Any:
    """The value of a Python or JSON literal; the text itself if it is neither."""
    for parse in (ast.literal_eval, json.loads):
        try:
            return parse(content)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return content


def _index(key: Any) -> Any:
    """A class number; JSON can only write it as text."""
    return int(key) if isinstance(key, str) and key.isdigit() else key


def _input_wh(imgsz: Any) -> tuple[int, int] | None:
    """(width, height) from ultralytics' `imgsz`: [height, width], or one number for both."""
    if type(imgsz) is int:
        imgsz = [imgsz, imgsz]
    if isinstance(imgsz, (list, tuple)) and len(imgsz) == 2 and all(type(size) is int and size > 0 for size in imgsz):
        return (imgsz[1], imgsz[0])
    return None


def _keypoint_shape(value: Any) -> tuple[int, int] | None:
    """(count, dims) from ultralytics' `kpt_shape`, such as [17, 3]."""
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(type(item) is int for item in value):
        return None
    return (value[0], value[1]) if value[0] > 0 and value[1] in (2, 3) else None


def _stride(value: Any) -> int | None:
    """The largest stride in px."""
    return value if type(value) is int and value > 0 else None
