# SPDX-License-Identifier: Apache-2.0
"""Which decoders read a single output that holds everything: one row, or one column, per box."""

from __future__ import annotations

from dataclasses import replace

from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.layouts import values
from isaac_inference.models.recognition.layouts.candidate import Candidate, Evidence
from isaac_inference.models.recognition.layouts.cells import NANODET_BOX_COLUMNS, CellRows, picked_rows
from isaac_inference.models.recognition.layouts.grid import strides_of
from isaac_inference.models.recognition.layouts.tables import TABLE_WIDTHS, finished_table, rows_of_queries, units_of

_ANCHORS_PER_CELL = 3
_MOST_QUERIES = 1000
_DETECTION_OUTPUT = ('image', 'class', 'score', 'x1', 'y1', 'x2', 'y2')


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
        ssd = finished_table(evidence, spec, _DETECTION_OUTPUT, 'the seven columns of a DetectionOutput', 'caffe')
        return [replace(ssd, options={**ssd.options, 'normalized': True, 'first_label': 1})]
    if len(spec.shape) == 2:
        return [finished_table(evidence, spec, None, f'shape of {spec.name}: boxes of the whole batch')]
    found = _channels_first(evidence, spec, rows, columns)
    if columns is None:
        return found
    if rows is None:
        return found + _open_rows(evidence, spec, columns)
    strides = strides_of(rows, evidence.input_wh)
    per_anchor = strides_of(rows // _ANCHORS_PER_CELL, evidence.input_wh, rare=True)
    if strides is not None:
        return found + CellRows(evidence, spec, columns, strides).candidates()
    may_be_queries = rows <= _MOST_QUERIES and not strides_of(rows // _ANCHORS_PER_CELL, evidence.input_wh)
    if rows % _ANCHORS_PER_CELL == 0 and columns > 5 and per_anchor and not may_be_queries:
        return found + _row_per_anchor(evidence, spec, columns, per_anchor)
    if found:
        return found
    return rows_of_queries(evidence, spec, columns)


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
    count = rows - 4
    beside = f', before {evidence.left_out} of masks' if evidence.left_out else ''
    why = f'shape of {spec.name}: 4 + {count} rows{beside}, one column per grid cell'
    return [Candidate('yolov8', {'predictions': spec}, why, units_of(evidence, spec, channels_first=True), count)]


def _is_rare_grid(cells: int, input_wh: tuple[int, int]) -> bool:
    """True for heads with a level more or less, and for three anchors per cell."""
    per_anchor = cells % _ANCHORS_PER_CELL == 0 and strides_of(cells // _ANCHORS_PER_CELL, input_wh, rare=True)
    return bool(strides_of(cells, input_wh, rare=True) or per_anchor)


def _row_per_anchor(evidence: Evidence, spec: TensorSpec, columns: int, strides: tuple[int, ...]) -> list[Candidate]:
    """Three rows per grid cell: YOLOv5, v7 and v3."""
    picked = picked_rows(evidence, spec, columns)
    if picked:
        return picked
    levels = '' if len(strides) == 3 else f' of strides {", ".join(map(str, strides))}'
    why = f'shape of {spec.name}: three rows per grid cell{levels}, 5 + {columns - 5} columns'
    numbers = evidence.numbers(spec, columns) if not evidence.tail(spec).is_known else None
    options = {'normalized': True} if numbers is not None and values.are_normalized(numbers[:, :4]) else {}
    return [Candidate('yolov5', {'predictions': spec}, why, options, columns - 5)]


def _open_rows(evidence: Evidence, spec: TensorSpec, columns: int) -> list[Candidate]:
    """Decoders for one row per box with a dynamic number of rows."""
    why = f'columns of {spec.name}'
    roles = {'predictions': spec}
    tail = evidence.tail(spec)
    if columns in TABLE_WIDTHS and tail.picks:
        return [finished_table(evidence, spec, None, why)]
    found = []
    if columns > 5:
        found += [
            Candidate('yolox', roles, why, {}, columns - 5),
            Candidate('yolov5', roles, why, {}, columns - 5),
        ]
    if columns in TABLE_WIDTHS:
        found.append(finished_table(evidence, spec, None, why))
    if columns > NANODET_BOX_COLUMNS:
        found.append(Candidate('nanodet', roles, why, {}, columns - NANODET_BOX_COLUMNS))
    return found
