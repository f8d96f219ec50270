# SPDX-License-Identifier: Apache-2.0
"""What runs when the GPU's memory doesn't suffice: a smaller batch, and at last the CPU."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from isaac_inference.engines.base import Engine
from isaac_inference.engines.registry import create_engine
from isaac_inference.errors import DeviceMemoryError, EngineError
from isaac_inference.models.card.card import ModelCard

_log = logging.getLogger(__name__)

CPU = 'onnxruntime'
_SETTINGS = 'tensorrt'


def open_with_fallback(
    card: ModelCard,
    backend: str = 'auto',
    shared: Mapping[str, Any] = MappingProxyType({}),
    log: Callable[[str], object] = _log.warning,
    *,
    fallback: bool = False,
    create: Callable[..., Engine] = create_engine,
) -> Engine:
    """An open engine. Where it doesn't fit into the GPU's memory, and only if that is asked for: with half of the
    batch, again and again down to 1, and then on the CPU with ONNX Runtime.

    Args:
        card: the model.
        backend: as in `create_engine`.
        shared: as in `create_engine`; batches are those of its `tensorrt`, a TensorRtSettings.
        log: takes a sentence for each step down; the engine's `notes` has them too.
        fallback: False to raise what the first try raises.
        create: makes an engine that is not yet open.

    Raises:
        DeviceMemoryError: too little GPU memory, with `fallback` false.
        ConfigError, EngineError: the first try failed for another reason, or the CPU can't run the model either.
    """
    notes: list[str] = []
    shared = dict(shared)
    smaller = _smaller_batches(card, shared.get(_SETTINGS))
    while True:
        engine = create(card, backend, shared=shared)
        try:
            engine.open()
        except EngineError as error:
            out_of_memory = isinstance(error, DeviceMemoryError)
            if not fallback or engine.backend == CPU or not (out_of_memory or notes):
                raise
            # a smaller engine may fail otherwise too: it was never built, and nothing may build it
            settings = next(smaller, None) if out_of_memory else None
            if settings is None:
                backend, shared['providers'] = CPU, ('cpu',)
                step = 'it runs on the CPU instead'
            else:
                shared[_SETTINGS] = settings
                step = f'trying again with at most {settings.max_batch} image{"s" * (settings.max_batch > 1)} at once'
            note = f'{engine.name}: {step}, because: {error}'
            notes.append(note)
            log(note)
        else:
            engine.notes = (*engine.notes, *notes)
            return engine


def _smaller_batches(card: ModelCard, settings: Any) -> Iterator[Any]:
    """The settings with half of the largest batch, and so on down to 1; nothing for a model with a fixed batch."""
    while settings is not None and card.dynamic_batch and settings.max_batch > 1:
        most = settings.max_batch // 2
        settings = dataclasses.replace(
            settings,
            max_batch=most,
            opt_batch=min(settings.opt_batch, most),
            min_batch=min(settings.min_batch, most),
        )
        yield settings
