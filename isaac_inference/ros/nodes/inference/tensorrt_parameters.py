# SPDX-License-Identifier: Apache-2.0
"""TensorRT's settings as parameters of a node: one for each, made from the settings themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

from isaac_inference.engines.tensorrt.settings import SettingInfo, TensorRtSettings, settings_info
from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.parameters.schema import param

GROUP = 'tensorrt'


def _parameter(field: dataclasses.Field[Any], info: SettingInfo) -> tuple[str, Any, Any]:
    """(name, type, field) for `dataclasses.make_dataclass`."""
    kind = type(field.default)
    if kind is tuple:
        kind = tuple[int, ...] if field.name.endswith('_wh') else tuple[str, ...]
    choices = f' One of: {", ".join(info.choices)}.' if info.choices else ''
    default: Any = param(
        field.default, info.description + choices, unit=info.unit, minimum=info.minimum, maximum=info.maximum
    )
    return field.name, kind, default


TensorRtParameters: Any = dataclasses.make_dataclass(
    'TensorRtParameters',
    [_parameter(field, settings_info()[field.name]) for field in dataclasses.fields(TensorRtSettings)],
    frozen=True,
    namespace={'__doc__': 'Parameters of the TensorRT backend; they are `TensorRtSettings`.', '__module__': __name__},
)


def tensorrt_settings(parameters: Any) -> TensorRtSettings:
    """The settings that an instance of `TensorRtParameters` says.

    Raises:
        ConfigError: values that make no sense, or not together.
    """
    values = {field.name: getattr(parameters, field.name) for field in dataclasses.fields(parameters)}
    try:
        return TensorRtSettings(**values)
    except ConfigError as error:
        raise ConfigError(f'parameter {GROUP}.{error}') from None
