# SPDX-License-Identifier: Apache-2.0
"""TensorRT's settings as options of a command that builds engines; batch and size also three at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from isaac_inference.cli.shared.setting_options import (
    add_setting_options,
    given_settings,
    option_of,
    parse_size,
    parse_whole,
)
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError

_TRIPLES = {'batch': ('min_batch', 'opt_batch', 'max_batch'), 'size': ('min_wh', 'opt_wh', 'max_wh')}


def add_tensorrt_options(command: Any, without: tuple[str, ...] = ()) -> None:
    """Add an option for each setting but those of `without`, and `--batch` and `--size` for three at once."""
    group = command.add_argument_group('TensorRT')
    group.add_argument('--batch', default=None, metavar='MIN,OPT,MAX', help='images at once; one number: all three')
    group.add_argument('--size', default=None, metavar='WxH,WxH,WxH', help='smallest, optimum and largest [px]')
    add_setting_options(group, TensorRtSettings, without)


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
            parse: Callable[[str, str], Any] = parse_whole if option == 'batch' else parse_size
            given.update({name: parse(f'--{option}', part) for name, part in zip(names, parts, strict=True)})
    single = given_settings(arguments, TensorRtSettings)
    for name in single.keys() & given.keys():
        raise ConfigError(f'{option_of(name)}: got it together with --batch or --size; give one of them')
    return TensorRtSettings(**{**given, **single, **fixed})
