# SPDX-License-Identifier: Apache-2.0
"""The objects of the simulated table top: names, metric sizes, shapes and symmetries."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.ops.geometry.symmetry import Symmetry


@dataclass(frozen=True)
class ObjectKind:
    """One kind of object.

    Attributes:
        name: its class name.
        shape: 'cuboid', or 'cylinder' about z.
        size: (x, y, z) extent in m; the object's frame is at the centre, axes along the edges.
        symmetries: rotations that leave its appearance unchanged.
        palette: BGR colours that its faces are painted with, the first is the ground.
        title: what is written on it.
    """

    name: str
    shape: str
    size: tuple[float, float, float]
    symmetries: tuple[Symmetry, ...] = ()
    palette: tuple[tuple[int, ...], ...] = ((200, 200, 200), (60, 60, 60))
    title: str = ''


OBJECTS = (
    ObjectKind(
        'cereal_box', 'cuboid', (0.16, 0.06, 0.24), (), ((40, 150, 240), (30, 40, 160), (250, 240, 230)), 'OATS'
    ),
    ObjectKind('tea_box', 'cuboid', (0.15, 0.09, 0.08), (), ((70, 130, 50), (200, 230, 210), (30, 70, 30)), 'TEA'),
    ObjectKind(
        'milk_carton', 'cuboid', (0.08, 0.08, 0.20), (), ((245, 240, 235), (190, 110, 30), (60, 60, 200)), 'MILK'
    ),
    ObjectKind('toy_block', 'cuboid', (0.11, 0.11, 0.11), (), ((60, 200, 230), (40, 40, 200), (160, 60, 40)), 'ABC'),
    ObjectKind(
        'soup_can', 'cylinder', (0.085, 0.085, 0.12), (Symmetry('z', 0),), ((50, 40, 190), (235, 235, 240)), 'SOUP'
    ),
    ObjectKind('book', 'cuboid', (0.15, 0.22, 0.035), (), ((120, 60, 90), (180, 220, 240), (60, 30, 40)), 'ROBOTS'),
)
LABELS = tuple(kind.name for kind in OBJECTS)
OBJECT_SIZES = {kind.name: kind.size for kind in OBJECTS}
KINDS = {kind.name: kind for kind in OBJECTS}
