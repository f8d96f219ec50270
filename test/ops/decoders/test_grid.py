# SPDX-License-Identifier: Apache-2.0
"""The grid points of anchor-free detectors."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ops.decoders.grid import grid_points


def test_order_is_level_by_level_and_row_by_row() -> None:
    cells, strides_px = grid_points((24, 16), (8, 16))
    assert cells.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1], [0, 0], [1, 0]]
    assert strides_px.tolist() == [[8]] * 6 + [[16]] * 2


@pytest.mark.parametrize(
    ('input_wh', 'strides', 'count'),
    [((416, 416), (8, 16, 32), 3549), ((640, 640), (8, 16, 32), 8400), ((416, 416), (8, 16, 32, 64), 3598)],
)
def test_known_counts(input_wh: tuple[int, int], strides: tuple[int, ...], count: int) -> None:
    assert len(grid_points(input_wh, strides)[0]) == count


def test_shared_points_are_read_only() -> None:
    cells, _ = grid_points((24, 16), [8])
    assert grid_points((24, 16), (8,))[0] is cells
    with pytest.raises(ValueError, match='read-only'):
        cells += np.float32(1)


def test_wrong_strides() -> None:
    with pytest.raises(ConfigError, match=r'strides: got \[8, 0\], expected whole numbers of at least 1'):
        grid_points((24, 16), [8, 0])
