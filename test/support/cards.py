# SPDX-License-Identifier: Apache-2.0
"""A model's card with one thing changed, for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from isaac_inference.models import ModelCard, PreprocessSpec, reader


def with_preprocess(card: ModelCard, preprocess: PreprocessSpec) -> ModelCard:
    """The card with another way from image to tensor."""
    return replace(card, inputs=(replace(card.image, preprocess=preprocess), *card.inputs[1:]))


def with_detection(card: ModelCard, **changed: Any) -> ModelCard:
    """The card with another decoder, or other options of it."""
    return replace(card, spec=replace(card.detection, **changed))


def known_to_nodes(card: ModelCard) -> ModelCard:
    """Have `read_card` give this card for its file, in this process, as if the file said all that."""
    key = (card.path.resolve(), None)
    beside = (card.path.with_suffix(suffix).resolve() for suffix in ('.yaml', '.yml'))
    stamps = {path: reader._stamp(path) for path in (key[0], *beside)}
    reader._cache[key] = reader._Entry(card, stamps)
    return card
