# SPDX-License-Identifier: Apache-2.0
"""Tables of boxes in rows that are no grid: finished boxes, or a transformer's queries; and what their numbers say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.graph_tail import Tail
from isaac_inference.models.recognition.layouts import values
from isaac_inference.models.recognition.layouts.candidate import Candidate, Evidence

BEST_FIRST = ('x1', 'y1', 'x2', 'y2', 'score', 'class')
"""The columns that most exporters give finished boxes."""
ROTATED = ('cx', 'cy', 'w', 'h', 'score', 'class', 'angle')
"""The columns of ultralytics' finished boxes of the task obb."""

_COCO = 80
_ANCHORS_PER_CELL = 3
_ANCHOR_COUNTS = (9, 6, 5)
_BOX_WIDTHS = (1, 2, 4, 32, 64, 68)
_IMAGE_FIRST = ('image', 'x1', 'y1', 'x2', 'y2', 'class', 'score')
_FLAT = ('image', 'x1', 'y1', 'x2', 'y2', 'score', 'class')
_CENTER_FIRST = ('cx', 'cy', 'w', 'h', 'score', 'class')
_AUTOML = ('image', 'y1', 'x1', 'y2', 'x2', 'score', 'class')
_MULTIPOSE = (6, 56)
_USUAL = {6: BEST_FIRST, 7: _IMAGE_FIRST}
TABLE_WIDTHS = tuple(_USUAL)
"""How many columns a table of finished boxes usually has."""


def classes_by_width(tail: Tail) -> int | None:
    """How many classes the last layers behind an output score; None where they do not show it.

    A head ends in one layer for the boxes, of 4 channels or as many distributions, and one for the classes; or in one
    layer for three anchors with box, objectness and classes each.

    Args:
        tail: of the output.
    """
    rest = [width for width in tail.widths if width not in _BOX_WIDTHS]
    pairs = [width for width in rest if 4 * width in rest]
    if len(pairs) == 1:  # a box for each class, and the background among them
        return pairs[0]
    anchors = next((count for count in _ANCHOR_COUNTS if 4 * count in tail.widths), None)
    multiples = [width for width in rest if anchors and width % anchors == 0 and width != 4 * anchors]
    if anchors and len(multiples) == 1 and multiples[0] // anchors > 1:
        return multiples[0] // anchors
    if len(rest) != 1:
        return None
    (width,) = rest
    if len(tail.widths) == 1 and width % _ANCHORS_PER_CELL == 0 and width > 5 * _ANCHORS_PER_CELL:
        return width // _ANCHORS_PER_CELL - 5
    return width


def units_of(evidence: Evidence, spec: TensorSpec, *, channels_first: bool) -> dict[str, object]:
    """Whether boxes of unknown origin are corners, and in fractions, by the numbers of a run."""
    if evidence.exporter.is_ultralytics:
        return {}
    array = evidence.values().get(spec.name)
    if array is None or array.ndim != 3 or min(array.shape[1:]) < 4:
        return {}
    boxes = np.asarray(array[0, :4].T if channels_first else array[0, :, :4], np.float32)
    found: dict[str, object] = {}
    if values.box_format_of(boxes) == 'xyxy':
        found['box_format'] = 'xyxy'
    if values.are_normalized(boxes):
        found['normalized'] = True
    return found


def rows_of_queries(evidence: Evidence, spec: TensorSpec, columns: int) -> list[Candidate]:
    """Rows that are no grid: finished boxes, or a transformer's queries with a score for each class."""
    labels = evidence.label_count
    tail = evidence.tail(spec)
    is_detr = 'detr' in evidence.exporter.description
    per_class = columns - 4
    if columns not in _USUAL or (is_detr and labels == per_class and not _has_class_column(evidence, spec)):
        by_labels = labels == per_class or (labels is None and per_class in (_COCO, 91)) or is_detr
        if columns > 4 and (by_labels or per_class in tail.widths):
            why = f'shape of {spec.name}: one row per query, 4 + {per_class} columns'
            options = {'normalized': True, 'nms': False}
            numbers = evidence.numbers(spec, columns)
            if numbers is not None and values.are_normalized(numbers[:, :4]) is False:
                options['normalized'] = False
            return [Candidate('yolov8', {'predictions': spec}, why, options, per_class, 'rt_detr')]
        return []
    return [finished_table(evidence, spec, None, f'shape of {spec.name}: {columns} columns, rows that are not a grid')]


def _has_class_column(evidence: Evidence, spec: TensorSpec) -> bool:
    """True when the last of six columns holds class ids."""
    numbers = evidence.numbers(spec, 6)
    return numbers is not None and values.is_class_column(numbers[:, 5])


def finished_table(
    evidence: Evidence, spec: TensorSpec, columns: tuple[str, ...] | None, why: str, convention: str = ''
) -> Candidate:
    """A table of finished boxes; which column is which by the numbers of a run, else as most exporters have it."""
    width = spec.shape[-1] or 6
    numbers = evidence.numbers(spec, width)
    is_detr = 'detr' in evidence.exporter.description
    if columns is None and width == len(_AUTOML) and 'image_arrays' in evidence.file.inputs[0].name:
        columns, convention = _AUTOML, 'tensorflow'
    if columns is None and is_detr and width == len(_CENTER_FIRST):
        columns = _CENTER_FIRST
    if columns is None and evidence.exporter.task == 'obb' and width == len(ROTATED):
        columns = ROTATED
    if columns is None and not evidence.exporter.decoders and numbers is not None and width in _USUAL:
        columns = values.columns_of(numbers)
    if columns is None and 'flat_predictions' in spec.name:  # super-gradients
        columns = _FLAT
    notes: tuple[str, ...] = ()
    if columns is None and width == len(_FLAT):
        notes = (
            f'the order of the columns of {spec.name} is taken to be {", ".join(_IMAGE_FIRST)}, as YOLOv7 has; for '
            f'score before class set `decoder_options: {{columns: [{", ".join(_FLAT)}]}}`',
        )
    columns = columns or _USUAL.get(width, BEST_FIRST)
    options: dict[str, object] = {'columns': columns, 'first_label': int(columns == _AUTOML)}
    if numbers is not None:
        start = next(index for index, name in enumerate(columns) if name in ('x1', 'y1', 'cx'))
        if values.are_normalized(numbers[:, start : start + 4]):
            options['normalized'] = True
    if is_detr:
        convention = 'rt_detr'
    count = classes_by_width(evidence.tail(spec))
    return Candidate('end_to_end', {'predictions': spec}, why, options, count, convention, notes=notes)


def is_multipose(outputs: Sequence[TensorSpec]) -> bool:
    """True for the outputs of MoveNet for several people: rows of 17 keypoints, a box and its score."""
    return len(outputs) == 1 and outputs[0].shape[1:] == _MULTIPOSE and outputs[0].dtype.startswith('float')
