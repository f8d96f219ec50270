# SPDX-License-Identifier: Apache-2.0
"""The parameters of all nodes of this package, without importing the nodes."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.resources import shared_file


@functools.cache
def package_parameters() -> frozenset[str]:
    """Dotted names of all parameters in config/perception.yaml, which is made of the nodes' dataclasses."""
    try:
        nodes = yaml.safe_load(shared_file('config/perception.yaml').read_text(encoding='utf-8'))
    except (ConfigError, OSError, yaml.YAMLError):  # a broken installation: nothing can be told apart
        return frozenset()
    return frozenset(name for node in nodes.values() for name in _names(node['ros__parameters'], ''))


def _names(values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _names(value, f'{prefix}{name}.')
        else:
            yield prefix + name
