# SPDX-License-Identifier: Apache-2.0
"""The backends by name. A backend's library is imported only when that backend is chosen."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType
from typing import Any

from isaac_inference.engines.base import Engine
from isaac_inference.errors import ConfigError
from isaac_inference.models.card import ModelCard
from isaac_inference.models.card_file import suggest


@dataclass(frozen=True)
class Backend:
    """One way to run a model.

    Attributes:
        name: what parameters call it.
        engine: 'module:Class' of its Engine.
        library: the Python module that it needs.
        install: what to do when that is missing.
        packages: distributions that may bring the library, for its version.
    """

    name: str
    engine: str
    library: str
    install: str
    packages: tuple[str, ...]

    @property
    def is_available(self) -> bool:
        """True when the library can be found; it is not imported."""
        try:
            return importlib.util.find_spec(self.library) is not None
        except (ImportError, ValueError):
            return False

    @property
    def version(self) -> str | None:
        """Version of the installed library; None when it is missing or does not tell."""
        for package in self.packages:
            try:
                return metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
        return None

    def load(self) -> type[Engine]:
        """The engine's class; raises ConfigError when the library is missing."""
        if not self.is_available:
            raise ConfigError(
                f'backend {self.name!r} needs the Python module {self.library!r}, which is missing; {self.install}'
            )
        module, _, name = self.engine.partition(':')
        engine: type[Engine] = getattr(importlib.import_module(module), name)
        return engine


BACKENDS: tuple[Backend, ...] = (
    Backend(
        'onnxruntime',
        'isaac_inference.engines.onnxruntime.runner:OnnxRuntimeEngine',
        'onnxruntime',
        'install it with `pip install onnxruntime` (or onnxruntime-gpu for CUDA)',
        ('onnxruntime', 'onnxruntime-gpu'),
    ),
)
"""Every backend that there is, the best first: 'auto' takes the first available."""


def available_backends() -> tuple[Backend, ...]:
    """The backends whose library is installed, the best first; none of them is imported."""
    return tuple(backend for backend in BACKENDS if backend.is_available)


def create_engine(
    card: ModelCard, backend: str = 'auto', *, shared: Mapping[str, Any] = MappingProxyType({}), **options: Any
) -> Engine:
    """An engine for a model, not yet open.

    Args:
        card: the model, from `isaac_inference.models.read_card`.
        backend: a name in `BACKENDS`, or 'auto' for the best one that is installed.
        shared: settings of several backends, of which each takes those that it has; how a node hands over its
            parameters without knowing the backend.
        options: the backend's own settings, none of which may be unknown to it; onnxruntime takes `providers`,
            `threads` and `spinning`.

    Raises:
        ConfigError: an unknown backend or option, or a library that is missing.
    """
    engine = _choose(backend).load()
    known = [name for name in inspect.signature(engine).parameters if name != 'card']
    for name in options:
        if name not in known:
            raise ConfigError(f'backend {engine.backend!r}: unknown option {name!r}; {suggest(name, known)}')
    return engine(card, **{**{name: shared[name] for name in shared if name in known}, **options})


def _choose(name: str) -> Backend:
    """The backend of that name, or the best one for 'auto'."""
    if name == 'auto':
        found = available_backends()
        if not found:
            hints = '; '.join(f'{backend.name}: {backend.install}' for backend in BACKENDS)
            raise ConfigError(f'backend: no inference library is installed; choose one: {hints}')
        return found[0]
    for backend in BACKENDS:
        if backend.name == name:
            return backend
    raise ConfigError(f'backend: got {name!r}; known are: auto, {", ".join(backend.name for backend in BACKENDS)}')
