# SPDX-License-Identifier: Apache-2.0
"""One quality of service for all topics between the nodes of a graph, chosen by name or from a file."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.node_list import NODES, plugin
from isaac_inference.ros.runtime.parameters.schema import build
from isaac_inference.ros.runtime.resources import shared_file
from isaac_inference.ros.runtime.topics.qos import QosParameters

_OF_CAMERA = ('image_qos', 'camera_qos')  # subscriptions to a camera, whose driver decides what there is to ask for
_CAMERAS = ('camera', 'sim_camera')  # whose image_qos is that of publishers of ours
_GROUP = '_qos'


def read_qos(choice: str) -> dict[str, Any]:
    """The settings of a choice, by the names of `QosParameters`; only those that it makes.

    Args:
        choice: name of a file in config/qos, such as 'realtime', or path of a YAML file; '' for none.

    Raises:
        ConfigError: there is no such choice (it lists what there is), or everything that is wrong with it.
    """
    if not choice:
        return {}
    path = Path(choice).expanduser()
    if path.suffix not in ('.yaml', '.yml') and path.name == choice:
        folder = shared_file('config/qos/realtime.yaml').parent
        path = folder / f'{choice}.yaml'
        if not path.is_file():
            names = sorted(one.stem for one in folder.glob('*.yaml'))
            close = difflib.get_close_matches(choice, names, n=1)
            hint = f'did you mean {close[0]}? ' if close else ''
            raise ConfigError(
                f'launch argument qos: no choice {choice!r}; {hint}there are: {", ".join(names)} (in {folder}); or '
                'give the path of a YAML file of your own'
            )
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'launch argument qos: {choice}: cannot be read: {error}') from error
    if not isinstance(content, Mapping):
        known = ', '.join(field.name for field in dataclasses.fields(QosParameters))
        raise ConfigError(f'launch argument qos: {path}: expected values for any of {known}')
    given = {str(name): value for name, value in content.items()}
    try:
        build(QosParameters, given)
    except ConfigError as error:
        raise ConfigError(f'launch argument qos: {path}: {error}') from error
    return given


def with_qos(spec: NodeSpec, qos: Mapping[str, Any]) -> NodeSpec:
    """A node whose topics have these settings, but for what its parameters say already.

    A whole group at its defaults says nothing: it is that of a config/perception.yaml that was copied for something
    else. Subscriptions to the camera are left as they are: who asks a driver for more than it offers hears nothing.
    """
    parameters = dict(spec.parameters)
    for group, defaults in _groups().get(spec.plugin, {}).items() if qos else ():
        proposed = {f'{group}.{name}': value for name, value in qos.items()}
        is_copied = all(parameters.get(f'{group}.{name}') == value for name, value in defaults.items())
        parameters = {**parameters, **proposed} if is_copied else {**proposed, **parameters}
    return dataclasses.replace(spec, parameters=parameters)


@functools.cache
def _groups() -> dict[str, dict[str, Mapping[str, Any]]]:
    """Plugin -> its groups of QoS parameters that are not of a camera's topics, and their defaults, as
    config/perception.yaml has them.
    """
    sections = yaml.safe_load(shared_file('config/perception.yaml').read_text(encoding='utf-8'))
    found = {}
    for name in NODES:
        parameters = sections[f'/**/{name}']['ros__parameters']
        groups = (group for group in parameters if group.endswith(_GROUP))
        found[plugin(name)] = {
            group: parameters[group] for group in groups if name in _CAMERAS or group not in _OF_CAMERA
        }
    return found
