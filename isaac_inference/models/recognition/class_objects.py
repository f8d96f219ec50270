# SPDX-License-Identifier: Apache-2.0
"""The objects that a card describes, checked against the model's classes, its keypoints and the meshes on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.card.card_file import suggest
from isaac_inference.models.card.objects import DOUBTFUL_M, ObjectSpec, all_symmetries, looks_like
from isaac_inference.models.card.sourced import CardValues, Sourced, values_of
from isaac_inference.models.card.tasks import KeypointSpec


def resolve_objects(
    values: CardValues, labels: Sequence[str], keypoints: KeypointSpec | None
) -> tuple[dict[str, Sourced[ObjectSpec]], tuple[str, ...]]:
    """Class name -> object in the order of the classes, and notes for the log.

    Args:
        values: what the cards say.
        labels: the model's class names.
        keypoints: the model's keypoints, or None.

    Raises:
        ModelError: a class that the model does not have, a mesh that does not exist, the shape 'mesh' without one,
            or a number of points that differs from the keypoints.
    """
    given: dict[str, dict[str, Sourced[Any]]] = {}
    for key, value in values.items():
        section, _, rest = key.partition('.')
        if section == 'objects':
            name, _, field = rest.rpartition('.')
            given.setdefault(name, {})[field] = value
    for name, fields in given.items():
        if name not in labels:
            source = next(iter(fields.values())).source
            raise ModelError(f'{source}: objects: the model has no class {name!r}; {suggest(name, labels)}')
    objects: dict[str, Sourced[ObjectSpec]] = {}
    notes: list[str] = []
    for name in labels:
        if name in given:
            source = ', '.join(dict.fromkeys(item.source for item in given[name].values()))
            objects[name] = Sourced(_object(name, given[name], keypoints), source)
            notes += _doubts(name, given[name])
    return objects, (*notes, *_without_size(values_of(objects), labels, keypoints))


def _object(name: str, given: Mapping[str, Sourced[Any]], keypoints: KeypointSpec | None) -> ObjectSpec:
    """One object, with its mesh and its points checked."""
    found = {field: sourced.value for field, sourced in given.items()}
    mesh = found.get('mesh')
    if mesh is not None and not mesh.is_file():
        raise ModelError(
            f'{given["mesh"].source}: objects.{name}.mesh: no file {mesh}; give a path relative to the folder of the '
            'card (for an embedded card, of the model)'
        )
    shape = found.get('shape', 'cuboid' if mesh is None else 'mesh')
    if shape == 'mesh' and mesh is None:
        raise ModelError(
            f'{given["shape"].source}: objects.{name}.shape: got mesh, but no mesh; add `mesh: <file>`, or give '
            'cuboid, cylinder or sphere with its size'
        )
    if mesh is None and 'mesh_unit' in given:
        raise ModelError(
            f'{given["mesh_unit"].source}: objects.{name}.mesh_unit: there is no mesh; add `mesh: <file>`, or remove it'
        )
    points = found.get('keypoints')
    if points is not None and (keypoints is None or len(points) != keypoints.count):
        has = 'has none' if keypoints is None else f'has {keypoints.count}'
        raise ModelError(
            f'{given["keypoints"].source}: objects.{name}.keypoints: got {len(points)} points, but the model {has}; '
            'expected one point per keypoint'
        )
    size = found.get('size')
    corners = keypoints is not None and keypoints.model == 'cuboid8' and size is not None
    return ObjectSpec(
        name,
        size=size,
        shape=shape,
        mesh=mesh,
        mesh_unit=found.get('mesh_unit', 'm'),
        symmetries=all_symmetries(shape, found.get('symmetry'), corners or points is not None),
        keypoints=points,
    )


def _doubts(name: str, given: Mapping[str, Sourced[Any]]) -> list[str]:
    """A note for an implausibly large size."""
    size = given.get('size')
    if size is None or max(size.value) <= DOUBTFUL_M:
        return []
    shown = ', '.join(f'{item:g}' for item in size.value)
    return [f'{size.source}: objects.{name}.size: [{shown}]: metres expected, {looks_like(size.value)}']


def _without_size(
    objects: Mapping[str, ObjectSpec], labels: Sequence[str], keypoints: KeypointSpec | None
) -> list[str]:
    """A note for classes whose keypoints are cuboid corners of unknown size."""
    if keypoints is None or keypoints.model != 'cuboid8':
        return []
    known = {name for name, spec in objects.items() if spec.size is not None or spec.keypoints is not None}
    missing = [name for name in labels if name not in known]
    if not missing:
        return []
    shown = ', '.join(missing[:4]) + (', ...' if len(missing) > 4 else '')
    return [
        f'no size for {shown}: their keypoints give no pose until the card has '
        f'`objects: {{{missing[0]}: {{size: [x, y, z] in metres}}}}`'
    ]
