# SPDX-License-Identifier: Apache-2.0
"""Finding Python components: any package offers its nodes as entry points of the group `rclpy_components`.

In that package's setup.py:

    entry_points={'rclpy_components': ['my_package::MyNode = my_package.my_node:MyNode']}
"""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rclpy.node import Node

from isaac_inference.errors import ConfigError

GROUP = 'rclpy_components'


def available(package: str | None = None) -> list[str]:
    """Plugin names that are installed, of one package or of all, sorted."""
    names = {entry.name for entry in entry_points(group=GROUP)}
    return sorted(name for name in names if package in (None, name.split('::')[0]))


def load_class(package: str, plugin: str) -> type[Node]:
    """The node class behind a plugin name.

    Args:
        package: the package that was asked for, e.g. 'isaac_inference'.
        plugin: 'package::Class', or just 'Class'.

    Raises:
        ConfigError: not installed (with what is), not importable (with why), or no rclpy node.
    """
    loaded = _find(package, plugin).load
    try:
        component = loaded()
    except Exception as error:
        raise ConfigError(f'plugin {plugin} of package {package} can not be imported: {type(error).__name__}: {error}; '
                          'repair or reinstall that package') from error
    if not (isinstance(component, type) and issubclass(component, Node)):
        raise ConfigError(f'plugin {plugin} of package {package} is {component!r}, expected a subclass of '
                          "rclpy.node.Node; correct its entry point in that package's setup.py")
    return component


def create(component: type[Node], *, node_name: str, namespace: str, cli_args: list[str],
           parameter_overrides: list[Any]) -> Node:
    """Construct a component with the name, namespace, remaps and parameters of a load request.

    The constructor takes rclpy's keyword arguments and hands them on; one that takes none (`def __init__(self)`)
    gets them as well, through a base class put in between.
    """
    options: dict[str, Any] = {'cli_args': cli_args, 'parameter_overrides': parameter_overrides,
                               'use_global_arguments': False}
    if namespace:
        options['namespace'] = namespace
    if _takes_keywords(component):
        return component(**({'node_name': node_name} if node_name else {}), **options)
    return _with_options(component, node_name, options)()


def _find(package: str, plugin: str) -> EntryPoint:
    wanted = plugin if '::' in plugin else f'{package}::{plugin}'
    for entry in entry_points(group=GROUP):
        if entry.name == wanted and wanted.split('::')[0] == package:
            return entry
    known = available(package) or available()
    raise ConfigError(f'plugin {plugin} of package {package} is not installed; available: '
                      f'{", ".join(known) or "none"}; a package offers its Python nodes as entry points of the group '
                      f'{GROUP} in its setup.py')


def _takes_keywords(component: type[Node]) -> bool:
    parameters = inspect.signature(component.__init__).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _with_options(component: type[Node], node_name: str, options: dict[str, Any]) -> type[Node]:
    """A subclass of `component` in whose method resolution order `Node.__init__` is met with `options` added."""
    class Options(Node):
        def __init__(self, name: str, **given: Any) -> None:
            super().__init__(node_name or name, **{**given, **options})

    return type(component.__name__, (component, Options), {})
