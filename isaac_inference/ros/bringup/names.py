# SPDX-License-Identifier: Apache-2.0
"""Names as ROS reads them, and the values of launch arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from rclpy.exceptions import InvalidNamespaceException
from rclpy.validate_namespace import validate_namespace

from isaac_inference.errors import ConfigError

SWITCH = ('true', 'false')
AUTO = ('auto', *SWITCH)


def resolve(namespace: str, name: str) -> str:
    """A name as ROS reads it: below the namespace, unless it begins with a slash; '' is the root namespace."""
    words = [] if name.startswith('/') else namespace.split('/')
    return ''.join(f'/{word}' for word in [*words, *name.split('/')] if word)


def check_namespace(name: str) -> None:
    """Refuse a namespace that no node can be in.

    Raises:
        ConfigError: says why.
    """
    try:
        validate_namespace(name)
    except InvalidNamespaceException as error:
        reason = str(error).splitlines()[0].removeprefix('Invalid namespace: ').rstrip(':')
        raise ConfigError(
            f'launch argument namespace: got {name!r}, expected words of letters, digits and _ with / between them: '
            f'{reason}'
        ) from None


def check_files(given: Mapping[str, str], *names: str) -> None:
    """Refuse arguments that name no file; '' names none on purpose.

    Raises:
        ConfigError: a file is missing.
    """
    for name in names:
        check_paths(f'launch argument {name}', [given[name]] if given[name] else [])


def check_paths(what: str, paths: Iterable[str]) -> None:
    """Refuse paths of files that there are not.

    Args:
        what: names what the paths are from: 'launch argument models'.

    Raises:
        ConfigError: the first that is missing.
    """
    for path in paths:
        if not Path(path).expanduser().is_file():
            raise ConfigError(f'{what}: no such file {path!r}; give an existing one, best as an absolute path')


def switch(name: str, value: str) -> bool:
    """A launch argument that is true or false.

    Raises:
        ConfigError: it is neither.
    """
    if value.lower() not in SWITCH:
        raise ConfigError(f'launch argument {name}: got {value!r}, expected true or false')
    return value.lower() == 'true'
