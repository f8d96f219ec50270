# SPDX-License-Identifier: Apache-2.0
"""What exporters write into an ONNX file's metadata: task, class names, image size, stride."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_TASKS = {'detect': 'detection', 'pose': 'keypoints', 'segment': 'instance_segmentation'}
_NAME_KEYS = ('names', 'class_names', 'labels', 'classes', 'id2label', 'character')
_FAMILY_KEYS = ('model_family', 'family', 'architecture', 'model_type')
_MOST_NAMES = 100_000


@dataclass(frozen=True)
class ExporterFacts:
    """What an exporter says about its model; None or False where it says nothing.

    Attributes:
        task: 'detection', 'keypoints', 'instance_segmentation', 'obb', or the exporter's own word for a task that is
            not supported.
        names: class number -> name, as far as they can be used; None where the metadata has none.
        names_key: the metadata key that has them.
        input_wh: (width, height) in px that the model was exported for.
        stride: px; a dynamic width and height must be multiples of it.
        end_to_end: True if the output boxes are final and need no NMS.
        keypoint_shape: (keypoints per box, values per keypoint: 2 or 3) of a pose model.
        decoders: the decoders that this exporter's detectors need, () if the exporter is unknown.
        description: the exporter's own text about the model, in lower case.
        family: what the exporter calls the network, '' where it does not say.
        notes: what of the metadata could not be used as it is.
    """

    task: str | None = None
    names: Mapping[int, str] | None = None
    names_key: str = ''
    input_wh: tuple[int, int] | None = None
    stride: int | None = None
    end_to_end: bool = False
    keypoint_shape: tuple[int, int] | None = None
    decoders: tuple[str, ...] = ()
    description: str = ''
    family: str = ''
    notes: tuple[str, ...] = field(default=())

    @property
    def is_ultralytics(self) -> bool:
        """True for an export of ultralytics, whose detectors are prepared for alike."""
        return bool(self.decoders)


def exporter_facts(metadata: Mapping[str, str]) -> ExporterFacts:
    """Read the metadata of an ONNX file. What cannot be used becomes a note: a card may still say it."""
    task = metadata.get('task')
    is_ultralytics = metadata.get('author') == 'Ultralytics' or 'Ultralytics' in metadata.get('description', '')
    decoders: tuple[str, ...] = ()
    if is_ultralytics:
        decoders = ('yolov8', 'end_to_end')
    elif 'names' in metadata and 'stride' in metadata and task is None:
        decoders = ('yolov5',)
    options = _literal(metadata.get('args', ''))
    with_nms = bool(options.get('nms')) if isinstance(options, dict) else False
    key = next((key for key in _NAME_KEYS if metadata.get(key, '').strip()), '')
    names, notes = _names(key, metadata[key]) if key else (None, ())
    return ExporterFacts(
        task=_TASKS.get(task, task) if task is not None and 'names' in metadata else None,
        names=names,
        names_key=key,
        input_wh=_input_wh(_literal(metadata.get('imgsz', ''))) if 'names' in metadata else None,
        stride=_stride(_literal(metadata.get('stride', ''))) if 'names' in metadata else None,
        end_to_end=with_nms or _literal(metadata.get('end2end', '')) in (True, 'true'),
        keypoint_shape=_keypoint_shape(_literal(metadata.get('kpt_shape', ''))),
        decoders=decoders,
        description=metadata.get('description', '').lower(),
        family=next((metadata[key] for key in _FAMILY_KEYS if key in metadata), ''),
        notes=notes,
    )


def _names(key: str, content: str) -> tuple[Mapping[int, str] | None, tuple[str, ...]]:
    """Class number -> name from the exporter's text, with what is only cosmetic mended; and notes on that."""
    origin = f'metadata "{key}"'
    given = _literal(content)
    if isinstance(given, str):
        given = [line.strip() for line in content.strip().replace(',', '\n').splitlines()] if key != 'names' else given
    if isinstance(given, (list, tuple)):
        given = dict(enumerate(given))
    if isinstance(given, dict) and given and len(given) < _MOST_NAMES:
        numbered = {_index(number): name for number, name in given.items()}
        if all(type(number) is int and 0 <= number < _MOST_NAMES for number in numbered):
            return _mended(numbered, origin)
    note = f'{origin} is {content[:60]!r}, which is no list or mapping of class names; it is ignored'
    return None, (note,)


def _mended(numbered: Mapping[int, Any], origin: str) -> tuple[Mapping[int, str], tuple[str, ...]]:
    """The names as distinct texts; and a note that names each one that was not."""
    names: dict[int, str] = {}
    changed = []
    for number in sorted(numbered):
        given = numbered[number]
        text = given.strip() if isinstance(given, str) else '' if given is None else str(given)
        name, count = text or f'class_{number}', 1
        while name in names.values():
            count += 1
            name = f'{text}_{count}'
        names[number] = name
        if name != given:
            changed.append(f'class {number} is {given!r}, called {name} here')
    if not changed:
        return names, ()
    shown = '; '.join(changed[:4]) + (f'; and {len(changed) - 4} more' if len(changed) > 4 else '')
    return names, (f'{origin}: {shown}. `labels: [...]` in a card names the classes otherwise',)


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
