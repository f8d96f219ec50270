# SPDX-License-Identifier: Apache-2.0
"""A component container for Python nodes, with the services that launch files and `ros2 component` use.

rclpy has none (ros2/rclpy#575). Each component has an executor and a thread of its own, so that a slow one
does not block the others; nodes of this package pass frames to each other by reference inside the container.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.logging import LoggingSeverity
from rclpy.node import Node
from rclpy.parameter import Parameter

from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.container import components
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.container.roster import Roster
from isaac_inference.ros.runtime.container.spin import SpinThread


@dataclass(frozen=True)
class Component:
    """A loaded node."""

    unique_id: int
    name: str
    spin: SpinThread


class ComponentContainer(Node):
    """Serves ~/_container/{load_node,unload_node,list_nodes}; also usable directly through `load` and `unload`."""

    def __init__(self, node_name: str = 'perception_container', **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self._components: dict[int, Component] = {}
        self._ids = itertools.count(1)
        self._roster: Roster | None = None
        self._requests: dict[int, LoadNode.Request] = {}  # what the roster holds, by component; failed ones below 0
        self.create_service(LoadNode, '~/_container/load_node', self._on_load)
        self.create_service(UnloadNode, '~/_container/unload_node', self._on_unload)
        self.create_service(ListNodes, '~/_container/list_nodes', self._on_list)

    @property
    def nodes(self) -> list[Node]:
        """The loaded nodes, in order of loading."""
        return [component.spin.node for component in self._components.values()]

    def load(
        self,
        package: str,
        plugin: str,
        *,
        node_name: str = '',
        namespace: str = '',
        remappings: Sequence[str] = (),
        parameters: Sequence[Parameter] = (),
        arguments: Sequence[str] = (),
        log_level: int = 0,
    ) -> Component:
        """Load a component and start spinning it; `arguments` are further ROS arguments, like --params-file.

        Raises:
            ConfigError: no such plugin, a name already in use, or what the constructor raised, in words.
        """
        component = components.load_class(package, plugin)
        severity = _severity(log_level)
        ros_arguments = [*arguments, *(word for rule in remappings for word in ('-r', rule))]
        node = self._create(component, plugin, node_name, namespace, ros_arguments, parameters)
        name = node.get_fully_qualified_name()
        taken = [other.unique_id for other in self._components.values() if other.name == name]
        if taken:
            node.destroy_node()
            raise ConfigError(
                f'plugin {plugin}: a node named {name} is already loaded, as component {taken[0]}; give '
                'this one another name or namespace, or unload that one'
            )
        if severity is not None:
            node.get_logger().set_level(severity)
        loaded = Component(next(self._ids), name, SpinThread(node))
        self._components[loaded.unique_id] = loaded
        self.get_logger().info(f'loaded {plugin} as {name} (component {loaded.unique_id})')
        return loaded

    def unload(self, unique_id: int) -> None:
        """Stop a component and destroy its node.

        Raises:
            ConfigError: no such component.
        """
        component = self._components.pop(unique_id, None)
        if component is None:
            raise ConfigError(
                f'component {unique_id} is not loaded; loaded are: '
                f'{", ".join(str(known) for known in self._components) or "none"}'
            )
        component.spin.stop()
        self.get_logger().info(f'unloaded {component.name} (component {unique_id})')
        del component
        gc.collect()  # rclpy's lifecycle nodes hold themselves in a cycle, and stay in the ROS graph until it is broken

    def survive(self, roster: Roster) -> None:
        """Load what the roster of a process before this one holds, and keep it up to date from now on.

        What can't be loaded is only logged: the rest is worth having.
        """
        try:
            wanted = roster.read()
        except ConfigError as error:
            self.get_logger().error(str(error))
            return
        if wanted and not roster.given:
            self.get_logger().warning(
                f'the {self.get_fully_qualified_name()} before this one ended without unloading its components: '
                f'loading {len(wanted)} again'
            )
        self._roster = roster
        for request in wanted:
            if not self._load(request).success:
                self._requests[-len(self._requests) - 1] = request  # the next process may be luckier
        self._write_roster()

    def destroy_node(self) -> None:
        """Unload everything, the last loaded first, then leave the graph."""
        if self._roster is not None:
            self._roster.end()
        for unique_id in reversed(list(self._components)):
            self.unload(unique_id)
        super().destroy_node()

    def _create(
        self,
        component: type[Node],
        plugin: str,
        node_name: str,
        namespace: str,
        arguments: Sequence[str],
        parameters: Sequence[Parameter],
    ) -> Node:
        try:
            return components.create(
                component,
                context=self.context,
                node_name=node_name,
                namespace=namespace,
                cli_args=['--ros-args', *arguments] if arguments else [],
                parameter_overrides=list(parameters),
            )
        except Exception as error:
            raise ConfigError(
                f'plugin {plugin} raised while being constructed: {type(error).__name__}: {error}'
            ) from error

    def _load(self, request: LoadNode.Request) -> LoadNode.Response:
        response = LoadNode.Response()
        try:
            loaded = self.load(
                request.package_name,
                request.plugin_name,
                node_name=request.node_name,
                namespace=request.node_namespace,
                remappings=request.remap_rules,
                log_level=request.log_level,
                parameters=[Parameter.from_parameter_msg(message) for message in request.parameters],
            )
        except Exception as error:
            self.get_logger().error(str(error))
            response.success, response.error_message = False, str(error)
        else:
            response.success, response.unique_id, response.full_node_name = True, loaded.unique_id, loaded.name
            self._requests[loaded.unique_id] = request
        return response

    def _on_load(self, request: LoadNode.Request, response: LoadNode.Response) -> LoadNode.Response:
        response = self._load(request)
        self._write_roster()
        return response

    def _on_unload(self, request: UnloadNode.Request, response: UnloadNode.Response) -> UnloadNode.Response:
        try:
            self.unload(request.unique_id)
            response.success = True
            self._requests.pop(request.unique_id, None)
            self._write_roster()
        except ConfigError as error:
            response.success, response.error_message = False, str(error)
        return response

    def _write_roster(self) -> None:
        if self._roster is None:
            return
        try:
            self._roster.write(self._requests.values())
        except OSError as error:
            self.get_logger().warning(
                f'component list {self._roster.path}: {error}; should this process die, the next has no components'
            )
            self._roster = None

    def _on_list(self, request: ListNodes.Request, response: ListNodes.Response) -> ListNodes.Response:
        response.unique_ids = list(self._components)
        response.full_node_names = [component.name for component in self._components.values()]
        return response


def _severity(log_level: int) -> LoggingSeverity | None:
    try:
        return LoggingSeverity(log_level) if log_level else None
    except ValueError:
        known = ', '.join(f'{level.value} ({level.name})' for level in LoggingSeverity)
        raise ConfigError(f'log level: got {log_level}, expected one of {known}') from None


def _surviving_container() -> ComponentContainer:
    container = ComponentContainer()
    given = container.declare_parameter(
        'components_file', '', ParameterDescriptor(description='Load requests to start with, as launch writes them.')
    )
    roster = (
        Roster(Path(given.value), given=True)
        if given.value
        else Roster.of_process(container.get_fully_qualified_name())
    )
    if roster is not None:
        container.survive(roster)
    return container


main = node_main(_surviving_container)
