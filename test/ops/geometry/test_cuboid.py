# SPDX-License-Identifier: Apache-2.0
"""The order of a cuboid's corners and edges, which networks are trained on and so may never change."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.cuboid import CUBOID_EDGES, cuboid_corners


def test_corner_order() -> None:
    assert cuboid_corners((2, 4, 6)).tolist() == [
        [-1, -2, -3],
        [-1, -2, 3],
        [-1, 2, -3],
        [-1, 2, 3],
        [1, -2, -3],
        [1, -2, 3],
        [1, 2, -3],
        [1, 2, 3],
    ]


def test_edges_have_the_cuboid_s_lengths() -> None:
    corners = cuboid_corners((2, 4, 6))
    along = corners[CUBOID_EDGES[:, 1]] - corners[CUBOID_EDGES[:, 0]]
    np.testing.assert_array_equal(along, np.repeat(np.diag([2.0, 4, 6]), 4, axis=0))
    assert len({tuple(edge) for edge in CUBOID_EDGES.tolist()}) == 12


def test_a_flat_one_has_corners_in_pairs() -> None:
    corners = cuboid_corners(np.array([0.3, 0.2, 0.0]))
    np.testing.assert_array_equal(corners[0::2], corners[1::2])


@pytest.mark.parametrize('size', [(1, 2), (1, 2, -3), (1, np.nan, 1), 1.0])
def test_wrong_sizes(size: object) -> None:
    with pytest.raises(ConfigError, match='cuboid size: got .* three lengths'):
        cuboid_corners(size)  # type: ignore[arg-type]


def test_tables_can_t_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match='read-only'):
        CUBOID_EDGES[0] = 0
    corners = cuboid_corners((1, 1, 1))
    corners += 1.0  # but corners are the caller's
    assert cuboid_corners((1, 1, 1)).max() == 0.5
