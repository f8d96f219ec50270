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
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.card_file import suggest


@dataclass(frozen=True)
class Backend:
    """One way to run a model.

    Attributes:
        name: what parameters call it.
        engine: 'module:Class' of its Engine.
        library: the Python module that it needs.
        install: what to do when that is missing.
        packages: distributions that may bring the library, for its version.
        probe: 'module:function' that returns why the backend can't run on this machine, '' when it can; cheap, and
            called only where the library is there. Empty: nothing more than the library is needed.
    """

    name: str
    engine: str
    library: str
    install: str
    packages: tuple[str, ...]
    probe: str = ''

    @property
    def is_installed(self) -> bool:
        """True when the library can be found; it is not imported."""
        try:
            return importlib.util.find_spec(self.library) is not None
        except (ImportError, ValueError):
            return False

    @property
    def is_available(self) -> bool:
        """True when it can run here: the library is installed (it is not imported), and the probe has no objection."""
        return not self.why_not

    @property
    def why_not(self) -> str:
        """Why it can't run here and what to do, as the end of a sentence; '' when it can."""
        if not self.is_installed:
            return f'needs the Python module {self.library!r}, which is missing; {self.install}'
        if not self.probe:
            return ''
        module, _, name = self.probe.partition(':')
        try:
            reason = str(getattr(importlib.import_module(module), name)())
        except ImportError as error:
            reason = str(error)
        return f'can not run here: {reason}' if reason else ''

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
        """The engine's class; raises ConfigError when the library or what the probe asks for is missing."""
        reason = self.why_not
        if reason:
            raise ConfigError(f'backend {self.name!r} {reason}')
        module, _, name = self.engine.partition(':')
        engine: type[Engine] = getattr(importlib.import_module(module), name)
        return engine


BACKENDS: tuple[Backend, ...] = (
    Backend(
        'tensorrt',
        'isaac_inference.engines.tensorrt.runner:TensorRtEngine',
        'tensorrt',
        'install it with `pip install tensorrt pycuda` (on a Jetson it is part of JetPack: python3-libnvinfer)',
        ('tensorrt', 'tensorrt-cu13', 'tensorrt-cu12', 'tensorrt-cu13-bindings', 'tensorrt-cu12-bindings'),
        'isaac_inference.cuda.availability:why_no_gpu',
    ),
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
    """The backends that can run here, the best first: their library is installed, and for TensorRT so is PyCUDA and
    there is a GPU. No library is imported but, to look for a GPU, CUDA's driver.
    """
    return tuple(backend for backend in BACKENDS if backend.is_available)


def create_engine(
    card: ModelCard, backend: str = 'auto', *, shared: Mapping[str, Any] = MappingProxyType({}), **options: Any
) -> Engine:
    """An engine for a model, not yet open.

    Args:
        card: the model, from `isaac_inference.models.read_card`.
        backend: a name in `BACKENDS`, or 'auto' for the best one that can run here.
        shared: settings of several backends, of which each takes those that it has; how a node hands over its
            parameters without knowing the backend.
        options: the backend's own settings, none of which may be unknown to it; onnxruntime takes `providers`,
            `threads` and `spinning`, tensorrt takes `tensorrt`, its TensorRtSettings.

    Raises:
        ConfigError: an unknown backend or option, or one that was asked for by name and can't run here.
    """
    engine = choose_backend(backend).load()
    known = [name for name in inspect.signature(engine).parameters if name != 'card']
    for name in options:
        if name not in known:
            raise ConfigError(f'backend {engine.backend!r}: unknown option {name!r}; {suggest(name, known)}')
    return engine(card, **{**{name: shared[name] for name in shared if name in known}, **options})


def choose_backend(name: str) -> Backend:
    """The backend of that name, or the best one for 'auto'."""
    if name == 'auto':
        found = available_backends()
        if not found:
            hints = '; '.join(f'{backend.name} {backend.why_not}' for backend in BACKENDS)
            raise ConfigError(f'backend: none can run here: {hints}')
        return found[0]
    for backend in BACKENDS:
        if backend.name == name:
            return backend
    raise ConfigError(f'backend: got {name!r}; known are: auto, {", ".join(backend.name for backend in BACKENDS)}')
