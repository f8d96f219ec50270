# SPDX-License-Identifier: Apache-2.0
"""A backend's settings as command-line options, made from the dataclass that defines them."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from isaac_inference.engines.settings import BackendSettings, SettingInfo, settings_info
from isaac_inference.errors import ConfigError


def add_setting_options(group: Any, settings: type[BackendSettings], without: tuple[str, ...] = ()) -> None:
    """Add an option for each setting but those of `without`."""
    for name, info in settings_info(settings).items():
        if name not in without:
            _add(group, name, info, getattr(settings, name))


def given_settings(
    arguments: argparse.Namespace, settings: type[BackendSettings], without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The settings that a command line gives, by name; ConfigError for a malformed one.

    Args:
        arguments: with the options of `add_setting_options`.
        settings: as there.
        without: as there; an option of the command's own may have such a name.
    """
    given: dict[str, Any] = {}
    for item in dataclasses.fields(settings):
        value = getattr(arguments, item.name, None)
        if value is None or item.name in without:
            continue
        if item.name.endswith('_wh'):
            value = parse_size(option_of(item.name), value)
        elif isinstance(item.default, tuple):
            value = tuple(part.strip() for part in value.split(','))
        given[item.name] = value
    return given


def option_of(name: str) -> str:
    """The option of a setting: '--max-batch' of 'max_batch'."""
    return f'--{name.replace("_", "-")}'


def parse_whole(option: str, text: str) -> int:
    """A whole number; ConfigError that names the option for anything else."""
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f'{option}: got {text!r}, expected a whole number') from None


def parse_size(option: str, text: str) -> tuple[int, int]:
    """(width, height) in px of '640x480'; ConfigError that names the option for anything else."""
    width, _, height = text.lower().partition('x')
    return parse_whole(option, width), parse_whole(option, height)


def _add(group: Any, name: str, info: SettingInfo, default: Any) -> None:
    """One option; its value is None where it is not given."""
    option = option_of(name)
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
