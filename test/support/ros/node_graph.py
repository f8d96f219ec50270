# SPDX-License-Identifier: Apache-2.0
"""Real nodes in a container of this process, seen from outside by a probe over DDS."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rclpy.parameter import Parameter

from isaac_inference.ros.bringup.graph import perception_graph
from isaac_inference.ros.runtime.container.container import ComponentContainer
from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.node import PipelineNode
from support.ros.probe import Probe, probing
from support.waiting import LIMIT_S

_numbers = itertools.count(1)
PATIENT = {'diagnostics_period_s': 0.1, 'input_timeout_s': 3600.0}  # reports soon, and no silence is too long
RELIABLE_IMAGES = {'image_qos.reliability': 'reliable'}  # what is sent once arrives
_TAKES_IMAGES = ('PreprocessNode', 'TagsNode', 'AnnotateNode')


class Graph:
    """A container in a namespace of its own, its nodes, and a probe."""

    def __init__(self, container: ComponentContainer, probe: Probe) -> None:
        self.container, self.probe = container, probe

    @property
    def namespace(self) -> str:
        return self.probe.namespace

    def load(self, plugin: str, name: str, **parameters: Any) -> PipelineNode:
        """Load one node of this package; '__' in a parameter's name stands for a dot."""
        values = {**PATIENT, **(RELIABLE_IMAGES if plugin in _TAKES_IMAGES else {})}
        values.update({key.replace('__', '.'): value for key, value in parameters.items()})
        component = self.container.load(
            'isaac_inference',
            plugin,
            node_name=name,
            namespace=self.namespace,
            parameters=[Parameter(key, value=value) for key, value in values.items()],
        )
        return component.spin.node

    def node(self, name: str) -> PipelineNode:
        """A loaded node, by its name."""
        return next(node for node in self.container.nodes if node.get_name() == name)

    def load_all(
        self, model: Path, limit_s: float = LIMIT_S, annotate: bool = True, **parameters: dict[str, Any]
    ) -> dict[str, PipelineNode]:
        """Load the whole graph, with parameters by node, and wait until it is active and hears and is heard."""
        specs = perception_graph(model=str(model), annotate=annotate)
        nodes = {
            spec.name: self.load(
                spec.plugin.split('::')[1], spec.name, **{**spec.parameters, **parameters.get(spec.name, {})}
            )
            for spec in specs
        }
        self.probe.wait_active(*nodes, limit_s=limit_s)
        self.probe.wait_matched()
        return nodes


@contextlib.contextmanager
def empty_container(**probe_options: Any) -> Iterator[Graph]:
    """A container without nodes, which ends with the `with` block; needs a ROS context."""
    namespace = f'/graph_{next(_numbers)}'
    spin = SpinThread(ComponentContainer(namespace=namespace))
    try:
        with probing(namespace, **probe_options) as probe:
            probe.nodes = lambda: spin.node.nodes
            yield Graph(spin.node, probe)
    finally:
        spin.stop()
