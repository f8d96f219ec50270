# SPDX-License-Identifier: Apache-2.0
"""From a launch plan to the launch system's actions; shared by all launch files.

Only launch files import this module, so everything else works without the launch packages.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import launch.logging
from composition_interfaces.srv import LoadNode
from launch import LaunchDescription  # type: ignore[attr-defined]  # mypy finds the folder of that name
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.actions.load_composable_nodes import get_composable_node_load_request
from launch_ros.descriptions import ComposableNode
from launch_ros.ros_adapters import get_ros_node

from isaac_inference.ros.bringup.graph import PACKAGE, NodeSpec
from isaac_inference.ros.bringup.launch_arguments import given_on_the_line, refuse_unknown
from isaac_inference.ros.bringup.launch_plan import CONTAINER_EXECUTABLE, LaunchArgument, LaunchPlan, Program
from isaac_inference.ros.bringup.loading import LOAD_SERVICE, Loading
from isaac_inference.ros.bringup.names import resolve
from isaac_inference.ros.runtime.container.roster import Roster
from isaac_inference.ros.runtime.resources import dds_environment

_RESPAWN_DELAY_S = 2.0


def launch_description(
    arguments: Sequence[LaunchArgument], make_plan: Callable[[Mapping[str, str], str], LaunchPlan]
) -> LaunchDescription:
    """A launch file's description.

    Args:
        arguments: the launch arguments it declares.
        make_plan: maps the arguments' values, by name, and the pushed namespace to the launch plan.
    """

    def start(context: Any) -> list[Any]:
        refuse_unknown(given_on_the_line(sys.argv, _launch_file(context)), arguments)
        given = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in arguments}
        plan = make_plan(given, context.launch_configurations.get('ros_namespace') or '')
        for remark in plan.remarks:
            _logger().warning(remark)
        return actions(plan, context)

    declared = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.description,
            choices=argument.choices or None,
        )
        for argument in arguments
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])


def actions(plan: LaunchPlan, context: Any) -> list[Any]:
    """The actions that start a plan."""
    environment = [SetEnvironmentVariable(name, value) for name, value in dds_environment(os.environ).items()]
    # launch_ros takes an executable without a package by its path
    programs = [
        _process(plan, program, package=program.package or None, arguments=list(program.arguments))
        for program in plan.programs
    ]
    return [*environment, *_nodes(plan, context), *programs]


def _nodes(plan: LaunchPlan, context: Any) -> list[Any]:
    if not plan.composed:
        return [_process(plan, spec, package=spec.package, **_respawn(plan)) for spec in plan.nodes]
    descriptions = [
        ComposableNode(
            package=spec.package,
            plugin=spec.plugin,
            name=spec.name,
            namespace=resolve(plan.namespace, spec.namespace),
            parameters=[dict(spec.parameters)],
            remappings=list(spec.remappings.items()),
        )
        for spec in plan.nodes
    ]
    requests = [get_composable_node_load_request(description, context) for description in descriptions]
    if plan.attach:
        node = get_ros_node(context)
        client = node.create_client(LoadNode, plan.container + LOAD_SERVICE)
        loading = Loading(plan.container, node, client, _logger(), lambda: bool(context.is_shutdown))
        context.add_completion_future(context.asyncio_loop.run_in_executor(None, loading.load, requests))
        return []
    # the container loads them itself, in every process that takes the place of one that died
    roster = Roster(
        Path(launch.logging.launch_config.log_dir) / f'components{plan.container}'.replace('/', '-'), given=True
    )
    roster.write(requests)
    namespace, _, name = plan.container.rpartition('/')
    return [
        Node(
            package=PACKAGE,
            executable=CONTAINER_EXECUTABLE,
            name=name,
            namespace=namespace,
            parameters=[{'components_file': str(roster.path)}],
            ros_arguments=['--log-level', plan.log_level],
            output='screen',
            **_respawn(plan),
        )
    ]


def _process(plan: LaunchPlan, spec: NodeSpec | Program, **options: Any) -> Node:
    namespace = resolve(plan.namespace, spec.namespace) if isinstance(spec, NodeSpec) else plan.namespace
    return Node(
        executable=spec.executable,
        name=spec.name,
        namespace=namespace,
        parameters=[dict(spec.parameters)],
        remappings=list(spec.remappings.items()),
        ros_arguments=['--log-level', plan.log_level],
        output='screen',
        **options,
    )


def _respawn(plan: LaunchPlan) -> dict[str, Any]:
    return {'respawn': True, 'respawn_delay': _RESPAWN_DELAY_S} if plan.respawn else {}


def _launch_file(context: Any) -> str:
    return str(context.get_locals_as_dict().get('current_launch_file_path', ''))


def _logger() -> Any:
    return launch.logging.get_logger(PACKAGE)
