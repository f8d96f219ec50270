# SPDX-License-Identifier: Apache-2.0
"""How many frames run together: what is asked for, what the model takes, and how many streams there are."""

from __future__ import annotations

from isaac_inference.engines.settings import BackendSettings
from isaac_inference.errors import ConfigError
from isaac_inference.models.card.card import ModelCard


def settings_for(settings: BackendSettings, card: ModelCard, asked: int, streams: int, backend: str) -> BackendSettings:
    """A backend's settings with which so many frames can run together.

    Where the settings say nothing of batches, and the model takes any number, an engine is built for as many as
    `asked`, or as there are streams.

    Args:
        settings: as they are.
        card: the model.
        asked: `max_batch`; 0: as many as there are streams.
        streams: how many there are.
        backend: its name, for messages.

    Raises:
        ConfigError: more than the model takes, or than the settings let an engine take.
    """
    if not card.dynamic_batch:
        check_batch(asked, card.images[0].tensor.shape[0] if card.images and card.images[0].has_batch else 1, card, '')
        return settings
    chosen = settings.for_batch(min(asked, streams) if asked else streams)
    if chosen is settings and chosen.bounds_batch and streams > 1:
        check_batch(asked, chosen.largest_batch, card, f'; {backend}.max_batch says so')
    return chosen


def check_batch(asked: int, most: int | None, card: ModelCard, why: str = '') -> None:
    """Raises ConfigError for a `max_batch` that is more than so many."""
    if most is None or asked <= most:
        return
    remedy = 'export it with a dynamic batch axis' if not card.dynamic_batch else 'let its engine take more'
    raise ConfigError(
        f'parameter max_batch: got {asked}, but model {card.name} takes at most {most} image{"s" * (most > 1)} at '
        f'once{why}; {remedy}, or set max_batch to 0 for as many as it takes'
    )
