# SPDX-License-Identifier: Apache-2.0
"""The printed tags on an object, as a card gives them: one by one, or as a grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isaac_inference.models.card import card_values as check
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.tags.families import TagFamily, family_named

LARGEST_M = 5.0
CORNERS = 4
_MOST = 1000  # tags of a grid
_PRINTS = ('family', 'opencv')
_TAG = ('family', 'id', 'size', 'position', 'rpy_deg', 'print')
_GRID = ('family', 'columns', 'rows', 'size', 'gap', 'first_id', 'first_at', 'position', 'rpy_deg', 'print')
_PLACES = ('top_left', 'bottom_left')

Point = tuple[float, float, float]


@dataclass(frozen=True)
class TagSpec:
    """One tag on an object.

    Attributes:
        family: its name in `ops/tags/families.py`.
        id: its number.
        corners: four (x, y, z) m in the object's frame: top left, top right, bottom right and bottom left of the tag as
            its family's makers print it.
    """

    family: str
    id: int
    corners: tuple[Point, Point, Point, Point]


def tags(value: Any) -> tuple[TagSpec, ...]:
    """A list of single tags; each where it sits on the object."""
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError('a list of tags such as [{family: 36h11, id: 7, size: 0.08}]')
    problems: list[str] = []
    found: list[TagSpec] = []
    for index, item in enumerate(value):
        try:
            found.append(_tag(item))
        except ValueError as error:
            problems.append(f'tag {index} {item!r}: {error}')
    if problems:
        raise ValueError('a list of tags; ' + '; '.join(problems))
    return tuple(found)


def tag_grid(value: Any) -> tuple[TagSpec, ...]:
    """Tags in rows and columns about the grid's middle, numbered row by row."""
    if not isinstance(value, Mapping):
        raise ValueError('keys and values such as {family: 36h11, columns: 6, rows: 6, size: 0.088, gap: 0.0264}')
    reader = _Reader(value, _GRID, ('family', 'columns', 'rows', 'size', 'gap'))
    family, size = reader.get('family', family_named), reader.get('size', _side)
    columns, rows = (reader.get(name, check.whole(1, 100)) for name in ('columns', 'rows'))
    gap, first = reader.get('gap', _gap), reader.get('first_id', check.whole(0, 100000), 0)
    first_at = reader.get('first_at', check.one_of(*_PLACES), _PLACES[0])
    place, turned = reader.place(), reader.turned(family)
    reader.finish()
    if not columns * rows <= _MOST or first + columns * rows > family.count:
        raise ValueError(
            f'at most {_MOST} tags with ids below {family.count}, as many as family {family.name} has; these are '
            f'{columns} x {rows} from id {first}'
        )
    step = size + gap
    found = []
    for index in range(columns * rows):
        row, column = divmod(index, columns)
        up = (rows - 1) / 2 - row if first_at == _PLACES[0] else row - (rows - 1) / 2
        middle = np.array(((column - (columns - 1) / 2) * step, up * step, 0.0))
        found.append(TagSpec(family.name, first + index, _corners(size, place @ Pose(np.eye(3), middle), turned)))
    return tuple(found)


def _tag(value: Any) -> TagSpec:
    if not isinstance(value, Mapping):
        raise ValueError('keys and values such as {family: 36h11, id: 7, size: 0.08}')
    reader = _Reader(value, _TAG, ('family', 'id', 'size'))
    family, size = reader.get('family', family_named), reader.get('size', _side)
    number = reader.get('id', check.whole(0, 100000))
    place, turned = reader.place(), reader.turned(family)
    reader.finish()
    if number >= family.count:
        raise ValueError(f'id: got {number}, expected one below {family.count}, as many as family {family.name} has')
    return TagSpec(family.name, number, _corners(size, place, turned))


class _Reader:
    """The values of one mapping, and all that is wrong with them."""

    def __init__(self, data: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...]) -> None:
        self._data = data
        self._problems = [f'unknown key {key!r}, known are {", ".join(known)}' for key in data if key not in known]
        missing = [key for key in needed if key not in data]
        if missing:
            self._problems.append(f'{", ".join(missing)} must be given')

    def get(self, name: str, checker: check.Check, default: Any = None) -> Any:
        if name not in self._data:
            return default
        try:
            return checker(self._data[name])
        except ValueError as error:
            self._problems.append(f'{name}: got {self._data[name]!r}, expected {error}')
            return default

    def place(self) -> Pose:
        """Where the tag or the grid sits on the object: x to its right, y up, z out of the paper."""
        position = self.get('position', _numbers('in metres', LARGEST_M), (0.0, 0.0, 0.0))
        roll, pitch, yaw = np.radians(self.get('rpy_deg', _numbers('in degrees', 360.0), (0.0, 0.0, 0.0)))
        return Pose(_about(2, yaw) @ _about(1, pitch) @ _about(0, roll), np.array(position))

    def turned(self, family: TagFamily | None) -> bool:
        """Whether the paper has the tag the other way up than its family's makers print it."""
        printed = self.get('print', check.one_of(*_PRINTS), _PRINTS[0])
        return printed == 'opencv' and family is not None and family.is_apriltag

    def finish(self) -> None:
        if self._problems:
            raise ValueError('; '.join(self._problems))


def _corners(size: float, place: Pose, turned: bool) -> tuple[Point, Point, Point, Point]:
    half = size / 2
    corners = np.array([(-half, half, 0.0), (half, half, 0.0), (half, -half, 0.0), (-half, -half, 0.0)])
    points = np.roll(place.apply(corners), 2 if turned else 0, axis=0)
    return tuple((x, y, z) for x, y, z in points.tolist())  # type: ignore[return-value]


def _about(axis: int, angle: float) -> np.ndarray:
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn[i, i], turn[i, j], turn[j, i], turn[j, j] = cos, -sin, sin, cos
    return turn


def _side(value: Any) -> float:
    if not check.is_number(value) or not 0.0 < value <= LARGEST_M:
        millimetres = check.is_number(value) and value > LARGEST_M
        hint = f'; this looks like millimetres ({value / 1000:g} m)' if millimetres else ''
        raise ValueError(
            f"the side of the tag's black square in metres, above 0 and at most {LARGEST_M:g}, such as 0.08{hint}"
        )
    return float(value)


def _gap(value: Any) -> float:
    if not check.is_number(value) or not 0.0 <= value <= LARGEST_M:
        raise ValueError(f'metres between the black squares of two tags, from 0 to {LARGEST_M:g}, such as 0.0264')
    return float(value)


def _numbers(unit: str, largest: float) -> check.Check:
    def three(value: Any) -> Point:
        good = isinstance(value, (list, tuple)) and len(value) == 3 and all(map(check.is_number, value))
        if not good or max(map(abs, value)) > largest:
            raise ValueError(f'three numbers {unit}, none beyond {largest:g}')
        return (float(value[0]), float(value[1]), float(value[2]))

    return three
