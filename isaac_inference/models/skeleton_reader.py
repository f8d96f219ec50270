# SPDX-License-Identifier: Apache-2.0
"""The skeleton that a model's keypoints are, for those who draw people or bring them into space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isaac_inference.errors import ModelError
from isaac_inference.models.card.card import CardId
from isaac_inference.models.card.card_file import read_card_file
from isaac_inference.models.card.find_card import find_card
from isaac_inference.models.card.skeletons.read import SKELETONS
from isaac_inference.models.card.skeletons.spec import SkeletonSpec
from isaac_inference.models.reader import read_card


@dataclass(frozen=True)
class NamedSkeleton:
    """A skeleton, and whose it is.

    Attributes:
        spec: its points, edges and sides.
        name: the model's, or the card's where there is no model.
        card: of the model whose keypoints have it; None where a detector of any origin may have found them.
    """

    spec: SkeletonSpec
    name: str
    card: CardId | None = None


def read_skeleton(model: str | Path, card: str | Path | None = None) -> NamedSkeleton:
    """The skeleton by a model's card, or by a card alone, for keypoints of any origin.

    Args:
        model: path of the ONNX model whose keypoints are published; '' for none.
        card: path of a YAML card, or its name in config/models; '' is the same as None.

    Raises:
        ModelError: a file cannot be read, or nothing says what the keypoints are; with the line that does.
    """
    if str(model):
        made = read_card(model, card)
        keypoints = getattr(made.spec, 'keypoints', None)
        if keypoints is None:
            raise ModelError(f'model {made.name}: its task is {made.task.value}, which has no keypoints; {_MODEL}')
        if keypoints.skeleton is None:
            raise ModelError(
                f'model {made.name}: nothing says what its {keypoints.count} keypoints are, so they make no skeleton; '
                f'{_line(keypoints.count)}'
            )
        return NamedSkeleton(keypoints.skeleton, made.name, made.id)
    if card is None or not str(card):
        raise ModelError(f'parameters model and model_card: got nothing; {_MODEL}, or {_CARD}')
    path = find_card(card)
    values = read_card_file(path)
    if 'keypoints.skeleton' not in values:
        raise ModelError(f'card {path.name}: no keypoints.skeleton; {_line(None)}')
    spec: SkeletonSpec = values['keypoints.skeleton'].value
    return NamedSkeleton(spec, values['name'].value if 'name' in values else path.stem)


_CARD = 'model_card:=<card>.yaml, a card with the line "keypoints: {skeleton: coco17}", for keypoints of another origin'
_MODEL = 'give model:=/path/to/model.onnx of a model that finds the keypoints of people'


def _line(count: int | None) -> str:
    """The line for a card of a model with that many keypoints, or of any number."""
    known = [name for name, spec in SKELETONS.items() if count in (None, len(spec.names))]
    if known:
        return 'add to its card: ' + ' or '.join(f'"keypoints: {{skeleton: {name}}}"' for name in known)
    have = ', '.join(f'{name} ({len(spec.names)} points)' for name, spec in SKELETONS.items())
    return (
        'add to its card: "keypoints: {skeleton: {names: [nose, left_eye, ...], edges: [[nose, left_eye], ...], '
        f'left: [left_eye, ...], right: [right_eye, ...]}}}}", with its {count} names in its order; '
        f'known by name: {have}'
    )
