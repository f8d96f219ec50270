# SPDX-License-Identifier: Apache-2.0
"""A model's card with one thing changed, for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from isaac_inference.models import ModelCard, PreprocessSpec


def with_preprocess(card: ModelCard, preprocess: PreprocessSpec) -> ModelCard:
    """The card with another way from image to tensor."""
    return replace(card, inputs=(replace(card.image, preprocess=preprocess), *card.inputs[1:]))


def with_detection(card: ModelCard, **changed: Any) -> ModelCard:
    """The card with another decoder, or other options of it."""
    return replace(card, spec=replace(card.detection, **changed))
