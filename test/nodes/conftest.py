# SPDX-License-Identifier: Apache-2.0
"""Real nodes in a container of this process, seen from outside by a probe over DDS."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from onnx_models import ultralytics_metadata, write_model
from probe import Probe, probing
from rclpy.parameter import Parameter

from isaac_inference.nodes.graph import perception_graph
from isaac_inference.runtime.container import ComponentContainer
from isaac_inference.runtime.node import PipelineNode
from isaac_inference.runtime.spin import SpinThread

LABELS = ['cup', 'can', 'box']
_numbers = itertools.count(1)
QUICK = {'diagnostics_period_s': 0.1, 'input_timeout_s': 0.6}


class Graph:
    """A container in a namespace of its own, its nodes by name, and a probe."""

    def __init__(self, container: ComponentContainer, probe: Probe) -> None:
        self.container, self.probe = container, probe

    @property
    def namespace(self) -> str:
        return self.probe.namespace

    def load(self, plugin: str, name: str, **parameters: Any) -> PipelineNode:
        """Load one node of this package; '__' in a parameter's name stands for a dot."""
        values = {**QUICK, **parameters}
        component = self.container.load(
            'isaac_inference',
            plugin,
            node_name=name,
            namespace=self.namespace,
            parameters=[Parameter(key.replace('__', '.'), value=value) for key, value in values.items()],
        )
        return component.spin.node

    def load_all(self, model: Path, **parameters: dict[str, Any]) -> dict[str, PipelineNode]:
        """Load the whole graph, with parameters by node, and wait until it is active."""
        specs = perception_graph(model=str(model))
        nodes = {
            spec.name: self.load(
                spec.plugin.split('::')[1], spec.name, **{**spec.parameters, **parameters.get(spec.name, {})}
            )
            for spec in specs
        }
        self.probe.wait_active(*nodes)
        return nodes


@pytest.fixture(scope='session')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny detector: cup, can and box on white, nothing on black."""
    metadata = ultralytics_metadata(LABELS, imgsz=(64, 64))
    return write_model(tmp_path_factory.mktemp('model') / 'tiny.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata)


@pytest.fixture(scope='session')
def make_graph(ros: None) -> Callable[..., contextlib.AbstractContextManager[Graph]]:
    """Makes empty graphs; each ends with its `with` block."""

    @contextlib.contextmanager
    def make(**probe_options: Any) -> Iterator[Graph]:
        namespace = f'/graph_{next(_numbers)}'
        spin = SpinThread(ComponentContainer(namespace=namespace))
        try:
            with probing(namespace, **probe_options) as probe:
                yield Graph(spin.node, probe)
        finally:
            spin.stop()

    return make


@pytest.fixture
def empty_graph(make_graph: Callable[..., contextlib.AbstractContextManager[Graph]]) -> Iterator[Graph]:
    with make_graph() as graph:
        yield graph


@pytest.fixture(scope='module')
def graph(make_graph: Callable[..., contextlib.AbstractContextManager[Graph]], model: Path) -> Iterator[Graph]:
    """The whole pipeline, running; one a test module."""
    with make_graph() as made:
        made.load_all(model)
        yield made
