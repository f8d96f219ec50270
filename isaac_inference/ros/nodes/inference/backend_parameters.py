# SPDX-License-Identifier: Apache-2.0
"""Every backend's settings as parameters of a node: a group for each backend, made from the settings themselves."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, TypeVar

from isaac_inference.engines.registry import BACKENDS, Backend
from isaac_inference.engines.settings import BackendSettings, settings_info
from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param

P = TypeVar('P', bound=NodeParameters)


def with_backend_groups(schema: type[P]) -> type[P]:
    """A class decorator: the schema with one more group of parameters for each backend that has settings, under the
    backend's name: `onnxruntime.threads`.
    """
    groups: list[tuple[str, Any, Any]] = [
        (backend.name, Any, group(_group(backend), f'{backend.title}:')) for backend in BACKENDS if backend.settings
    ]
    made: type[P] = dataclasses.make_dataclass(
        schema.__name__,
        groups,
        bases=(schema,),
        frozen=True,
        namespace={'__doc__': schema.__doc__, '__module__': schema.__module__},
    )
    return made


def backend_settings(parameters: Any) -> dict[str, BackendSettings]:
    """Backend's name -> the settings that a node's parameters say, for `create_engine`.

    Args:
        parameters: an instance of a schema made by `with_backend_groups`.

    Raises:
        ConfigError: values that make no sense, or not together; the message begins with the parameter's name.
    """
    return {
        backend.name: _settings(backend, getattr(parameters, backend.name))
        for backend in BACKENDS
        if backend.settings and hasattr(parameters, backend.name)
    }


def _group(backend: Backend) -> Any:
    """One backend's parameters at their defaults."""
    settings = backend.settings_type
    kinds = typing.get_type_hints(settings)
    fields = [(name, kinds[name], _parameter(settings, name)) for name in settings_info(settings)]
    return dataclasses.make_dataclass(f'{settings.__name__}Parameters', fields, frozen=True)()


def _parameter(settings: type[BackendSettings], name: str) -> Any:
    info = settings_info(settings)[name]
    choices = f' One of: {", ".join(info.choices)}.' if info.choices else ''
    default = getattr(settings, name)
    return param(default, info.description + choices, unit=info.unit, minimum=info.minimum, maximum=info.maximum)


def _settings(backend: Backend, parameters: Any) -> BackendSettings:
    values = {field.name: getattr(parameters, field.name) for field in dataclasses.fields(parameters)}
    try:
        return backend.choose_settings(**values)
    except ConfigError as error:
        raise ConfigError(f'parameter {backend.name}.{error}') from None
