# SPDX-License-Identifier: Apache-2.0
"""Which decoders a single prediction tensor may belong to, by comparing its rows with the grid's cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.models.card.tensor_spec import TensorSpec

STRIDES = (8, 16, 32)
STRIDES_P6 = (8, 16, 32, 64)
_USUAL = (STRIDES, STRIDES_P6)
_RARE = ((4, 8, 16, 32), (16, 32), (8, 16), (8,), (16,), (32,))
NANODET_BOX_COLUMNS = 32
"""Four box sides, each a distribution over 8 distances."""

_ANCHORS_PER_CELL = 3


@dataclass(frozen=True)
class Guess:
    """A decoder that the shape allows; `class_count` is None if it does not follow from the shape."""

    decoder: str
    class_count: int | None
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)


def grid_guesses(spec: TensorSpec, input_wh: tuple[int, int]) -> list[Guess]:
    """All decoders that fit an output [N, rows, columns] of a network whose input is `input_wh` (width,
    height) px.
    """
    _, rows, columns = spec.shape
    guesses = []
    if rows is not None and rows > 4 and _has_grid_columns(rows, columns, input_wh):
        guesses.append(
            Guess('yolov8', rows - 4, f'shape of {spec.name}: 4 + {rows - 4} rows, one column per grid cell')
        )
    if columns is not None:
        guesses += _open_rows(spec.name, columns) if rows is None else _fixed_rows(spec.name, rows, columns, input_wh)
    return guesses


def _has_grid_columns(rows: int, columns: int | None, input_wh: tuple[int, int]) -> bool:
    """True when the columns can be grid cells, as in YOLOv8's layout."""
    if columns is None or strides_of(columns, input_wh):
        return True
    return columns > rows and strides_of(columns, input_wh, rare=True) is not None


def transposed_guess(spec: TensorSpec, input_wh: tuple[int, int], label_count: int | None) -> list[Guess]:
    """YOLOv8's layout with its axes swapped: only when as many labels are known as make it fit."""
    _, rows, columns = spec.shape
    if columns is None or label_count is None or columns != 4 + label_count or not strides_of(rows, input_wh):
        return []
    return [Guess('yolov8', label_count, f'shape of {spec.name}: one row per grid cell, 4 + {label_count} columns')]


def _fixed_rows(name: str, rows: int, columns: int, input_wh: tuple[int, int]) -> list[Guess]:
    """Decoders for one row per box with a fixed number of rows."""
    strides = strides_of(rows, input_wh)
    if strides is not None:
        return _anchor_free(name, columns, strides)
    if rows % _ANCHORS_PER_CELL == 0 and columns > 5 and strides_of(rows // _ANCHORS_PER_CELL, input_wh):
        return [Guess('yolov5', columns - 5, f'shape of {name}: three rows per grid cell, 5 + {columns - 5} columns')]
    if columns == 6:
        return [Guess('end_to_end', None, f'shape of {name}: 6 columns, rows that are not a grid')]
    return []


def _anchor_free(name: str, columns: int, strides: tuple[int, ...]) -> list[Guess]:
    """Decoders for one row per grid cell. NanoDet-Plus has four strides, YOLOX three, rarely four."""
    guesses = []
    cells = f'shape of {name}: one row per cell of strides {", ".join(map(str, strides))}'
    if strides == STRIDES_P6 and columns > NANODET_BOX_COLUMNS:
        count = columns - NANODET_BOX_COLUMNS
        guesses.append(Guess('nanodet', count, f'{cells}, {count} + 32 columns', {'strides': strides}))
    if columns > 5 and (not guesses or columns == 85):
        guesses.append(Guess('yolox', columns - 5, f'{cells}, 5 + {columns - 5} columns', {'strides': strides}))
    return guesses


def _open_rows(name: str, columns: int) -> list[Guess]:
    """Decoders for one row per box with a dynamic number of rows."""
    why = f'columns of {name}'
    guesses = []
    if columns > 5:
        guesses += [Guess('yolox', columns - 5, why), Guess('yolov5', columns - 5, why)]
    if columns == 6:
        guesses.append(Guess('end_to_end', None, why))
    if columns > NANODET_BOX_COLUMNS:
        guesses.append(Guess('nanodet', columns - NANODET_BOX_COLUMNS, why))
    return guesses


def cell_count(input_wh: tuple[int, int], strides: Sequence[int]) -> int:
    """Cells of all strides together. A stride that does not divide the size makes one more cell, as padded
    convolutions do: 416 x 416 at strides 8, 16, 32 and 64 is 52*52 + 26*26 + 13*13 + 7*7 = 3598.

    Args:
        input_wh: (width, height) of the network's input in px.
        strides: px between two cells.
    """
    width, height = input_wh
    return sum(-(-width // stride) * -(-height // stride) for stride in strides)


def strides_of(cells: int | None, input_wh: tuple[int, int], rare: bool = False) -> tuple[int, ...] | None:
    """The set of strides that makes this many cells, or None.

    Args:
        cells: a number of cells, or None where it is not known.
        input_wh: (width, height) of the network's input in px.
        rare: also try heads with a level more or less. Small sets fit by accident: 640 x 480 has 300 cells of
            stride 32, and DETR has 300 queries.
    """
    sets = (*_USUAL, *_RARE) if rare else _USUAL
    return next((strides for strides in sets if cell_count(input_wh, strides) == cells), None)
