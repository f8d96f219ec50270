# SPDX-License-Identifier: Apache-2.0
"""What a built or converted engine is compared with: the model's own file on the CPU."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import numpy as np

from isaac_inference.engines.registry import create_engine, on_cpu
from isaac_inference.errors import ConfigError
from isaac_inference.models.card.card import ModelCard

_log = logging.getLogger(__name__)

Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""Feeds -> outputs, as `Engine.infer`."""

Reference = Callable[[ModelCard], AbstractContextManager[Run | None]]
"""Runs a model as its file says while the context lasts; None where there is nothing that could."""


@contextlib.contextmanager
def cpu_reference(card: ModelCard) -> Iterator[Run | None]:
    """The `Reference` of this package: the backend that runs on the CPU; None, with a warning, where it is missing.

    Raises:
        EngineError: that backend can't load the model.
    """
    backend, settings = on_cpu()
    try:
        engine = create_engine(card, backend, settings=settings)
    except ConfigError as error:
        _log.warning('%s: a new engine is checked for NaN only, with nothing to compare it with: %s', card.name, error)
        yield None
        return
    with engine:
        yield engine.infer
