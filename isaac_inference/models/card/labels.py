# SPDX-License-Identifier: Apache-2.0
"""Class names: the shipped lists, label files, and the checks that every list passes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.card.shipped_labels.segmentation import SEGMENTATION_LABELS

# fmt: off
COCO_80 = (
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat',
    'traffic light', 'fire hydrant', 'stop sign', 'parking meter', 'bench', 'bird', 'cat', 'dog',
    'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe', 'backpack', 'umbrella', 'handbag',
    'tie', 'suitcase', 'frisbee', 'skis', 'snowboard', 'sports ball', 'kite', 'baseball bat',
    'baseball glove', 'skateboard', 'surfboard', 'tennis racket', 'bottle', 'wine glass', 'cup', 'fork',
    'knife', 'spoon', 'bowl', 'banana', 'apple', 'sandwich', 'orange', 'broccoli', 'carrot', 'hot dog',
    'pizza', 'donut', 'cake', 'chair', 'couch', 'potted plant', 'bed', 'dining table', 'toilet', 'tv',
    'laptop', 'mouse', 'remote', 'keyboard', 'cell phone', 'microwave', 'oven', 'toaster', 'sink',
    'refrigerator', 'book', 'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush')
# fmt: on

_COCO_UNUSED_IDS = frozenset({0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83})


def _coco_91() -> tuple[str, ...]:
    """COCO's category ids 0 to 90; the ids without a category are named `unused_<id>`."""
    names = iter(COCO_80)
    return tuple(f'unused_{index}' if index in _COCO_UNUSED_IDS else next(names) for index in range(91))


OF_DETECTORS: Mapping[str, tuple[str, ...]] = {'coco80': COCO_80, 'coco90': _coco_91()[1:], 'coco91': _coco_91()}
"""COCO's 80 classes; its category ids 1 to 90, as TensorFlow counts them; and 0 to 90, as DETR does."""

SHIPPED: Mapping[str, tuple[str, ...]] = {**OF_DETECTORS, **SEGMENTATION_LABELS}
"""Every list that a card may name."""


def labels_from(value: Any, origin: str, folder: Path | None) -> tuple[str, ...]:
    """The class names that a card or an exporter's metadata gives.

    Args:
        value: a list of names, a mapping from class number to name, the name of a shipped list ('coco80',
            'coco90', 'coco91'), or the path of a text file with one name per line, relative to `folder`.
        origin: where they come from, for messages.
        folder: the card's folder; None if a path makes no sense.

    Raises:
        ModelError: no names, a name that is empty or not text, a duplicate name, numbers with gaps, or a missing
            file.
    """
    if isinstance(value, str):
        if value in SHIPPED:
            return SHIPPED[value]
        return _read_label_file(value, origin, folder)
    if isinstance(value, Mapping):
        if sorted(value, key=str) != sorted(range(len(value)), key=str):
            raise ModelError(
                f'{origin}: labels: the class numbers are {sorted(value, key=str)[:8]}..., expected '
                f'0 to {len(value) - 1} without gaps'
            )
        value = [value[index] for index in range(len(value))]
    if not isinstance(value, (list, tuple)):
        raise ModelError(
            f'{origin}: labels: got {value!r}, expected a list of names, the path of a text file with one '
            f'name per line, or one of {", ".join(SHIPPED)}'
        )
    return _checked(value, origin)


def _read_label_file(value: str, origin: str, folder: Path | None) -> tuple[str, ...]:
    """Names from a text file, one per line; empty lines at the end are ignored."""
    if folder is None:
        raise ModelError(
            f'{origin}: labels: got {value!r}, expected a list of names or one of {", ".join(SHIPPED)}; '
            'a file can only be named by a card that is a file itself'
        )
    path = label_file(value, folder)
    try:
        lines = path.read_text(encoding='utf-8').rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f'{origin}: labels: {path} cannot be read as text ({error}); expected a file with one name '
            f'per line, a list of names, or one of {", ".join(SHIPPED)}'
        ) from error
    return _checked([line.strip() for line in lines], f'{origin}: {path.name}')


def label_file(value: str, folder: Path) -> Path:
    """Where the label file that a card in `folder` names is."""
    return (folder / Path(value).expanduser()).absolute()


def _checked(names: list[Any] | tuple[Any, ...], origin: str) -> tuple[str, ...]:
    """The names, checked to be non-empty, distinct texts."""
    if not names:
        raise ModelError(f'{origin}: labels: the list is empty; expected one name per class')
    for index, name in enumerate(names):
        if not isinstance(name, str):
            raise ModelError(
                f'{origin}: labels: class {index} is {name!r}, which YAML reads as '
                f'{type(name).__name__}; put the name in quotes'
            )
        if not name.strip():
            raise ModelError(f'{origin}: labels: class {index} has an empty name; expected one name per class')
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        first = seen.setdefault(name, index)
        if first != index:
            raise ModelError(
                f'{origin}: labels: {name!r} names class {first} and class {index}; names must differ, '
                'because detections are distinguished by them'
            )
    return tuple(names)
