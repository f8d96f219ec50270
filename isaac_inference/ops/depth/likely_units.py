# SPDX-License-Identifier: Apache-2.0
"""The units that lengths and depth come in, by which a wrong one is recognised and named."""

from __future__ import annotations

import math

LENGTHS = {'metres': 1.0, 'feet': 0.3048, 'inches': 0.0254, 'centimetres': 0.01, 'millimetres': 0.001}
"""Of sizes and meshes: name -> metres, the largest first."""
DEPTHS = {'m': 1.0, 'inches': 0.0254, 'cm': 0.01, 'mm': 0.001, '0.25 mm': 0.00025, '0.1 mm': 0.0001}
"""Of a pixel of depth: name -> metres, the largest first."""
_MISTAKES = (
    ('metres', 'millimetres'), ('metres', 'centimetres'), ('metres', 'inches'), ('metres', 'feet'),
    ('centimetres', 'millimetres'), ('inches', 'centimetres'),
)  # fmt: skip


def taken_for(factor: float, same: float) -> tuple[str, str] | None:
    """Which unit of lengths was taken for which larger one, when a length comes out `factor` times too large.

    Args:
        same: natural logarithm of a factor that is as good as none.

    Example:
        >>> taken_for(39.0, 0.06), taken_for(1.1, 0.06)
        (('inches', 'metres'), None)
    """
    for larger, smaller in _MISTAKES:
        if abs(math.log(factor * LENGTHS[smaller] / LENGTHS[larger])) < same:
            return smaller, larger
    return None
