# SPDX-License-Identifier: Apache-2.0
"""The objects that a card describes, checked against the model's classes, its keypoints and the meshes on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.card.card_file import NEXT, suggest
from isaac_inference.models.card.objects import (
    DOUBTFUL_M,
    DOUBTFULLY_SMALL_M,
    ObjectSpec,
    all_symmetries,
    looks_like,
    looks_tiny,
)
from isaac_inference.models.card.sourced import CardValues, Sourced, values_of
from isaac_inference.models.card.tags import TagSpec
from isaac_inference.models.card.tasks import KeypointSpec
from isaac_inference.ops.tags.families import FAMILIES

_TAGS_ALONE = 'tags belong to a card without a model, which the tags node reads'


def resolve_objects(
    values: CardValues, labels: Sequence[str], keypoints: KeypointSpec | None, *, of_model: bool = True
) -> tuple[dict[str, Sourced[ObjectSpec]], tuple[str, ...]]:
    """Class name -> object in the order of the classes, and notes for the log.

    Args:
        values: what the cards say.
        labels: the class names.
        keypoints: what comes with each box, or None.
        of_model: whether classes and keypoints are those of a model; else they are the card's own, and only then may
            objects have tags.

    Raises:
        ModelError: all that is wrong: a class that there is not, a mesh that does not exist, the shape 'mesh' without
            one, a number of points that differs from the keypoints, or a tag that is on two objects.
    """
    given = given_objects(values)
    problems: list[str] = []
    for name, fields in given.items():
        if name not in labels:
            source = next(iter(fields.values())).source
            has_none = 'the model has no class' if of_model else 'labels have no'
            problems.append(f'{source}: objects: {has_none} {name!r}; {suggest(name, labels)}')
    objects: dict[str, Sourced[ObjectSpec]] = {}
    notes: list[str] = []
    for name in labels:
        if name in given:
            source = ', '.join(dict.fromkeys(item.source for item in given[name].values()))
            made = _object(name, given[name], keypoints, of_model, problems)
            objects[name] = Sourced(made, source)
            notes += _doubts(name, given[name])
    problems += _shared_tags(objects)
    if problems:
        raise ModelError(NEXT.join(problems))
    return objects, (*notes, *_without_size(values_of(objects), labels, keypoints))


def given_objects(values: CardValues) -> dict[str, dict[str, Sourced[Any]]]:
    """Class name -> what the cards say of its object."""
    given: dict[str, dict[str, Sourced[Any]]] = {}
    for key, value in values.items():
        section, _, rest = key.partition('.')
        if section == 'objects':
            name, _, field = rest.rpartition('.')
            given.setdefault(name, {})[field] = value
    return given


def tags_of(fields: Mapping[str, Sourced[Any]]) -> tuple[TagSpec, ...]:
    """The tags of one object: the single ones, then those of its grid."""
    return tuple(tag for key in ('tags', 'tag_grid') if key in fields for tag in fields[key].value)


def _object(
    name: str,
    given: Mapping[str, Sourced[Any]],
    keypoints: KeypointSpec | None,
    of_model: bool,
    problems: list[str],
) -> ObjectSpec:
    """One object, with its mesh and its points checked."""
    found = {field: sourced.value for field, sourced in given.items()}

    def wrong(field: str, text: str) -> None:
        problems.append(f'{given[field].source}: objects.{name}.{field}: {text}')

    mesh = found.get('mesh')
    if mesh is not None and not mesh.is_file():
        wrong(
            'mesh',
            f'no file {mesh}; give a path relative to the folder of the card (for an embedded card, of the model)',
        )
    shape = found.get('shape', 'cuboid' if mesh is None else 'mesh')
    if shape == 'mesh' and mesh is None:
        wrong('shape', 'got mesh, but no mesh; add `mesh: <file>`, or give cuboid, cylinder or sphere with its size')
    for field in ('mesh_unit', 'mesh_origin'):
        if mesh is None and field in given:
            wrong(field, 'there is no mesh; add `mesh: <file>`, or remove it')
    tags, points = tags_of(given), found.get('keypoints')
    if tags:
        first = 'tags' if 'tags' in given else 'tag_grid'
        if of_model:
            wrong(first, f'{_TAGS_ALONE}; put the objects with tags into a card of their own')
        elif points is not None:
            wrong('keypoints', 'the object has tags, whose corners are its keypoints; remove one of the two')
        points = tuple(corner for tag in tags for corner in tag.corners)
    elif points is not None and (keypoints is None or len(points) != keypoints.count):
        whose = 'the model' if of_model else 'the card'
        has = 'has none' if keypoints is None else f'has {keypoints.count}'
        wrong('keypoints', f'got {len(points)} points, but {whose} {has}; expected one point per keypoint')
    size = found.get('size')
    corners = keypoints is not None and keypoints.model == 'cuboid8' and size is not None
    return ObjectSpec(
        name,
        size=size,
        shape=shape,
        mesh=mesh,
        mesh_unit=found.get('mesh_unit', 'm'),
        mesh_origin=found.get('mesh_origin', 'center'),
        symmetries=all_symmetries(shape, found.get('symmetry'), corners or points is not None),
        keypoints=points,
        tags=tags,
    )


def _shared_tags(objects: Mapping[str, Sourced[ObjectSpec]]) -> list[str]:
    """A problem for every pair of places that have the same tag."""
    owner: dict[tuple[str, int], str] = {}
    twice: dict[tuple[str, str], list[str]] = {}
    for name, item in objects.items():
        for tag in item.value.tags:
            key = (FAMILIES[tag.family].code, tag.id)  # a print of 4x4_50 is one of 4x4_100, too
            first = owner.get(key)
            if first is not None:
                twice.setdefault((first, name), []).append(f'{tag.family} {tag.id}')
            owner.setdefault(key, name)
    return [
        f'{objects[second].source}: objects: {_some(found)} {"is" if len(found) == 1 else "are"} on '
        + (f'{first} twice' if first == second else f'{first} and on {second}')
        + '; each tag must tell where it is: print other ids'
        for (first, second), found in twice.items()
    ]


def _some(names: Sequence[str]) -> str:
    """The first few."""
    return f'{"tag" if len(names) == 1 else "tags"} {", ".join(names[:4])}' + (', ...' if len(names) > 4 else '')


def _doubts(name: str, given: Mapping[str, Sourced[Any]]) -> list[str]:
    """A note for an implausible size."""
    size = given.get('size')
    if size is None or DOUBTFULLY_SMALL_M <= max(size.value) <= DOUBTFUL_M:
        return []
    shown = ', '.join(f'{item:g}' for item in size.value)
    doubt = looks_like(size.value) if max(size.value) > DOUBTFUL_M else looks_tiny(size.value)
    return [f'{size.source}: objects.{name}.size: [{shown}]: metres expected, {doubt}']


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
