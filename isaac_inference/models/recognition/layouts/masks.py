# SPDX-License-Identifier: Apache-2.0
"""Which output the masks of objects are made from, and rows of boxes without the mask coefficients at their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from isaac_inference.models.card.tasks import MaskForm
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.layouts.grid import channel_axis
from isaac_inference.models.recognition.layouts.pose import FINISHED_COLUMNS, GRID_COLUMNS
from isaac_inference.models.recognition.layouts.single import as_run

_PROTOTYPE_STRIDES = (4, 2, 8)  # px of the input for one of the prototypes, the usual one first
_FULL_STRIDES = (1, 2, 4, 8)
_FEWEST_PROTOTYPES = 4  # fewer are classes of a map beside the boxes rather
_LARGEST_CROP = 128  # px of a mask that is stretched over its box


def find_prototypes(evidence: Evidence) -> TensorSpec | None:
    """The prototypes beside one table of boxes with coefficients; None where there are none.

    They are the only output of rank 4, [N, P, rows, columns], beside the only table [N, boxes, columns].
    """
    maps = [spec for spec in evidence.file.outputs if len(spec.shape) == 4]
    tables = [spec for spec in evidence.file.outputs if len(spec.shape) == 3]
    if len(maps) != 1 or len(tables) != 1 or not maps[0].dtype.startswith('float'):
        return None
    count = maps[0].shape[1]
    if count is None or count < _FEWEST_PROTOTYPES or not _is_map(maps[0], evidence.input_wh, _PROTOTYPE_STRIDES):
        return None
    table = as_run(evidence, tables[0]) or tables[0]
    columns = table.shape[_row_axis(evidence, table, count)]
    return maps[0] if columns is None or columns > count + GRID_COLUMNS else None


def find_object_masks(evidence: Evidence, boxes: TensorSpec) -> tuple[MaskForm, TensorSpec] | None:
    """The masks beside finished boxes, one for each of them, and their form; None where there are none.

    Args:
        evidence: what is known about the model.
        boxes: [N, boxes, 4 or 5], or [boxes, 4] without a batch axis.
    """
    rows = boxes.shape[-2]
    fitting = []
    for spec in evidence.file.outputs:
        is_named = 'mask' in spec.name.lower()
        form = None if spec.name == boxes.name else form_of(spec, rows, evidence.input_wh, is_named=is_named)
        if form is not None:
            fitting.append((form, spec))
    if len(fitting) > 1:
        fitting = [item for item in fitting if 'mask' in item[1].name.lower()]
    return fitting[0] if len(fitting) == 1 else None


def form_of(spec: TensorSpec, rows: int | None, wh: tuple[int, int], *, is_named: bool) -> MaskForm | None:
    """How an output has masks for so many boxes; None where it has none.

    Args:
        spec: the output.
        rows: boxes, None where their number is open.
        wh: (width, height) of the input in px.
        is_named: something says that it has masks, so that an open size is enough.
    """
    shape = spec.shape
    if len(shape) == 4 and shape[1] == 1 and _counts(shape[0], rows):
        size = shape[2:]
        if None in size:
            return MaskForm.CROPS if is_named else None
        is_crop = size[0] == size[1] and (size[0] or 0) <= _LARGEST_CROP and size != wh[::-1]
        return MaskForm.CROPS if is_crop else MaskForm.FULL if _is_map(spec, wh, _FULL_STRIDES) else None
    if len(shape) == 4 and shape[0] in (1, None) and _counts(shape[1], rows) and _is_map(spec, wh, _FULL_STRIDES):
        return MaskForm.FULL if is_named or None not in shape[2:] else None
    if len(shape) == 3 and is_named and _counts(shape[0], rows) and shape[1] == shape[2] is not None:
        return MaskForm.CROPS
    return None


def _counts(size: int | None, rows: int | None) -> bool:
    """True where an axis may have as many entries as there are boxes."""
    return size == rows or None in (size, rows)


def _is_map(spec: TensorSpec, wh: tuple[int, int], strides: Sequence[int]) -> bool:
    """True for [..., rows, columns] of the input at one of the strides, or of an open size."""
    size = spec.shape[-2:]
    return size == (None, None) or any(size == (-(-wh[1] // stride), -(-wh[0] // stride)) for stride in strides)


def without_coefficients(evidence: Evidence, channels: int) -> Evidence:
    """The same with rows that end before their mask coefficients, so that they look as a detector's without masks do.

    Args:
        evidence: what is known about the model.
        channels: coefficients at the end of each row.
    """
    tables = [spec for spec in evidence.outputs if len(spec.shape) == 3]
    if len(tables) != 1 or not channels:
        return evidence
    table = as_run(evidence, tables[0]) or tables[0]
    axis = _row_axis(evidence, table, channels)
    size = tables[0].shape[axis] or table.shape[axis]
    if size is None or size <= channels + GRID_COLUMNS:
        return evidence
    shape = tuple(size - channels if place == axis else old for place, old in enumerate(tables[0].shape))
    narrow = replace(tables[0], shape=shape)

    def values() -> Mapping[str, np.ndarray]:
        outputs = dict(evidence.values())
        array = outputs.get(narrow.name)
        if array is not None and array.ndim == 3 and array.shape[axis] == size:
            outputs[narrow.name] = array[:, :-channels] if axis == 1 else array[..., :-channels]
        return outputs

    return replace(evidence, outputs=(narrow,), constants=(), values=values, left_out=channels)


def _row_axis(evidence: Evidence, table: TensorSpec, channels: int) -> int:
    """The axis of a table along which a box's numbers stand: by what must be there, else by the grid's cells."""
    points = 0 if evidence.keypoints is None else evidence.keypoints.values
    needed = {FINISHED_COLUMNS + points + channels}
    if evidence.label_count is not None:
        needed |= {GRID_COLUMNS + more + evidence.label_count + points + channels for more in (0, 1)}
    fitting = [axis for axis in (1, 2) if table.shape[axis] in needed]
    if len(fitting) == 1:
        return fitting[0]
    if table.shape[1] is None and table.shape[2] is not None:
        return 2
    return channel_axis(table, evidence.input_wh)
