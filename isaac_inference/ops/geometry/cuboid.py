# SPDX-License-Identifier: Apache-2.0
"""The cuboid around an object: its eight corners in the order that every keypoint model of this package uses.

Corner k has the sign of its x from bit 2, of its y from bit 1 and of its z from bit 0:
(---), (--+), (-+-), (-++), (+--), (+-+), (++-), (+++).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isaac_inference.errors import ConfigError


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


_SIGNS = _frozen(np.array([[(k >> 2 & 1) * 2 - 1, (k >> 1 & 1) * 2 - 1, (k & 1) * 2 - 1] for k in range(8)], float))

CUBOID_EDGES = _frozen(np.array([(k, k | bit) for bit in (4, 2, 1) for k in range(8) if not k & bit], np.int64))
"""(12, 2) corner indices: the four edges along x, then y, then z, each from its negative to its positive end."""


CUBOID_TRIANGLES = _frozen(
    np.array(
        (
            (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
            (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
        ),
        np.int64,
    )
)  # fmt: skip
"""(12, 3) corner indices: two triangles a face; seen from outside, each winds counter-clockwise."""


def cuboid_corners(size: Sequence[float] | np.ndarray) -> np.ndarray:
    """The corners of a cuboid about the origin, its edges along the axes.

    Args:
        size: (3,) full edge lengths along x, y, z in metres; one may be 0 for a flat object.

    Returns:
        (8, 3) float64 in metres, in this module's order.

    Raises:
        ConfigError: a size that is not three finite numbers of 0 or more.

    Example: the first corner is the most negative one, the last the most positive.
        >>> cuboid_corners((2, 4, 6))[[0, 1, 7]].tolist()
        [[-1.0, -2.0, -3.0], [-1.0, -2.0, 3.0], [1.0, 2.0, 3.0]]
    """
    edges = np.asarray(size, np.float64)
    if edges.shape != (3,) or not np.isfinite(edges).all() or (edges < 0.0).any():
        raise ConfigError(f'cuboid size: got {size!r}, expected three lengths (x, y, z) in metres, none negative')
    return _SIGNS * (edges / 2.0)
