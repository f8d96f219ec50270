# SPDX-License-Identifier: Apache-2.0
"""Whether two models take the same tensors of one image, whatever they call them."""

from __future__ import annotations

from typing import Any

from isaac_inference.models.card.card import ModelCard


def same_input(one: ModelCard, other: ModelCard) -> dict[str, str] | None:
    """How the tensors of one model are named in another that takes the same ones.

    Equal are size, layout and type of the tensor, how an image becomes it (letterbox, colour order, mean, std, padding,
    interpolation), and the values that are fed beside it.

    Args:
        one, other: models that see one image.

    Returns:
        Name of each input of `one` -> its name in `other`; None where they take different tensors.
    """
    if len(one.images) != 1 or len(other.images) != 1 or _prepared(one) != _prepared(other):
        return None
    mine, theirs = ([card.image.tensor, *(item.tensor for item in card.value_inputs)] for card in (one, other))
    return {tensor.name: same.name for tensor, same in zip(mine, theirs, strict=True)}


def _prepared(card: ModelCard) -> tuple[Any, ...]:
    """All that decides what a model is fed for an image."""
    image = card.image
    values = [
        (item.role, item.tensor.dtype, len(item.tensor.shape), item.tensor.shape[1:], item.fixed)
        for item in card.value_inputs
    ]
    return image.wh, image.layout, image.shape(), image.tensor.dtype, image.preprocess, values
