# SPDX-License-Identifier: Apache-2.0
"""One schema for parameters: a frozen dataclass gives type, default, unit, range and meaning in one place.

    @dataclass(frozen=True)
    class Parameters(NodeParameters):
        score_threshold: float = param(0.25, 'Minimum score of a detection.', minimum=0.0, maximum=1.0, live=True)
        image_qos: QosParameters = group(QosParameters(), 'Subscription to the image topic.')

ROS declaration, validation, live updates (node_parameters.py) and docs/parameters.md are derived from it.
A nested dataclass becomes dotted names: `image_qos.depth`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from isaac_inference.errors import ConfigError

T = TypeVar('T')
_KEY = 'param'
_NEAREST = 3  # names that are offered for one that there is not


class AutoSwitch(str, Enum):
    """Whether something is done; auto: as the parameter's description says."""

    AUTO = 'auto'
    TRUE = 'true'
    FALSE = 'false'


@dataclass(frozen=True)
class ParamInfo:
    """What a parameter's type can't say. `live`: may change while the node is configured."""

    description: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    live: bool = False


@dataclass(frozen=True)
class ParamSpec:
    """One flat ROS parameter: its dotted name, Python type, default and `ParamInfo`."""

    name: str
    type: Any
    default: Any
    info: ParamInfo

    @property
    def ros_default(self) -> Any:
        """The default in a type that rclpy accepts."""
        return to_ros_value(self.default)

    def expected(self) -> str:
        """What a value must be, in words: 'float in [0, 1]', "one of 'best_effort', 'reliable'"."""
        return _describe_type(self.type) + _describe_range(self.info)


def param(
    default: T,
    description: str,
    *,
    unit: str = '',
    minimum: float | None = None,
    maximum: float | None = None,
    live: bool = False,
) -> T:
    """A dataclass field that is a parameter: bool, int, float, str, a string Enum, or a tuple of one of them."""
    info = ParamInfo(description, unit, minimum, maximum, live)
    return dataclasses.field(default=default, metadata={_KEY: info})  # type: ignore[no-any-return]


def group(default: T, description: str) -> T:
    """A dataclass field that nests another parameter dataclass under its name."""
    info = ParamInfo(description)
    return dataclasses.field(default=default, metadata={_KEY: info})  # type: ignore[no-any-return]


def specs(schema: Any, prefix: str = '') -> Iterator[ParamSpec]:
    """All parameters of a schema (class or instance, whose values are then the defaults), in order."""
    hints = typing.get_type_hints(schema if isinstance(schema, type) else type(schema))
    for field in dataclasses.fields(schema):
        info = field.metadata.get(_KEY)
        if info is None:
            continue
        default = field.default if isinstance(schema, type) else getattr(schema, field.name)
        if dataclasses.is_dataclass(default):
            yield from (_described_by(info, spec) for spec in specs(default, f'{prefix}{field.name}.'))
        else:
            yield ParamSpec(prefix + field.name, hints[field.name], default, info)


def build(schema: type[T], values: Mapping[str, Any]) -> T:
    """A schema's instance from flat ROS values; parameters missing from `values` keep their defaults.

    Raises:
        ConfigError: lists every value that has the wrong type or is out of range, and unknown names.
    """
    known = {spec.name: spec for spec in specs(schema)}
    problems = [unknown_name(name, known) for name in values if name not in known]
    good: dict[str, Any] = {}
    for name, spec in known.items():
        try:
            good[name] = coerce(spec, values[name]) if name in values else spec.default
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError('\n'.join(problems))
    return _assemble(schema, good, '')


def flatten(instance: Any) -> dict[str, Any]:
    """The inverse of `build`: dotted name -> ROS value."""
    return {spec.name: to_ros_value(spec.default) for spec in specs(instance)}


def coerce(spec: ParamSpec, value: Any) -> Any:
    """`value` as the Python type of `spec`; an int is accepted as a float, a list as a tuple, and what YAML makes of
    `true` or `10` as an Enum's value of that name.

    Raises:
        ConfigError: names the parameter, the given value and what was expected.
    """
    try:
        result = _coerce(spec.type, value)
        _check_range(spec.info, result)
    except (TypeError, ValueError):
        raise ConfigError(
            f'parameter {spec.name}: got {value!r} ({type(value).__name__}), expected {spec.expected()}; '
            f'correct it in the parameter file or with "ros2 param set" (default: {spec.ros_default!r})'
        ) from None
    return result


def unknown_name(name: str, known: Iterable[str]) -> str:
    """The sentence for an undeclared parameter name; it gives the nearest of the known ones, not all."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    nearest = ', '.join(difflib.get_close_matches(name, known, n=_NEAREST, cutoff=0.0))
    hint = f'did you mean {close[0]}?' if close else f'nearest are: {nearest}; "ros2 param list" has all'
    return f'parameter {name}: no such parameter, {hint}'


def to_ros_value(value: Any) -> Any:
    """Enums to strings, tuples to lists; the rest unchanged."""
    if isinstance(value, tuple):
        return [to_ros_value(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _described_by(outer: ParamInfo, spec: ParamSpec) -> ParamSpec:
    text = f'{outer.description} {spec.info.description}'
    return dataclasses.replace(spec, info=dataclasses.replace(spec.info, description=text))


def _assemble(schema: Any, values: Mapping[str, Any], prefix: str) -> Any:
    chosen: dict[str, Any] = {}
    for field in dataclasses.fields(schema):
        if _KEY not in field.metadata:
            continue
        name = prefix + field.name
        if dataclasses.is_dataclass(field.default):
            chosen[field.name] = _assemble(field.default, values, f'{name}.')
        else:
            chosen[field.name] = values[name]
    return schema(**chosen) if isinstance(schema, type) else dataclasses.replace(schema, **chosen)


def _coerce(kind: Any, value: Any) -> Any:
    if typing.get_origin(kind) is tuple:
        if isinstance(value, (str, bytes)):
            raise TypeError
        item = typing.get_args(kind)[0]
        return tuple(_coerce(item, entry) for entry in value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(str(value).lower() if isinstance(value, (bool, int)) else value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise TypeError
    return value


def _check_range(info: ParamInfo, value: Any) -> None:
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError
        if info.minimum is not None and number < info.minimum:
            raise ValueError
        if info.maximum is not None and number > info.maximum:
            raise ValueError


def _describe_type(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f'list of {_describe_type(typing.get_args(kind)[0])}'
    if isinstance(kind, type) and issubclass(kind, Enum):
        return 'one of ' + ', '.join(repr(item.value) for item in kind)
    return {bool: 'true or false', int: 'whole number', float: 'number', str: 'text'}[kind]


def _describe_range(info: ParamInfo) -> str:
    if info.minimum is None and info.maximum is None:
        return ''
    if info.maximum is None:
        return f' of at least {info.minimum:g}'
    if info.minimum is None:
        return f' of at most {info.maximum:g}'
    return f' in [{info.minimum:g}, {info.maximum:g}]'
