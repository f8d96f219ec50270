# SPDX-License-Identifier: Apache-2.0
"""Which decoders read a single output that holds everything: one row, or one column, per box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.graph_tail import Tail
from isaac_inference.models.recognition.layouts import values
from isaac_inference.models.recognition.layouts.candidate import Candidate, Evidence
from isaac_inference.models.recognition.layouts.grid import STRIDES_P6, strides_of

NANODET_BOX_COLUMNS = 32
"""Four box sides, each a distribution over 8 distances."""
BEST_FIRST = ('x1', 'y1', 'x2', 'y2', 'score', 'class')
"""The columns that most exporters give finished boxes."""
ROTATED = ('cx', 'cy', 'w', 'h', 'score', 'class', 'angle')
"""The columns of ultralytics' finished boxes of the task obb."""

_NANODET_BINS = (32, 44, 64, 68)  # four sides, 8 to 17 distances each
_ANCHORS_PER_CELL = 3
_COCO = 80
_ANCHOR_COUNTS = (9, 6, 5)
_BOX_WIDTHS = (1, 2, 4, 32, 64, 68)
_MOST_QUERIES = 1000
_IMAGE_FIRST = ('image', 'x1', 'y1', 'x2', 'y2', 'class', 'score')
_DETECTION_OUTPUT = ('image', 'class', 'score', 'x1', 'y1', 'x2', 'y2')
_CENTER_FIRST = ('cx', 'cy', 'w', 'h', 'score', 'class')
_AUTOML = ('image', 'y1', 'x1', 'y2', 'x2', 'score', 'class')
_DEFAULT_COLUMNS = {6: BEST_FIRST, 7: _IMAGE_FIRST}


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


def single_output(evidence: Evidence, spec: TensorSpec) -> list[Candidate]:
    """All decoders that fit one output, the likeliest first.

    Args:
        evidence: what is known about the model.
        spec: the output, [N, rows, columns] or [rows, columns].
    """
    fixed = as_run(evidence, spec)
    found = [] if fixed is None else single_output(evidence, fixed)
    if found:
        return [replace(item, roles={'predictions': spec}) for item in found]
    rows, columns = spec.shape[-2:]
    if len(spec.shape) == 4:  # [1, 1, N, 7]: Caffe's DetectionOutput, which OpenVINO kept
        ssd = _finished(evidence, spec, _DETECTION_OUTPUT, 'the seven columns of a DetectionOutput', 'caffe')
        return [replace(ssd, options={**ssd.options, 'normalized': True, 'first_label': 1})]
    if len(spec.shape) == 2:
        return [_finished(evidence, spec, None, f'shape of {spec.name}: boxes of the whole batch')]
    found = _channels_first(evidence, spec, rows, columns)
    if columns is None:
        return found
    if rows is None:
        return found + _open_rows(evidence, spec, columns)
    strides = strides_of(rows, evidence.input_wh)
    per_anchor = strides_of(rows // _ANCHORS_PER_CELL, evidence.input_wh, rare=True)
    if strides is not None:
        return found + _row_per_cell(evidence, spec, columns, strides)
    may_be_queries = rows <= _MOST_QUERIES and not strides_of(rows // _ANCHORS_PER_CELL, evidence.input_wh)
    if rows % _ANCHORS_PER_CELL == 0 and columns > 5 and per_anchor and not may_be_queries:
        return found + _row_per_anchor(evidence, spec, columns, per_anchor)
    if found:
        return found
    return _rows_of_queries(evidence, spec, columns)


def as_run(evidence: Evidence, spec: TensorSpec) -> TensorSpec | None:
    """The output with the sizes that one run gave to its open axes; None where all are known or it cannot be run."""
    if len(spec.shape) != 3 or None not in spec.shape[1:]:
        return None
    array = evidence.values().get(spec.name)
    if array is None or array.ndim != 3 or not array.size:
        return None
    return replace(
        spec,
        shape=(spec.shape[0], *(known or size for known, size in zip(spec.shape[1:], array.shape[1:], strict=True))),
    )


def _channels_first(evidence: Evidence, spec: TensorSpec, rows: int | None, columns: int | None) -> list[Candidate]:
    """YOLOv8's layout: one column per grid cell."""
    if rows is None or rows <= 4:
        return []
    is_grid = columns is None or strides_of(columns, evidence.input_wh)
    if not is_grid and not (columns > rows and _is_rare_grid(columns, evidence.input_wh)):  # type: ignore[operator,arg-type]
        return []
    if evidence.exporter.task == 'obb':
        return [Candidate('yolov8_obb', {'predictions': spec}, 'metadata "task"', {}, rows - 5, 'ultralytics')]
    why = f'shape of {spec.name}: 4 + {rows - 4} rows, one column per grid cell'
    return [Candidate('yolov8', {'predictions': spec}, why, _units(evidence, spec, True), rows - 4)]


def _is_rare_grid(cells: int, input_wh: tuple[int, int]) -> bool:
    """True for heads with a level more or less, and for three anchors per cell."""
    per_anchor = cells % _ANCHORS_PER_CELL == 0 and strides_of(cells // _ANCHORS_PER_CELL, input_wh, rare=True)
    return bool(strides_of(cells, input_wh, rare=True) or per_anchor)


def _units(evidence: Evidence, spec: TensorSpec, channels_first: bool) -> dict[str, object]:
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


def _row_per_cell(evidence: Evidence, spec: TensorSpec, columns: int, strides: tuple[int, ...]) -> list[Candidate]:
    """One row per grid cell: YOLOX raw or decoded, YOLOv6, YOLOv8 with its axes swapped, NanoDet-Plus, DeepStream."""
    cells = f'shape of {spec.name}: one row per cell of strides {", ".join(map(str, strides))}'
    picked = _picked_rows(evidence, spec, columns)
    if picked:
        return picked
    tail = evidence.tail(spec)
    roles = {'predictions': spec}
    bins_columns = _nanodet_columns(evidence, columns)
    nanodet = Candidate(
        'nanodet',
        roles,
        f'{cells}, {columns - bins_columns} + {bins_columns} columns',
        {'strides': strides, 'cell_offset': 0.0 if len(strides) > 3 else 0.5},
        columns - bins_columns,
        'nanodet',
    )
    raw = Candidate('yolox', roles, f'{cells}, 5 + {columns - 5} columns', {'strides': strides}, columns - 5, 'yolox')
    decoded = Candidate(
        'yolov5',
        roles,
        f'{cells}, 5 + {columns - 5} columns in px: decoded in the graph',
        {},
        columns - 5,
        'yolox',
        ('yolox_legacy', 'ultralytics'),
    )
    units = _units(evidence, spec, False)
    swapped = Candidate('yolov8', roles, f'{cells}, 4 + {columns - 4} columns', units, columns - 4, 'ultralytics')
    with_ones = Candidate(
        'yolov5',
        roles,
        f'{cells}, 5 + {columns - 5} columns in px, as YOLOv6 has',
        {},
        columns - 5,
        'ultralytics',
        ('yolox',),
    )
    if tail.is_known:
        widths = set(tail.widths)
        is_distribution = columns > NANODET_BOX_COLUMNS and not tail.is_computed
        if is_distribution and (columns in widths or {columns - bins_columns, bins_columns} <= widths):
            return [nanodet]
        if columns > 5 and {1, 4, columns - 5} <= widths:
            return [decoded if tail.is_computed else raw]
        if columns > 4 and columns - 4 in widths and columns - 5 not in widths:
            return [swapped]
        if columns > 5 and columns - 5 in widths and tail.is_computed:
            return [with_ones]
    return _by_columns(evidence, spec, columns, strides, nanodet, raw, decoded, swapped)


def _nanodet_columns(evidence: Evidence, columns: int) -> int:
    """How many columns hold the distributions of the four sides: the rest of the known classes, else NanoDet's own."""
    labels = evidence.label_count
    if labels is not None and columns > labels and (columns - labels) % 4 == 0:
        return columns - labels
    return next((bins for bins in _NANODET_BINS if columns - bins == _COCO), NANODET_BOX_COLUMNS)


def _by_columns(
    evidence: Evidence,
    spec: TensorSpec,
    columns: int,
    strides: tuple[int, ...],
    nanodet: Candidate,
    raw: Candidate,
    decoded: Candidate,
    swapped: Candidate,
) -> list[Candidate]:
    """The decoders for one row per cell where the graph does not tell them apart: by columns, labels and numbers."""
    labels = evidence.label_count
    if columns == 4 + (labels or _COCO) and columns != 5 + (labels or -1):
        return [swapped]
    found = []
    if strides == STRIDES_P6 and columns > NANODET_BOX_COLUMNS:
        found.append(nanodet)
    if columns > 5 and (not found or columns == 5 + _COCO):
        numbers = evidence.numbers(spec, columns)
        in_px = numbers is not None and values.are_in_px(numbers[:, :2])
        found.append(decoded if in_px or evidence.tail(spec).is_computed else raw)
    return found or ([swapped] if columns == 5 else [])


def _row_per_anchor(evidence: Evidence, spec: TensorSpec, columns: int, strides: tuple[int, ...]) -> list[Candidate]:
    """Three rows per grid cell: YOLOv5, v7 and v3."""
    picked = _picked_rows(evidence, spec, columns)
    if picked:
        return picked
    levels = '' if len(strides) == 3 else f' of strides {", ".join(map(str, strides))}'
    why = f'shape of {spec.name}: three rows per grid cell{levels}, 5 + {columns - 5} columns'
    numbers = evidence.numbers(spec, columns) if not evidence.tail(spec).is_known else None
    options = {'normalized': True} if numbers is not None and values.are_normalized(numbers[:, :4]) else {}
    return [Candidate('yolov5', {'predictions': spec}, why, options, columns - 5)]


def _picked_rows(evidence: Evidence, spec: TensorSpec, columns: int) -> list[Candidate]:
    """One row per cell with the best class picked in the graph, before NMS, as DeepStream-Yolo exports it."""
    if columns != len(BEST_FIRST) or evidence.exporter.decoders:
        return []
    tail = evidence.tail(spec)
    if tail.is_known and not tail.picks and not tail.ops & {'ReduceMax', 'Max'}:
        return []
    numbers = evidence.numbers(spec, columns)
    if not tail.is_known and (numbers is None or not values.is_class_column(numbers[:, 5]) or not numbers[:, 5].any()):
        return []
    found = None if numbers is None else values.columns_of(numbers)
    why = f'{spec.name}: one row per grid cell, with the best class picked in the graph'
    options = {'columns': found or BEST_FIRST, 'nms': True}
    count = classes_by_width(tail)
    return [Candidate('end_to_end', {'predictions': spec}, why, options, count, 'ultralytics')]


def _rows_of_queries(evidence: Evidence, spec: TensorSpec, columns: int) -> list[Candidate]:
    """Rows that are no grid: finished boxes, or a transformer's queries with a score for each class."""
    labels = evidence.label_count
    tail = evidence.tail(spec)
    is_detr = 'detr' in evidence.exporter.description
    per_class = columns - 4
    if columns not in _DEFAULT_COLUMNS or (is_detr and labels == per_class and not _has_class_column(evidence, spec)):
        by_labels = labels == per_class or (labels is None and per_class in (_COCO, 91)) or is_detr
        if columns > 4 and (by_labels or per_class in tail.widths):
            why = f'shape of {spec.name}: one row per query, 4 + {per_class} columns'
            options = {'normalized': True, 'nms': False}
            numbers = evidence.numbers(spec, columns)
            if numbers is not None and values.are_normalized(numbers[:, :4]) is False:
                options['normalized'] = False
            return [Candidate('yolov8', {'predictions': spec}, why, options, per_class, 'rt_detr')]
        return []
    return [_finished(evidence, spec, None, f'shape of {spec.name}: {columns} columns, rows that are not a grid')]


def _has_class_column(evidence: Evidence, spec: TensorSpec) -> bool:
    """True when the last of six columns holds class ids."""
    numbers = evidence.numbers(spec, 6)
    return numbers is not None and values.is_class_column(numbers[:, 5])


def _finished(
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
    if columns is None and not evidence.exporter.decoders and numbers is not None and width in _DEFAULT_COLUMNS:
        columns = values.columns_of(numbers)
    columns = columns or _DEFAULT_COLUMNS.get(width, BEST_FIRST)
    options: dict[str, object] = {'columns': columns, 'first_label': int(columns == _AUTOML)}
    if numbers is not None:
        start = next(index for index, name in enumerate(columns) if name in ('x1', 'y1', 'cx'))
        if values.are_normalized(numbers[:, start : start + 4]):
            options['normalized'] = True
    if is_detr:
        convention = 'rt_detr'
    return Candidate(
        'end_to_end', {'predictions': spec}, why, options, classes_by_width(evidence.tail(spec)), convention
    )


def _open_rows(evidence: Evidence, spec: TensorSpec, columns: int) -> list[Candidate]:
    """Decoders for one row per box with a dynamic number of rows."""
    why = f'columns of {spec.name}'
    roles = {'predictions': spec}
    tail = evidence.tail(spec)
    if columns in _DEFAULT_COLUMNS and tail.picks:
        return [_finished(evidence, spec, None, why)]
    found = []
    if columns > 5:
        found += [
            Candidate('yolox', roles, why, {}, columns - 5),
            Candidate('yolov5', roles, why, {}, columns - 5),
        ]
    if columns in _DEFAULT_COLUMNS:
        found.append(_finished(evidence, spec, None, why))
    if columns > NANODET_BOX_COLUMNS:
        found.append(Candidate('nanodet', roles, why, {}, columns - NANODET_BOX_COLUMNS))
    return found
