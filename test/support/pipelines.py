# SPDX-License-Identifier: Apache-2.0
"""Looking into the plan of a graph of several cameras and models."""

from __future__ import annotations

from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.launch_plan import LaunchPlan
from isaac_inference.ros.bringup.names import resolve


def at(plan: LaunchPlan, namespace: str) -> dict[str, NodeSpec]:
    """The nodes of a namespace, by name."""
    return {spec.name: spec for spec in plan.nodes if spec.namespace == namespace}


def topic(spec: NodeSpec, name: str, root: str = '') -> str:
    """The full name of a topic that a node knows by this one."""
    return resolve(resolve(root, spec.namespace), spec.remappings.get(name, name))
