# SPDX-License-Identifier: Apache-2.0
"""Outputs that come in one piece for each level of a grid, and maps in either order of their axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.decoders.base import bad_shape, take_floats


def level_strides(outputs: Iterable[str], roles: Sequence[str]) -> tuple[int, ...]:
    """The strides in pixels of the levels that outputs of the form '<role>_<stride>' belong to, rising.

    Raises:
        FrameError: 'missing_output', there is no level.

    Example:
        >>> level_strides(['scores_16', 'boxes_16', 'scores_8', 'boxes_8'], ['scores', 'boxes'])
        (8, 16)
    """
    outputs = list(outputs)
    parts = [name.rpartition('_') for name in outputs]
    strides = {int(stride) for role, _, stride in parts if role in roles and stride.isdecimal() and int(stride)}
    if not strides:
        raise FrameError(
            'missing_output',
            f'output {f"{roles[0]}_8"!r}: missing, got {", ".join(sorted(outputs)) or "none"}; map a tensor to '
            f'{" and ".join(f"{role}_<stride>" for role in roles)} for each level in the model card',
        )
    return tuple(sorted(strides))


def grid_shape(input_wh: tuple[int, int], stride: int) -> tuple[int, int]:
    """(rows, columns) of a level's cells; a side that the stride does not divide has one more.

    Example:
        >>> grid_shape((64, 36), 8)
        (5, 8)
    """
    return -(-input_wh[1] // stride), -(-input_wh[0] // stride)


def take_rows(outputs: Mapping[str, np.ndarray], role: str, cells: tuple[int, int], columns: int | None) -> np.ndarray:
    """A level's output with one row for each cell.

    Args:
        outputs: role to array: (N, C), (C, N), (C, H, W) or (H, W, C), N = H * W cells row by row. Where two of them
            fit, the one that is named first is it.
        role: of the output.
        cells: (H, W).
        columns: C, or None for any.

    Returns:
        (N, C) float32, a view where that is possible.

    Raises:
        FrameError: 'missing_output', 'bad_output_shape' or 'bad_output_type'.

    Example: one channel of 1 x 2 cells.
        >>> take_rows({'scores_8': np.array([[[0.25, 0.5]]])}, 'scores_8', (1, 2), columns=1).tolist()
        [[0.25], [0.5]]
    """
    array = take_floats(outputs, role)
    count = cells[0] * cells[1]
    for rows in _readings(array, cells, count):
        if columns in (None, rows.shape[1]):
            return rows
    c = 'C' if columns is None else columns
    raise bad_shape(
        role, array, f'({count}, {c}), ({c}, {count}), ({c}, {cells[0]}, {cells[1]}) or ({cells[0]}, {cells[1]}, {c})'
    )


def _readings(array: np.ndarray, cells: tuple[int, int], count: int) -> Iterable[np.ndarray]:
    if array.ndim == 2 and array.shape[0] == count:
        yield array
    if array.ndim == 2 and array.shape[1] == count:
        yield array.T
    if array.ndim == 3 and array.shape[1:] == cells:
        yield array.reshape(-1, count).T
    if array.ndim == 3 and array.shape[:2] == cells:
        yield array.reshape(count, -1)


def cell_points(index: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """(K, 2) float32 (column, row) of cells that are counted row by row.

    Example:
        >>> cell_points(np.array([0, 4]), (2, 3)).tolist()
        [[0.0, 0.0], [1.0, 1.0]]
    """
    rows, columns = np.divmod(index, cells[1])
    return np.stack((columns, rows), axis=1).astype(np.float32)


def join(parts: Sequence[Detections]) -> Detections:
    """The detections of all levels, level by level; boxes without angles or keypoints.

    Example:
        >>> len(join([Detections.empty(), Detections.empty()]))
        0
    """
    known = [part.best_score for part in parts if part.best_score == part.best_score]
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.class_ids for part in parts]),
        best_score=max(known, default=float('nan')),
    )
