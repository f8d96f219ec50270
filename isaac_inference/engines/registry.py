# SPDX-License-Identifier: Apache-2.0
"""The backends by name. A backend's library is imported only when that backend is chosen."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType
from typing import Any

from isaac_inference.engines.base import Engine
from isaac_inference.engines.preparation import EnginePreparation
from isaac_inference.engines.settings import BackendSettings, settings_info
from isaac_inference.errors import ConfigError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.card_file import suggest


@dataclass(frozen=True)
class Backend:
    """One way to run a model.

    Attributes:
        name: what parameters call it.
        engine: 'module:name' of what makes its Engine, not yet open, of a ModelCard and the backend's settings.
        library: the Python module that it needs.
        install: what to do when that is missing.
        packages: distributions that may bring the library, for its version.
        probe: 'module:function' that returns why the backend can't run on this machine, '' when it can; cheap, and
            called only where the library is there. Empty: nothing more than the library is needed.
        title: what people call it.
        settings: 'module:Class' of its settings, importable without the library. Empty: it has none.
        on_cpu: settings with which it runs models on the CPU of any machine, so that it serves as the last resort and
            as what other engines are compared with; None where it can't.
        preparation: 'module:function' of (ModelCard, settings) that begins what takes minutes before an engine can be
            opened, and returns it, or None where there is nothing to do. Empty: an engine can be opened at once.
    """

    name: str
    engine: str
    library: str
    install: str
    packages: tuple[str, ...]
    probe: str = ''
    title: str = ''
    settings: str = ''
    on_cpu: Mapping[str, Any] | None = None
    preparation: str = ''

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
        try:
            reason = str(_named(self.probe)())
        except ImportError as error:
            reason = str(error)
        return f'cannot run here: {reason}' if reason else ''

    @property
    def version(self) -> str | None:
        """Version of the installed library; None when it is missing or does not tell."""
        for package in self.packages:
            try:
                return metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
        return None

    @property
    def settings_type(self) -> type[BackendSettings]:
        """The class of its settings."""
        found: type[BackendSettings] = _named(self.settings) if self.settings else BackendSettings
        return found

    def load(self) -> Callable[[ModelCard, BackendSettings], Engine]:
        """What makes its engines; raises ConfigError when the library or what the probe asks for is missing."""
        self._check_available()
        make: Callable[[ModelCard, BackendSettings], Engine] = _named(self.engine)
        return make

    def prepare(self, card: ModelCard, settings: BackendSettings) -> EnginePreparation | None:
        """Begin what takes minutes before an engine can be opened, in the background; None where nothing does.

        Raises:
            ConfigError: the backend can't run here, or the settings don't fit the model.
            EngineError: what was prepared earlier can't be used.
        """
        if not self.preparation:
            return None
        self._check_available()
        begun: EnginePreparation | None = _named(self.preparation)(card, settings)
        return begun

    def choose_settings(
        self, given: Mapping[str, BackendSettings] = MappingProxyType({}), **options: Any
    ) -> BackendSettings:
        """This backend's settings.

        Args:
            given: backend's name -> settings, from which this one's are taken; the defaults where there are none.
            options: single settings that are to differ from those.

        Raises:
            ConfigError: an unknown name, settings of another backend, or values that can't be used.
        """
        for name, settings in given.items():
            wanted = _by_name(name, 'settings').settings_type
            if not isinstance(settings, wanted):
                raise ConfigError(f'settings: got {type(settings).__name__} for {name!r}, expected {wanted.__name__}')
        known = settings_info(self.settings_type)
        for name in options:
            if name not in known:
                raise ConfigError(f'backend {self.name!r}: unknown option {name!r}; {self._hint(name, known)}')
        return dataclasses.replace(given.get(self.name) or self.settings_type(), **options)

    def _hint(self, name: str, known: Iterable[str]) -> str:
        """What an unknown option may be instead."""
        owners = [item.name for item in BACKENDS if name in settings_info(item.settings_type)]
        return f'it is one of backend {" or ".join(map(repr, owners))}' if owners else suggest(name, list(known))

    def _check_available(self) -> None:
        reason = self.why_not
        if reason:
            raise ConfigError(f'backend {self.name!r} {reason}')


BACKENDS: tuple[Backend, ...] = (
    Backend(
        'tensorrt',
        'isaac_inference.engines.tensorrt.factory:make_engine',
        'tensorrt',
        'install it with `pip install tensorrt pycuda` (on a Jetson it is part of JetPack: python3-libnvinfer)',
        ('tensorrt', 'tensorrt-cu13', 'tensorrt-cu12', 'tensorrt-cu13-bindings', 'tensorrt-cu12-bindings'),
        'isaac_inference.cuda.availability:why_no_gpu',
        title='TensorRT',
        settings='isaac_inference.engines.tensorrt.settings:TensorRtSettings',
        preparation='isaac_inference.engines.tensorrt.factory:start_build',
    ),
    Backend(
        'onnxruntime',
        'isaac_inference.engines.onnxruntime.runner:OnnxRuntimeEngine',
        'onnxruntime',
        'install it with `pip install onnxruntime` (or onnxruntime-gpu for CUDA)',
        ('onnxruntime', 'onnxruntime-gpu'),
        title='ONNX Runtime',
        settings='isaac_inference.engines.onnxruntime.settings:OnnxRuntimeSettings',
        on_cpu=MappingProxyType({'providers': ('cpu',)}),
    ),
)
"""Every backend that there is, the best first: 'auto' takes the first available."""


def available_backends() -> tuple[Backend, ...]:
    """The backends that can run here, the best first: their library is installed, and for TensorRT so is PyCUDA and
    there is a GPU. No library is imported but, to look for a GPU, CUDA's driver.
    """
    return tuple(backend for backend in BACKENDS if backend.is_available)


def create_engine(
    card: ModelCard,
    backend: str = 'auto',
    *,
    settings: Mapping[str, BackendSettings] = MappingProxyType({}),
    **options: Any,
) -> Engine:
    """An engine for a model, not yet open.

        create_engine(card)
        create_engine(card, 'onnxruntime', threads=2)
        create_engine(card, settings={'tensorrt': TensorRtSettings(precision='fp16')})

    Args:
        card: the model, from `isaac_inference.models.read_card`.
        backend: a name in `BACKENDS`, or 'auto' for the best one that can run here.
        settings: backend's name -> its settings, for as many backends as may be chosen; the others' are left alone.
        options: single settings of the chosen backend, none of which may be unknown to it; they go before `settings`.

    Raises:
        ConfigError: an unknown backend, setting or option, or a backend that was asked for by name and can't run here.
    """
    chosen = choose_backend(backend)
    make = chosen.load()
    return make(card, chosen.choose_settings(settings, **options))


def choose_backend(name: str) -> Backend:
    """The backend of that name, or the best one for 'auto'."""
    if name == 'auto':
        found = available_backends()
        if not found:
            hints = '; '.join(f'{backend.name} {backend.why_not}' for backend in BACKENDS)
            raise ConfigError(f'backend: none can run here: {hints}')
        return found[0]
    return _by_name(name, 'backend', 'auto')


def cpu_backend() -> Backend:
    """The backend that runs models on the CPU of any machine: the best one that is installed, else the best one.

    Raises:
        ConfigError: there is no such backend.
    """
    found = [backend for backend in BACKENDS if backend.on_cpu is not None]
    if not found:
        raise ConfigError('backend: no known backend runs models on the CPU')
    return next((backend for backend in found if backend.is_available), found[0])


def on_cpu(
    settings: Mapping[str, BackendSettings] = MappingProxyType({}),
) -> tuple[str, dict[str, BackendSettings]]:
    """(backend, settings) for `create_engine` with which a model runs on the CPU; what else `settings` say stays."""
    backend = cpu_backend()
    return backend.name, {**settings, backend.name: backend.choose_settings(settings, **(backend.on_cpu or {}))}


def _by_name(name: str, what: str, *more: str) -> Backend:
    """The backend of a name; `what` was to name it and might have been one of `more` too."""
    for backend in BACKENDS:
        if backend.name == name:
            return backend
    known = ', '.join([*more, *(backend.name for backend in BACKENDS)])
    raise ConfigError(f'{what}: got {name!r}; known are: {known}')


def _named(path: str) -> Any:
    """What 'module:name' stands for."""
    module, _, name = path.partition(':')
    return getattr(importlib.import_module(module), name)
