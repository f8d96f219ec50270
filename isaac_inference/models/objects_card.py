# SPDX-License-Identifier: Apache-2.0
"""A card of objects without a model: for detectors of any origin, and for tags."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from isaac_inference.errors import ModelError
from isaac_inference.models.card.card import HASH_DIGITS, CardId, ModelCard
from isaac_inference.models.card.card_file import NEXT, read_card_file
from isaac_inference.models.card.objects import ObjectSpec
from isaac_inference.models.card.sourced import CardValues, values_of
from isaac_inference.models.card.tags import CORNERS
from isaac_inference.models.card.tasks import KeypointSpec
from isaac_inference.models.recognition.class_objects import given_objects, resolve_objects, tags_of
from isaac_inference.models.recognition.keypoints import POINTS_OF

_OURS = ('name', 'labels')


@dataclass(frozen=True)
class ObjectsCard:
    """Objects and their keypoints, without a model; made by `read_objects_card`.

    Attributes:
        name: the file's stem unless the card says otherwise.
        labels: class names; those of the objects where the card has no labels.
        objects: class name -> its object; immutable.
        keypoints: what comes with each box on the topic `keypoints`; an object with fewer points has the first ones.
        is_open: detections may have other classes too: the card has no labels.
        notes: what is worth one warning in a log.
    """

    name: str
    labels: tuple[str, ...]
    objects: Mapping[str, ObjectSpec] = field(default_factory=dict)
    keypoints: KeypointSpec | None = None
    is_open: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, 'objects', MappingProxyType(dict(self.objects)))

    @property
    def id(self) -> CardId:
        """Of what the rows of keypoints mean: the classes, and the points of each."""
        points = [(name, spec.keypoints) for name, spec in self.objects.items()]
        meaning = repr((self.labels, self.keypoints, points)).encode()
        return CardId(hashlib.sha256(meaning).hexdigest()[:HASH_DIGITS], self.name)

    @property
    def has_tags(self) -> bool:
        """Whether any object has tags."""
        return any(spec.tags for spec in self.objects.values())


AnyCard = ModelCard | ObjectsCard
"""What says which objects there are: the card of a model, or one of objects alone."""


def read_objects_card(path: Path) -> ObjectsCard:
    """The card of a YAML file as `card_file` describes it; what it says of a model is not looked at.

    Raises:
        ModelError: the file cannot be read, has no objects, or something is wrong with them; all at once.
    """
    values, origin = read_card_file(path), f'card {path.name}'
    given = given_objects(values)
    if not given:
        raise ModelError(
            f'{origin}: no objects; a card without a model needs `objects: {{<class>: {{size: [x, y, z] in metres}}}}` '
            'or objects with tags; where the card belongs to a model, set model too'
        )
    labels = values['labels'].value if 'labels' in values else tuple(given)
    problems: list[str] = []
    keypoints = _keypoints(values, origin, problems)
    try:
        objects, notes = resolve_objects(values, labels, keypoints, of_model=False)
    except ModelError as error:
        problems.append(str(error))
    if problems:
        raise ModelError(NEXT.join(problems))
    name = values['name'].value if 'name' in values else path.stem
    unused = sorted({key.partition('.')[0] for key in values} - {*_OURS, 'objects', 'keypoints'})
    if unused:
        notes = (*notes, f'{origin}: {", ".join(unused)} say something of a model, and none is given: not used')
    return ObjectsCard(name, labels, values_of(objects), keypoints, 'labels' not in values, notes)


def _keypoints(values: CardValues, origin: str, problems: list[str]) -> KeypointSpec | None:
    """As the card says; else as many as the object with most points or tag corners has; None without any."""
    said = {
        name: values[f'keypoints.{name}'].value for name in ('count', 'dims', 'model') if f'keypoints.{name}' in values
    }
    given = given_objects(values)
    corners = {name: CORNERS * len(tags_of(fields)) for name, fields in given.items() if tags_of(fields)}
    points = {name: len(fields['keypoints'].value) for name, fields in given.items() if 'keypoints' in fields}
    model, count = said.get('model', ''), said.get('count')
    if model and count is None:
        count = POINTS_OF[model]
    if model and count != POINTS_OF[model]:
        problems.append(
            f'{origin}: keypoints.count: got {count}, but the keypoint model {model} has {POINTS_OF[model]}; correct '
            'one of them'
        )
    if corners and said:
        problems.append(
            f'{origin}: keypoints: {next(iter(corners))} has tags, whose corners are the keypoints; remove the section'
        )
    most = max((*corners.values(), *points.values()), default=0)
    if corners:
        others = [name for name in given if name not in corners]
        if others:
            problems.append(
                f'{origin}: objects: {next(iter(corners))} has tags, {", ".join(others)} none; what is found by tags '
                'and what another detector finds are two sources: give each a card, and a pose node, of its own'
            )
        return KeypointSpec(most)
    if count is None and len(set(points.values())) > 1:
        listed = ', '.join(f'{name} {number}' for name, number in points.items())
        problems.append(f'{origin}: objects: the objects have different numbers of keypoints ({listed}); expected one')
    count = most if count is None else count
    return KeypointSpec(count, said.get('dims', 3), model) if count else None
