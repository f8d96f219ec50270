# SPDX-License-Identifier: Apache-2.0
"""Finding Python components: any package can offer its nodes as entry points of the group `rclpy_components`.

In that package's setup.py:

    entry_points={'rclpy_components': ['my_package::MyNode = my_package.my_node:MyNode']}
"""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from isaac_inference.errors import ConfigError

GROUP = 'rclpy_components'


def available(package: str | None = None) -> list[str]:
    """Installed plugin names, of one package or of all, sorted."""
    names = {entry.name for entry in entry_points(group=GROUP)}
    return sorted(name for name in names if package in (None, name.split('::')[0]))


def load_class(package: str, plugin: str) -> type[Node]:
    """The node class behind a plugin name.

    Args:
        package: the requested package, e.g. 'isaac_inference'.
        plugin: 'package::Class', or just 'Class'.

    Raises:
        ConfigError: not installed (lists what is), not importable (says why), or not an rclpy node.
    """
    loaded = _find(package, plugin).load
    try:
        component = loaded()
    except Exception as error:
        raise ConfigError(
            f'plugin {plugin} of package {package} cannot be imported: {type(error).__name__}: {error}; '
            'repair or reinstall that package'
        ) from error
    if not (isinstance(component, type) and issubclass(component, Node)):
        raise ConfigError(
            f'plugin {plugin} of package {package} is {component!r}, expected a subclass of '
            "rclpy.node.Node; correct its entry point in that package's setup.py"
        )
    return component


def create(
    component: type[Node],
    *,
    context: Context,
    node_name: str,
    namespace: str,
    cli_args: list[str],
    parameter_overrides: list[Any],
) -> Node:
    """Construct a component with the name, namespace, remaps and parameters of a load request.

    A constructor with `node_name` and `**kwargs` gets them and passes them on. Any other gets what it names; the rest
    is added when it calls `super().__init__`, by a base class inserted in between.

    Raises:
        ConfigError: the constructor bypasses that base class.
    """
    options: dict[str, Any] = {
        'context': context,
        'cli_args': cli_args,
        'parameter_overrides': parameter_overrides,
        'use_global_arguments': False,
    }
    options.update({name: value for name, value in (('node_name', node_name), ('namespace', namespace)) if value})
    parameters = inspect.signature(component.__init__).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if takes_any and 'node_name' in parameters:
        return component(**options)
    node = _with_options(component, options)(**{name: options[name] for name in options if name in parameters})
    if not hasattr(node, '_options_met'):
        node.destroy_node()
        raise ConfigError(
            f'{component.__name__} calls Node.__init__ directly, so it cannot be given its name, '
            'namespace and parameters; make it call super().__init__ instead'
        )
    return node


def _find(package: str, plugin: str) -> EntryPoint:
    wanted = plugin if '::' in plugin else f'{package}::{plugin}'
    for entry in entry_points(group=GROUP):
        if entry.name == wanted and wanted.split('::')[0] == package:
            return entry
    known = available(package) or available()
    raise ConfigError(
        f'plugin {plugin} of package {package} is not installed; available: '
        f'{", ".join(known) or "none"}; a package offers its Python nodes as entry points of the group '
        f'{GROUP} in its setup.py'
    )


def _with_options(component: type[Node], options: dict[str, Any]) -> type[Node]:
    """A subclass of `component` in whose method resolution order rclpy's own class is called with `options` added."""
    base = LifecycleNode if issubclass(component, LifecycleNode) else Node

    class Options(base):  # type: ignore[misc, valid-type]
        def __init__(self, node_name: str = '', **given: Any) -> None:
            self._options_met = True
            super().__init__(**{'node_name': node_name, **given, **options})

    return type(component.__name__, (component, Options), {'__module__': component.__module__})
