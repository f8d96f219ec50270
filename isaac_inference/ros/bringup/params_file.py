# SPDX-License-Identifier: Apache-2.0
"""One node's section of a ROS parameter file.

launch_ros resolves only '/**' and full node names for composable nodes, so that '/**/detection' would apply to a
process and be silently ignored for a component. Read here, a file means the same in every start mode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from isaac_inference.errors import ConfigError

_KEY = 'ros__parameters'


def node_section(path: str | Path, full_name: str) -> dict[str, Any]:
    """The parameters that a file holds for a node: dotted name -> value.

    Args:
        path: YAML file with sections such as '/**', '/**/detection', '/front/detection', nested or not.
        full_name: the node's namespace and name, '/front/detection'.

    Returns:
        Values of all matching sections; a section that names the node more exactly takes precedence.

    Raises:
        ConfigError: the file can't be read, or isn't a ROS parameter file.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f'parameter file {path}: {error}; expected a YAML file like config/perception.yaml'
        ) from error
    sections = list(_sections(content if isinstance(content, dict) else {}, ''))
    if not sections:
        raise ConfigError(
            f'parameter file {path}: no section with {_KEY}, expected "/**/NODE:" with "{_KEY}:" below '
            'it, like config/perception.yaml'
        )
    for name, values in sections:
        if not isinstance(values, dict):
            raise ConfigError(
                f'parameter file {path}: section {name}: got {values!r} below {_KEY}, expected lines of '
                '"parameter: value"'
            )
    matching = [(pattern, values) for pattern, values in sections if _matches(pattern, full_name)]
    result: dict[str, Any] = {}
    for _, values in sorted(matching, key=lambda item: (item[0].count('*') == 0, len(item[0].strip('/*')))):
        result.update(_flat(values, ''))
    empty = [name for name, value in result.items() if value is None]
    if empty:
        raise ConfigError(
            f'parameter file {path}: no value for {", ".join(empty)} of {full_name}; give one, or remove '
            'the line for the default'
        )
    return result


def _sections(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, value in tree.items():
        if key == _KEY:
            yield prefix, {} if value is None else value
        elif isinstance(value, dict):
            yield from _sections(value, f'{prefix}/{str(key).strip("/")}')


def _matches(pattern: str, full_name: str) -> bool:
    expression = re.escape(pattern).replace(r'/\*\*', '(/.+)?').replace(r'\*', '[^/]+')
    return re.fullmatch(expression, full_name) is not None


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', value
