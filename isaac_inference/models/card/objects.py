# SPDX-License-Identifier: Apache-2.0
"""What an object of one class is in space: its size, shape, symmetries and mesh, as a card gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isaac_inference.models.card import card_values as check
from isaac_inference.models.card.tags import TagSpec, tag_grid, tags
from isaac_inference.ops.geometry.mesh import METRES

SHAPES = ('cuboid', 'cylinder', 'sphere', 'mesh')
MESH_UNITS = tuple(METRES)
MESH_ORIGINS = ('center', 'file')
LONGEST_M = 20.0
DOUBTFUL_M = 5.0
"""Above this a length is accepted, with a warning that it may be in another unit."""
DOUBTFULLY_SMALL_M = 0.005
"""The same for an object whose longest side is below this."""

Point = tuple[float, float, float]


@dataclass(frozen=True)
class ObjectSpec:
    """One class's object. Its frame has the origin in the centre of its cuboid, and the axes along its edges; with
    `mesh_origin` 'file' it is the frame of the mesh's file.

    Attributes:
        name: the class name.
        size: (x, y, z) lengths of the cuboid around it in m, or None where the card does not say.
        shape: 'cuboid', 'cylinder' (axis z), 'sphere' or 'mesh'.
        mesh: absolute path of its mesh, an existing file, or None.
        mesh_unit: unit of the mesh's coordinates, one of `MESH_UNITS`.
        mesh_origin: what poses are of, and what `keypoints` are measured from: 'center' of the mesh's bounding box, or
            the origin of its 'file'.
        symmetries: (axis, order) each: turned about 'x', 'y' or 'z' it looks the same after a 1/order of a turn;
            order 0 is any angle. Those that a card gives and those that its shape implies, see `all_symmetries`.
        keypoints: where the model's keypoints are on it, (x, y, z) in m in its frame, in the model's order; None
            if `KeypointSpec.model` says it, or nothing does. With `tags` their corners, one tag's after another's.
        tags: the printed tags on it.
    """

    name: str
    size: Point | None = None
    shape: str = 'cuboid'
    mesh: Path | None = None
    mesh_unit: str = 'm'
    symmetries: tuple[tuple[str, int], ...] = ()
    keypoints: tuple[Point, ...] | None = None
    tags: tuple[TagSpec, ...] = ()
    mesh_origin: str = 'center'


def lengths(value: Any) -> Point:
    """Three lengths in metres, each above 0 and at most `LONGEST_M`."""
    good = isinstance(value, (list, tuple)) and len(value) == 3 and all(check.is_number(item) for item in value)
    if not good or min(value) <= 0 or max(value) > LONGEST_M:
        hint = f'; this {looks_like(value)}' if good and min(value) > 0 else ''
        raise ValueError(
            f'[x, y, z] lengths in metres, each above 0 and at most {LONGEST_M:g}, such as [0.08, 0.08, 0.12]{hint}'
        )
    return (float(value[0]), float(value[1]), float(value[2]))


def looks_like(size: Any) -> str:
    """The likely units of lengths too large for metres."""
    centimetres, millimetres = (', '.join(f'{item / per:.4g}' for item in size) for per in (100, 1000))
    return f'looks like centimetres ([{centimetres}] m) or millimetres ([{millimetres}] m)'


def looks_tiny(size: Any) -> str:
    """What lengths too small for metres come from."""
    shown = ', '.join(f'{item * 1000:.4g}' for item in size)
    return f'these are [{shown}] mm; if it is [{shown}] m, multiply size by 1000'


def symmetries(value: Any) -> tuple[tuple[str, int], ...]:
    """A list of `{axis, order}`, each axis once."""
    if not isinstance(value, (list, tuple)) or not all(_is_symmetry(item) for item in value):
        raise ValueError(
            'a list such as [{axis: z, order: 0}], where axis is x, y or z, and order is 0 for any angle, or the '
            'number of identical orientations per turn (2 to 360)'
        )
    found = {str(item['axis']): int(item['order']) for item in value}
    if len(found) < len(value):
        raise ValueError('every axis at most once')
    return tuple(found.items())


def all_symmetries(
    shape: str, given: tuple[tuple[str, int], ...] | None, has_keypoints: bool
) -> tuple[tuple[str, int], ...]:
    """The symmetries that a card gives, then those that the shape implies; everything that turns poses uses these.

    A cylinder looks the same at any angle about z, and a sphere after every turn. Without keypoints a cylinder also
    looks the same upside down: nothing tells its ends apart. Keypoints do. The half turns of a cuboid are never
    implied: what is printed on its sides tells them apart for people, and so for a planner, even if depth can't.

    Args:
        shape: one of SHAPES.
        given: by the card; None where it says nothing, () where it says that there are none: then none are implied.
        has_keypoints: whether the model's keypoints on the object are known.

    Example: a can of a plain detector; with keypoints; and one whose label shall count.
        >>> all_symmetries('cylinder', None, False), all_symmetries('cylinder', (('z', 0),), True)
        ((('z', 0), ('x', 2)), (('z', 0),))
        >>> all_symmetries('cylinder', (), True)
        ()
    """
    if given == ():
        return ()
    found = dict(given or ())
    if shape == 'sphere':
        found.update(z=0, x=0)
    elif shape == 'cylinder':
        found['z'] = 0
        if not (has_keypoints or 'x' in found or 'y' in found):
            found['x'] = 2
    return tuple(found.items())


def points(value: Any) -> tuple[Point, ...]:
    """Points (x, y, z) in metres."""
    if not isinstance(value, (list, tuple)) or not value or not all(_is_point(item) for item in value):
        raise ValueError(
            'a list of points [x, y, z] in metres in the object frame, one per keypoint of the model, none further '
            f'than {LONGEST_M:g} from the origin along an axis'
        )
    return tuple((float(x), float(y), float(z)) for x, y, z in value)


def _is_symmetry(item: Any) -> bool:
    if not isinstance(item, Mapping) or set(item) != {'axis', 'order'}:
        return False
    order = item['order']
    return item['axis'] in ('x', 'y', 'z') and type(order) is int and (order == 0 or 2 <= order <= 360)


def _is_point(value: Any) -> bool:
    good = isinstance(value, (list, tuple)) and len(value) == 3 and all(check.is_number(item) for item in value)
    return good and max(abs(item) for item in value) <= LONGEST_M


OBJECT_KEYS: Mapping[str, check.Check] = {
    'size': lengths,
    'shape': check.one_of(*SHAPES),
    'symmetry': symmetries,
    'mesh': check.text,
    'mesh_unit': check.one_of(*MESH_UNITS),
    'mesh_origin': check.one_of(*MESH_ORIGINS),
    'keypoints': points,
    'tags': tags,
    'tag_grid': tag_grid,
}
"""What a card may say about a class under `objects`, and the check of each."""
