# SPDX-License-Identifier: Apache-2.0
"""What runs when the GPU's memory doesn't suffice: a smaller batch, and at last the CPU."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType

from isaac_inference.engines.base import Engine
from isaac_inference.engines.registry import choose_backend, cpu_backend, create_engine, on_cpu
from isaac_inference.engines.settings import BackendSettings
from isaac_inference.errors import DeviceMemoryError, EngineError
from isaac_inference.models.card.card import ModelCard

_log = logging.getLogger(__name__)


def open_with_fallback(
    card: ModelCard,
    backend: str = 'auto',
    settings: Mapping[str, BackendSettings] = MappingProxyType({}),
    log: Callable[[str], object] = _log.warning,
    *,
    fallback: bool = False,
    create: Callable[..., Engine] = create_engine,
) -> Engine:
    """An open engine. Where it doesn't fit into the GPU's memory, and only if that is asked for: with half of the
    batch, again and again down to 1, and then on the CPU with the backend that runs there.

    Args:
        card: the model.
        backend: as in `create_engine`.
        settings: as in `create_engine`; the batch is that of the backend that is chosen.
        log: takes a sentence for each step down; the engine's `notes` has them too.
        fallback: False to raise what the first try raises.
        create: makes an engine that is not yet open.

    Raises:
        DeviceMemoryError: too little GPU memory, with `fallback` false.
        ConfigError, EngineError: the first try failed for another reason, or the CPU can't run the model either.
    """
    notes: list[str] = []
    while True:
        engine = create(card, backend, settings=settings)
        try:
            engine.open()
        except EngineError as error:
            out_of_memory = isinstance(error, DeviceMemoryError)
            if not fallback or engine.backend == cpu_backend().name or not (out_of_memory or notes):
                raise
            # a smaller engine may fail otherwise too: it was never built, and nothing may build it
            smaller = _smaller_batch(card, engine.backend, settings) if out_of_memory else None
            if smaller is None:
                backend, settings = on_cpu(settings)
                step = 'it runs on the CPU instead'
            else:
                settings = {**settings, engine.backend: smaller}
                most = smaller.largest_batch
                step = f'trying again with at most {most} image{"s" * (most > 1)} at once'
            note = f'{engine.name}: {step}, because: {error}'
            notes.append(note)
            log(note)
        else:
            engine.notes = (*engine.notes, *notes)
            return engine


def _smaller_batch(card: ModelCard, backend: str, settings: Mapping[str, BackendSettings]) -> BackendSettings | None:
    """The backend's settings with half of the largest batch; None where there is no smaller one."""
    return choose_backend(backend).choose_settings(settings).smaller_batch() if card.dynamic_batch else None
