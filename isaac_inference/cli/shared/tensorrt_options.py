# SPDX-License-Identifier: Apache-2.0
"""TensorRT's settings as command-line options, made from the dataclass that defines them."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from isaac_inference.engines.tensorrt.settings import SettingInfo, TensorRtSettings, settings_info
from isaac_inference.errors import ConfigError

_TRIPLES = {'batch': ('min_batch', 'opt_batch', 'max_batch'), 'size': ('min_wh', 'opt_wh', 'max_wh')}


def add_tensorrt_options(command: Any, without: tuple[str, ...] = ()) -> None:
    """Add an option for each setting but those of `without`, and `--batch` and `--size` for three at once."""
    group = command.add_argument_group('TensorRT')
    group.add_argument('--batch', default=None, metavar='MIN,OPT,MAX', help='images at once; one number: all three')
    group.add_argument('--size', default=None, metavar='WxH,WxH,WxH', help='smallest, optimum and largest [px]')
    add_setting_options(group, without)


def add_setting_options(group: Any, without: tuple[str, ...] = ()) -> None:
    """Add an option for each setting but those of `without`."""
    defaults = TensorRtSettings()
    for name, info in settings_info().items():
        if name not in without:
            _add(group, name, info, getattr(defaults, name))


def tensorrt_settings(arguments: argparse.Namespace, **fixed: Any) -> TensorRtSettings:
    """The settings of a command line; what was not given keeps its default. Raises ConfigError for unusable ones.

    Args:
        arguments: with the options of `add_tensorrt_options`.
        fixed: settings that are not the user's to choose.
    """
    given: dict[str, Any] = {}
    for option, names in _TRIPLES.items():
        text = getattr(arguments, option)
        if text is not None:
            parts = text.split(',')
            parts = parts * 3 if len(parts) == 1 else parts
            if len(parts) != 3:
                raise ConfigError(f'--{option}: got {text!r}, expected three values with commas, or one for all')
            parse = _whole if option == 'batch' else _size
            given.update({name: parse(f'--{option}', part) for name, part in zip(names, parts, strict=True)})
    single = given_settings(arguments)
    for name in single.keys() & given.keys():
        raise ConfigError(f'{_option(name)}: got it together with --batch or --size; give one of them')
    return TensorRtSettings(**{**given, **single, **fixed})


def given_settings(arguments: argparse.Namespace, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The settings that a command line gives, by name; ConfigError for a malformed one.

    Args:
        arguments: with the options of `add_setting_options`.
        without: as there; an option of the command's own may have such a name.
    """
    given: dict[str, Any] = {}
    for item in dataclasses.fields(TensorRtSettings):
        value = getattr(arguments, item.name, None)
        if value is None or item.name in without:
            continue
        if item.name.endswith('_wh'):
            value = _size(_option(item.name), value)
        elif isinstance(item.default, tuple):
            value = tuple(part.strip() for part in value.split(','))
        given[item.name] = value
    return given


def _option(name: str) -> str:
    return f'--{name.replace("_", "-")}'


def _add(group: Any, name: str, info: SettingInfo, default: Any) -> None:
    """One option; its value is None where it is not given."""
    option = _option(name)
    text = info.description.replace('%', '%%')
    if isinstance(default, bool):
        shown = 'yes' if default else 'no'
        group.add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=f'{text} Default: {shown}')
        return
    shown = '' if default in ('', (), (0, 0)) else f' Default: {default}'
    unit = f' [{info.unit}]' if info.unit else ''
    more: dict[str, Any] = {}
    if isinstance(default, tuple):
        more['metavar'] = 'WxH' if name.endswith('_wh') else 'NAME,...'
        text += f' One or more of {", ".join(info.choices)}.' if info.choices else ''
    elif info.choices:
        more['choices'] = info.choices
    elif not isinstance(default, str):
        more.update(type=type(default), metavar='N' if isinstance(default, int) else 'F')
    else:
        more['metavar'] = 'DIR'
    group.add_argument(option, default=None, help=f'{text}{unit}{shown}', **more)


def _whole(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f'{option}: got {text!r}, expected a whole number') from None


def _size(option: str, text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition('x')
    return _whole(option, width), _whole(option, height)
