# SPDX-License-Identifier: Apache-2.0
"""The plan of a graph of several cameras and models: looking into it, and running it."""

from __future__ import annotations

from rclpy.parameter import Parameter

from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.launch_plan import LaunchPlan
from isaac_inference.ros.bringup.names import resolve
from support.ros.node_graph import PATIENT, RELIABLE_IMAGES, Graph


def at(plan: LaunchPlan, namespace: str) -> dict[str, NodeSpec]:
    """The nodes of a namespace, by name."""
    return {spec.name: spec for spec in plan.nodes if spec.namespace == namespace}


def topic(spec: NodeSpec, name: str, root: str = '') -> str:
    """The full name of a topic that a node knows by this one."""
    return resolve(resolve(root, spec.namespace), spec.remappings.get(name, name))


def load(graph: Graph, plan: LaunchPlan) -> None:
    """Load the nodes of a plan, whose namespace is the graph's, and wait until they are active and hear and are heard.

    Images are taken reliably, and reports come soon.
    """
    for spec in plan.nodes:
        takes_images = spec.plugin.rpartition(':')[2] in ('PreprocessNode', 'AnnotateNode')
        values = {**PATIENT, **(RELIABLE_IMAGES if takes_images else {}), **spec.parameters}
        graph.container.load(
            spec.package,
            spec.plugin,
            node_name=spec.name,
            namespace=resolve(plan.namespace, spec.namespace),
            remappings=[f'{name}:={target}' for name, target in spec.remappings.items() if name != target],
            parameters=[Parameter(name, value=value) for name, value in values.items()],
        )
    graph.probe.wait_active(*(spec.full_name('').strip('/') for spec in plan.nodes))
    graph.probe.wait_matched()
