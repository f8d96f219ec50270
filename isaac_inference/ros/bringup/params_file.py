# SPDX-License-Identifier: Apache-2.0
"""A ROS parameter file: what it holds for a node, and what is for none.

launch_ros resolves only '/**' and full node names for composable nodes, so that '/**/detection' would apply to a
process and be silently ignored for a component. Read here, a file means the same in every start mode.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from isaac_inference.errors import ConfigError

_KEY = 'ros__parameters'


class ParamsFile:
    """A ROS parameter file.

    Args:
        path: YAML file with sections such as '/**', '/**/detection', '/front/detection', nested or not.

    Raises:
        ConfigError: the file can't be read, or isn't a ROS parameter file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        try:
            content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(
                f'parameter file {path}: {error}; expected a YAML file like config/perception.yaml'
            ) from error
        self._sections = list(_sections(content if isinstance(content, dict) else {}, ''))
        if not self._sections:
            raise ConfigError(
                f'parameter file {path}: no section with {_KEY}, expected "/**/NODE:" with "{_KEY}:" below '
                'it, like config/perception.yaml'
            )
        for name, values in self._sections:
            if not isinstance(values, dict):
                raise ConfigError(
                    f'parameter file {path}: section {name}: got {values!r} below {_KEY}, expected lines of '
                    '"parameter: value"'
                )

    def node_section(self, full_name: str) -> dict[str, Any]:
        """The parameters for a node: dotted name -> value.

        Args:
            full_name: the node's namespace and name, '/front/detection'.

        Returns:
            Values of all matching sections; a section that names the node more exactly takes precedence.

        Raises:
            ConfigError: a parameter has no value.
        """
        matching = [(pattern, values) for pattern, values in self._sections if _matches(pattern, full_name)]
        result: dict[str, Any] = {}
        for _, values in sorted(matching, key=lambda item: (item[0].count('*') == 0, len(item[0].strip('/*')))):
            result.update(_flat(values, ''))
        empty = [name for name, value in result.items() if value is None]
        if empty:
            raise ConfigError(
                f'parameter file {self.path}: no value for {", ".join(empty)} of {full_name}; give one, or remove '
                'the line for the default'
            )
        return result

    def unused(self, full_names: Iterable[str], possible: Iterable[str] = (), never: Collection[str] = ()) -> list[str]:
        """A sentence for each section that applies to no node, and that may have been meant for one of these.

        Args:
            full_names: the nodes that are started.
            possible: names of nodes, without a namespace, that could have been started too; a section that would fit
                one of them in the same namespace is no mistake.
            never: full names that no node here can have, whatever is possible in their namespaces.
        """
        names = list(full_names)
        namespaces = {name.rpartition('/')[0] for name in names}
        others = (f'{namespace}/{name}' for namespace in namespaces for name in possible)
        fitting = [*names, *(name for name in others if name not in never)]
        own = {name.rpartition('/')[2] for name in fitting}
        sentences = []
        for pattern, _ in self._sections:
            if any(_matches(pattern, name) for name in fitting):
                continue
            meant = difflib.get_close_matches(pattern.rpartition('/')[2], own, n=1)
            if meant:  # else it is for another package's node
                nearest = difflib.get_close_matches(pattern, names, n=1, cutoff=0.0)
                sentences.append(
                    f'parameter file {self.path}: section {pattern} applies to no node that is started here; nearest '
                    f'is {nearest[0]}'
                )
        return sentences


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
