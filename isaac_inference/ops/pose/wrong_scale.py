# SPDX-License-Identifier: Apache-2.0
"""Which mistake explains that an object is seen at another distance than its size says."""

from __future__ import annotations

import math

from isaac_inference.ops.depth.likely_units import taken_for

_SAME = 0.06  # natural logarithm: a factor this close to that between two units is one
_POWERS = (0.0001, 0.001, 0.01, 0.1, 10.0, 100.0, 1000.0, 10000.0)


def scale_suspects(scale: float, unit_m: float) -> str:
    """What to look at, as the end of a sentence: the object's size, and the unit of depth.

    Args:
        scale: distance that is seen over the distance that follows from the size.
        unit_m: metres per unit that depth was read with.

    Example: a size in millimetres; depth in tenths of a millimetre that was read as millimetres; a size that is wrong.
        >>> scale_suspects(0.001, 0.001).split(';')[0]
        'its size or mesh is 1000 times too large (millimetres taken for metres?)'
        >>> scale_suspects(10.0, 0.001).split('; ')[1]
        'or depth is in another unit: set depth_unit_scale: 0.0001'
        >>> scale_suspects(1 / 1.1, 0.001)
        'its size or mesh is 1.1 times too large'
    """
    factor, word = (1.0 / scale, 'large') if scale < 1.0 else (scale, 'small')
    text = f'its size or mesh is {_short(factor)} times too {word}'
    units = taken_for(factor, _SAME)
    if units is not None:
        text += f' ({" taken for ".join(units if word == "large" else units[::-1])}?)'
    for power in _POWERS:
        if abs(math.log(scale / power)) < _SAME:
            text += f'; or depth is in another unit: set depth_unit_scale: {unit_m / power:g}'
    return text


def _short(factor: float) -> str:
    """Three digits, and no exponent."""
    return f'{factor:.3g}' if factor < 100.0 else f'{factor:.0f}'
