# SPDX-License-Identifier: Apache-2.0
"""One frame's tensors for several models that take the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from isaac_inference.errors import ConfigError
from isaac_inference.models import CardId, ModelCard, read_card
from isaac_inference.ros.messages.tensors import TensorFrame
from isaac_inference.stages.image.same_input import same_input


@dataclass(frozen=True)
class Sharer:
    """A model that takes the tensors of another one.

    Attributes:
        card: its own.
        names: name of each tensor of that other model -> its name in this one.
    """

    card: CardId
    names: Mapping[str, str]

    def frame(self, frame: TensorFrame) -> TensorFrame:
        """That model's frame for this one: the same arrays, by reference."""
        tensors = {self.names[name]: array for name, array in frame.tensors.items()}
        return replace(frame, tensors=tensors, card=self.card)


def sharers(card: ModelCard, models: Sequence[str], model_cards: Sequence[str]) -> list[Sharer]:
    """Those who share a model's tensors.

    Args:
        card: of the model that they are prepared for.
        models: paths of the others.
        model_cards: of their cards, '' for one beside its model; shorter than `models` where the last have none.

    Raises:
        ConfigError: a model can't be read, or takes other tensors.
    """
    if len(model_cards) > len(models):
        raise ConfigError(
            f'parameter also_model_cards: got {len(model_cards)} for {len(models)} also_models, expected one for each '
            'at most; leave the others out'
        )
    cards = [*model_cards, *[''] * (len(models) - len(model_cards))]
    return [_sharer(card, read_card(*pair)) for pair in zip(models, cards, strict=True)]


def _sharer(card: ModelCard, other: ModelCard) -> Sharer:
    names = same_input(card, other)
    if names is None:
        raise ConfigError(
            f'parameter also_models: {other.path} takes other tensors than {card.path}; `isaac-inference info` shows '
            'size, layout, type and preprocessing of both. Start a preprocess node of its own for it'
        )
    return Sharer(other.id, names)
