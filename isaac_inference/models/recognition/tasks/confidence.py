# SPDX-License-Identifier: Apache-2.0
"""Which output of a network for depth or disparity says how sure each pixel is, where one does."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.recognition.layouts import values as numbers
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.layouts.roles import base_name
from isaac_inference.models.recognition.maps import DenseMap, dense_maps, numbers_of

CONFIDENCE = 'confidence'
"""The role of such an output."""

_WORD = 'conf'


def confidence_output(evidence: Evidence, values: CardValues, others: Collection[str]) -> Sourced[str] | None:
    """The output that has a number from 0 to 1 for each pixel and is named so, or that a card names; None without.

    An output whose name says confidence and whose numbers in a run leave 0..1, such as logits, is left aside.

    Args:
        evidence: what is known about the model.
        values: what the cards say.
        others: the outputs that play another role.

    Raises:
        ModelError: a card names no output, one that plays another role, or one that has not one number for each pixel.
    """
    maps = {
        item.spec.name: item for spec in evidence.outputs for item in dense_maps(evidence, spec) if item.has_one_channel
    }
    given = values.get(f'outputs.{CONFIDENCE}')
    if given is not None:
        if given.value not in maps or given.value in others:
            free = [name for name in maps if name not in others]
            raise ModelError(
                f'{given.source}: outputs.{CONFIDENCE}: got {given.value!r}, expected another output than '
                f'{", ".join(others)} that has one number for each pixel: {", ".join(free) or "there is none"}'
            )
        return Sourced(given.value, given.source)
    for name, found in maps.items():
        if name not in others and _WORD in base_name(name) and _are_shares(evidence, found):
            return Sourced(name, f'name of {name}')
    return None


def _are_shares(evidence: Evidence, found: DenseMap) -> bool:
    """Whether the numbers are 0..1 in a run; True where the model cannot be run here."""
    array = numbers_of(evidence, found)
    return array is None or (bool(np.isfinite(array).all()) and numbers.are_probabilities(array))
