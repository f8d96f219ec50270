# SPDX-License-Identifier: Apache-2.0
"""What a backend lets its users choose: a frozen dataclass for each backend, checked when it is made.

    @dataclass(frozen=True)
    class OnnxRuntimeSettings(BackendSettings):
        threads: int = setting(0, 'CPU threads of one inference; 0: all.', unit='threads', minimum=0)

Parameters of the inference node, options of the command line and docs/parameters.md are made from it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

from isaac_inference.errors import ConfigError

T = TypeVar('T')
_KEY = 'setting'
STREAM_PRIORITIES = ('low', 'normal', 'elevated', 'high')
"""What a GPU's streams may have; in the order of the classes of models, 0 (best effort) to 3 (safety)."""


@dataclass(frozen=True)
class SettingInfo:
    """What a setting's type can't say. `in_key`: built engines that differ in it are different engines."""

    description: str
    unit: str = ''
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    in_key: bool = False


@dataclass(frozen=True)
class BackendSettings:
    """The base of every backend's settings; raises ConfigError for a value of the wrong type or out of range.

    A field is a bool, int, float or str, or a tuple of ints or strings, made with `setting`.
    """

    def __post_init__(self) -> None:
        for name, info in settings_info(type(self)).items():
            _check(name, getattr(self, name), getattr(type(self), name), info)

    @property
    def largest_batch(self) -> int:
        """Most images at once that memory is taken for."""
        return 1

    @property
    def bounds_batch(self) -> bool:
        """Whether an engine takes no more than `largest_batch` images at once, whatever its model takes."""
        return False

    def for_batch(self, count: int) -> BackendSettings:
        """The same for engines that take `count` images at once, where the settings themselves say nothing of it."""
        return self

    def for_priority(self, priority: int) -> BackendSettings:
        """The same with a device's own priority for a class from 0 (best effort) to 3 (safety), 1 being the default,
        where the settings themselves say nothing of it.
        """
        return self

    def smaller_batch(self) -> BackendSettings | None:
        """The same with half of the largest batch, for a GPU with too little memory; None where it is 1 already."""
        return None


def setting(default: T, description: str, **info: Any) -> T:
    """A field of a settings dataclass; `info` are further fields of `SettingInfo`."""
    return dataclasses.field(default=default, metadata={_KEY: SettingInfo(description, **info)})  # type: ignore[no-any-return]


def settings_info(settings: type[BackendSettings]) -> dict[str, SettingInfo]:
    """Setting name -> what its type can't say, in the order of the fields."""
    return {item.name: item.metadata[_KEY] for item in dataclasses.fields(settings)}


def _check(name: str, value: Any, default: Any, info: SettingInfo) -> None:
    """Raise ConfigError unless the value has the default's type and is in range or among the choices."""
    if isinstance(default, (bool, str, int, float)):
        kinds = (int, float) if isinstance(default, float) else (type(default),)
        wrong = not isinstance(value, kinds) or (isinstance(value, bool) and not isinstance(default, bool))
        if wrong:
            raise ConfigError(f'{name}: got {value!r}, expected {type(default).__name__}')
    if info.choices:
        for item in value if isinstance(value, tuple) else (value,):
            if item not in info.choices:
                raise ConfigError(f'{name}: got {item!r}, expected one of {", ".join(info.choices)}')
    low, high = info.minimum, info.maximum
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        span = f'{low:g} or more' if high is None else f'{low:g} to {high:g}'
        raise ConfigError(f'{name}: got {value!r}, expected {span}{" " * bool(info.unit)}{info.unit}')
