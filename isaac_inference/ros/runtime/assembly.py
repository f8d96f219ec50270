# SPDX-License-Identifier: Apache-2.0
"""Messages put together from parts that are there already, without making the defaults that these replace.

A generated constructor makes every default, nested messages too, whatever it is given: a Detection3D costs about ten
times as much as its values need. That is most of what a node of small messages does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_CONSTANTS = (bool, int, float, str)


def assembler(kind: type, *fields: str) -> Callable[..., Any]:
    """A function that makes messages of `kind`.

    It takes the values of `fields`, in that order, by reference and unchecked: a `float` where the message has a
    float64, an array of the right size and type where it has an array. All other fields keep their defaults; a field
    whose default can be changed (a message, a list, an array) must be among `fields`, so that no two messages share it.

    Raises:
        TypeError: `kind` has no such field, or one that must be given is missing.

    Example:
        >>> from geometry_msgs.msg import Point
        >>> assembler(Point, 'x', 'y')(1.0, 2.0)
        geometry_msgs.msg.Point(x=1.0, y=2.0, z=0.0)
    """
    defaults = kind()
    slots: dict[str, Any] = {slot: getattr(defaults, slot) for slot in kind.__slots__}  # type: ignore[attr-defined]
    for name in fields:
        if f'_{name}' not in slots:
            known = ', '.join(kind.get_fields_and_field_types())  # type: ignore[attr-defined]
            raise TypeError(f'{kind.__name__} has no field {name!r}; it has {known}')
        del slots[f'_{name}']
    if shared := [slot for slot, value in slots.items() if not isinstance(value, _CONSTANTS)]:
        raise TypeError(f'{kind.__name__}: {", ".join(shared)} must be among the given fields')
    # written out and compiled, as named tuples are: a loop over the fields takes three times as long
    # (no field's name begins with an underscore, so these are free)
    lines = [f' _made._{name} = {name}' for name in fields]
    lines += [f' _made.{slot} = _defaults[{slot!r}]' for slot in slots]
    source = f'def _make({", ".join(fields)}):\n _made = _new(_kind)\n' + '\n'.join(lines) + '\n return _made'
    scope: dict[str, Any] = {'_new': kind.__new__, '_kind': kind, '_defaults': slots}
    exec(source, scope)
    make: Callable[..., Any] = scope['_make']
    return make
