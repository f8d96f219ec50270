# SPDX-License-Identifier: Apache-2.0
"""From a launch plan to the launch system's actions; shared by all launch files.

Only launch files import this module, so everything else works without the launch packages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from launch import LaunchDescription  # type: ignore[attr-defined]  # mypy finds the folder of that name
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import ComposableNodeContainer, LoadComposableNodes, Node
from launch_ros.descriptions import ComposableNode

from isaac_inference.ros.bringup.graph import PACKAGE, NodeSpec
from isaac_inference.ros.bringup.launch_plan import CONTAINER_EXECUTABLE, LaunchArgument, LaunchPlan, Program
from isaac_inference.ros.runtime.resources import dds_environment


def launch_description(
    arguments: Sequence[LaunchArgument], make_plan: Callable[[Mapping[str, str]], LaunchPlan]
) -> LaunchDescription:
    """A launch file's description.

    Args:
        arguments: the launch arguments it declares.
        make_plan: maps the arguments' values, by name, to the launch plan.
    """

    def start(context: Any) -> list[Any]:
        return actions(
            make_plan({argument.name: LaunchConfiguration(argument.name).perform(context) for argument in arguments})
        )

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


def actions(plan: LaunchPlan) -> list[Any]:
    """The actions that start a plan."""
    environment = [SetEnvironmentVariable(name, value) for name, value in dds_environment(os.environ).items()]
    nodes = _composed(plan) if plan.composed else [_process(plan, spec, package=spec.package) for spec in plan.nodes]
    # launch_ros takes an executable without a package by its path
    programs = [
        _process(plan, program, package=program.package or None, arguments=list(program.arguments))
        for program in plan.programs
    ]
    return [*environment, *nodes, *programs]


def _process(plan: LaunchPlan, spec: NodeSpec | Program, **options: Any) -> Node:
    return Node(
        executable=spec.executable,
        name=spec.name,
        namespace=plan.namespace,
        parameters=[dict(spec.parameters)],
        remappings=list(spec.remappings.items()),
        ros_arguments=['--log-level', plan.log_level],
        output='screen',
        **options,
    )


def _composed(plan: LaunchPlan) -> list[Any]:
    descriptions = [
        ComposableNode(
            package=spec.package,
            plugin=spec.plugin,
            name=spec.name,
            namespace=plan.namespace,
            parameters=[dict(spec.parameters)],
            remappings=list(spec.remappings.items()),
        )
        for spec in plan.nodes
    ]
    if plan.attach:
        target = f'{plan.namespace}/{plan.container}'
        return [LoadComposableNodes(target_container=target, composable_node_descriptions=descriptions)]
    return [
        ComposableNodeContainer(
            package=PACKAGE,
            executable=CONTAINER_EXECUTABLE,
            name=plan.container,
            namespace=plan.namespace,
            composable_node_descriptions=descriptions,
            ros_arguments=['--log-level', plan.log_level],
            output='screen',
        )
    ]
