# SPDX-License-Identifier: Apache-2.0
"""The cells of a detector's grid: how many there are, and which strides make as many."""

from __future__ import annotations

from collections.abc import Sequence

from isaac_inference.models.card.tensor_spec import TensorSpec

STRIDES = (8, 16, 32)
STRIDES_P6 = (8, 16, 32, 64)
_USUAL = (STRIDES, STRIDES_P6)
_RARE = ((4, 8, 16, 32), (16, 32), (8, 16), (8,), (16,), (32,))


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


def channel_axis(spec: TensorSpec, input_wh: tuple[int, int], needed: int | None = None) -> int:
    """The axis of YOLOv8's layout that holds box and scores: 1 as exported, 2 when transposed.

    Args:
        spec: the output, [N, channels, cells] or [N, cells, channels].
        input_wh: (width, height) of the network's input in px.
        needed: how many channels there must be, None where that is not known.
    """
    _, rows, columns = spec.shape
    if needed is not None and needed in (rows, columns):
        return 1 if rows == needed else 2
    for rare in (False, True):
        if strides_of(columns, input_wh, rare):
            return 1
        if strides_of(rows, input_wh, rare):
            return 2
    return 2 if rows is not None and columns is not None and columns < rows else 1
