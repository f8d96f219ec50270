# SPDX-License-Identifier: Apache-2.0
"""The perception graph: ros2 launch isaac_inference perception.launch.py model:=/path/to/model.onnx

Arguments and nodes are data in isaac_inference/nodes/launch_plan.py and graph.py; this file turns them into actions.
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import ComposableNodeContainer, LoadComposableNodes, Node
from launch_ros.descriptions import ComposableNode

from isaac_inference.nodes.graph import PACKAGE
from isaac_inference.nodes.launch_plan import ARGUMENTS, CONTAINER_EXECUTABLE, launch_plan
from isaac_inference.runtime.resources import dds_environment


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.description,
            choices=argument.choices or None,
        )
        for argument in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(context):
    given = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
    plan = launch_plan(given)
    actions = [SetEnvironmentVariable(name, value) for name, value in dds_environment(os.environ).items()]
    return actions + (components(plan) if plan.composed else processes(plan))


def processes(plan):
    return [
        Node(
            package=spec.package,
            executable=spec.executable,
            name=spec.name,
            namespace=plan.namespace,
            parameters=[dict(spec.parameters)],
            remappings=list(spec.remappings.items()),
            ros_arguments=['--log-level', plan.log_level],
            output='screen',
        )
        for spec in plan.nodes
    ]


def components(plan):
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
        return [
            LoadComposableNodes(
                target_container=f'{plan.namespace}/{plan.container}', composable_node_descriptions=descriptions
            )
        ]
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
