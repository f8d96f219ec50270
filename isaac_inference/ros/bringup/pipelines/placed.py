# SPDX-License-Identifier: Apache-2.0
"""A pipeline: the graph of one camera, once for each of its cameras, around one inference node."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.budget_watch import budget_nodes
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.names import resolve
from isaac_inference.ros.bringup.networks.named_in_file import NamedInFile
from isaac_inference.ros.bringup.networks.paths import MODEL
from isaac_inference.ros.bringup.node_list import plugin
from isaac_inference.ros.bringup.one_camera import one_camera
from isaac_inference.serving.pipelines import DEFAULT_PRIORITY

INFERENCE = 'inference'
_TENSORS = ('input_tensors', 'output_tensors')
_TOPICS = ('image', 'camera_info', 'depth', 'depth_info', 'left', 'left_info', 'right', 'right_info')


@dataclass(frozen=True)
class Placed:
    """One pipeline of the graph.

    Attributes:
        given: every launch argument's value, by name, as for the graph of one camera.
        name: for people; '' for the only pipeline.
        namespace: of its nodes, below the graph's; '' for the graph's own.
        cameras: camera -> topics by the names of their launch arguments, where they are others than `given` has; each
            is a stream, and the namespace of what looks through it. Empty: one camera, without a namespace.
        priority, threads, max_batch, batch_wait_ms, target_rate_hz: as of `serving.pipelines.PipelineSpec`.
        is_simulated: whether a simulator draws on the same processor.
        leaves_out: names of nodes that are not wanted.
        params: node -> its parameters, which go before all others.
    """

    given: Mapping[str, str]
    name: str = ''
    namespace: str = ''
    cameras: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    priority: int = DEFAULT_PRIORITY
    threads: int = 0
    max_batch: int = 0
    batch_wait_ms: float = 0.0
    target_rate_hz: float = 0.0
    is_simulated: bool = False
    leaves_out: frozenset[str] = frozenset()
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def serving(self) -> dict[str, Any]:
        """Parameters of its inference nodes that are others than those nodes' defaults."""
        return {
            **({'priority': self.priority} if self.priority != DEFAULT_PRIORITY else {}),
            **({'onnxruntime.threads': self.threads} if self.threads else {}),
            **({'onnxruntime.spinning': False} if self.is_simulated else {}),
        }

    @property
    def batching(self) -> dict[str, Any]:
        """Parameters of its model's inference node that are others than that node's defaults."""
        return {
            **({'max_batch': self.max_batch} if self.max_batch else {}),
            **({'batch_wait_ms': self.batch_wait_ms} if self.batch_wait_ms else {}),
        }


@dataclass(frozen=True)
class PlacedNode:
    """A node of a pipeline, or one beside them.

    Attributes:
        pipeline: None for a node beside them.
        in_file: model and model_card where the parameter file names them, instead of an argument.
    """

    spec: NodeSpec
    pipeline: Placed | None = None
    in_file: Mapping[str, str] = field(default_factory=dict)

    def replaced(self, spec: NodeSpec) -> PlacedNode:
        """The same place with another spec."""
        return dataclasses.replace(self, spec=spec)

    def with_params(self) -> NodeSpec:
        """The node with what its pipeline says of it."""
        params = {} if self.pipeline is None else self.pipeline.params.get(self.spec.name, {})
        return dataclasses.replace(self.spec, parameters={**self.spec.parameters, **params})


def placed_nodes(pipeline: Placed, root: str, params_file: str, budget: str = '') -> list[PlacedNode]:
    """The nodes of a pipeline, in the order of the data.

    Args:
        root: namespace of the graph.
        params_file: path of the parameter file; '' for none.
        budget: of each camera's frames, as of `budget_nodes`.

    Raises:
        ConfigError: as of `one_camera` and `budget_nodes`.
    """
    graphs: dict[str, Sequence[NodeSpec]] = {}
    in_file: Mapping[str, str] = {}
    for camera in pipeline.cameras or ('',):
        given = {**pipeline.given, **_topics(pipeline, camera, root)}
        where = resolve(resolve(root, pipeline.namespace), camera)
        made = one_camera(given, NamedInFile(params_file, where))
        in_file = made.in_file
        graph = [spec for spec in made.nodes if spec.name not in pipeline.leaves_out]
        watch = budget_nodes(graph, budget, given['camera_info'], pipeline.target_rate_hz)
        shared = [spec.name for spec in graph if camera and spec.plugin == plugin(INFERENCE)]
        graphs[camera] = [*graph, *(_watching(spec, shared, pipeline, root) for spec in watch)]
    nodes = joined(graphs, pipeline.namespace)
    return [PlacedNode(_served(spec, pipeline), pipeline, in_file) for spec in nodes]


def check_nodes(path: str, pipelines: Iterable[Placed], placed: Sequence[PlacedNode]) -> None:
    """Refuse parameters of a pipeline for nodes that it has not: nothing would come of them.

    Those of the budget node may stay where no budget is asked for, which is so from start to start.

    Args:
        path: of the file that says them.
        placed: all nodes.

    Raises:
        ConfigError: a line for each.
    """
    problems = []
    for number, pipeline in enumerate(pipelines):
        names = list(dict.fromkeys(node.spec.name for node in placed if node.pipeline is pipeline))
        problems += [
            f'pipelines {path}: pipelines[{number}] ({pipeline.name}).params.{node}: this pipeline has no such node, '
            f'it has: {", ".join(names)}; leave it out, or give the task or the model that it is for'
            for node in pipeline.params
            if node not in names and node != 'budget'
        ]
    if problems:
        raise ConfigError('\n'.join(problems))


def shared_by_cameras(pipelines: Iterable[Placed], root: str) -> list[str]:
    """Names that nodes of a graph of one camera would have, of which there is one for all cameras in another place."""
    return [
        resolve(resolve(resolve(root, pipeline.namespace), camera), name)
        for pipeline in pipelines
        for camera in pipeline.cameras
        for name in (INFERENCE, f'crops_{INFERENCE}')
    ]


def joined(graphs: Mapping[str, Sequence[NodeSpec]], namespace: str) -> list[NodeSpec]:
    """The graphs of several cameras as one, with one inference node for each model.

    Args:
        graphs: camera -> its graph; each camera is a stream, and a namespace. '' alone stays as it is.
        namespace: of the pipeline.
    """
    nodes: dict[tuple[str, str], NodeSpec] = {}
    for camera, graph in graphs.items():
        for spec in graph:
            if camera and spec.plugin == plugin(INFERENCE):
                place = namespace, spec.name
                nodes[place] = _with_stream(nodes.get(place), dataclasses.replace(spec, namespace=namespace), camera)
            else:
                where = f'{namespace}/{camera}'.strip('/')
                nodes[where, spec.name] = dataclasses.replace(spec, namespace=where)
    return list(nodes.values())


def _with_stream(node: NodeSpec | None, own: NodeSpec, camera: str) -> NodeSpec:
    """An inference node with one more stream.

    Args:
        node: that of the streams before; None for the first.
        own: the camera's, if it had one for itself.

    Raises:
        ConfigError: the cameras before have another model, as a parameter file may say.
    """
    if node is not None:
        _check_alike(node, own, camera)
    streams = [] if node is None else node.parameters['streams']
    before = {} if node is None else node.remappings
    topics = {f'{camera}/{name}': f'{camera}/{topic}' for name, topic in own.remappings.items() if name in _TENSORS}
    return dataclasses.replace(
        own, parameters={**own.parameters, 'streams': [*streams, camera]}, remappings={**before, **topics}
    )


def _check_alike(node: NodeSpec, own: NodeSpec, camera: str) -> None:
    for name in MODEL:
        before, after = node.parameters.get(name, ''), own.parameters.get(name, '')
        if before != after:
            raise ConfigError(
                f'{own.name} of cameras {", ".join(node.parameters["streams"])} and of {camera}: {name} is '
                f'{str(before)!r} and {str(after)!r}, expected the same, since one model runs for all of them; write '
                'pipelines:=FILE.yaml with a pipeline for each model, or name one in the parameter file, below '
                '"/**/preprocess"'
            )


def _watching(spec: NodeSpec, shared: Sequence[str], pipeline: Placed, root: str) -> NodeSpec:
    """A budget node that hears of the stages that all cameras of its pipeline share."""
    where = resolve(root, pipeline.namespace)
    timings = {f'{name}/timings': resolve(where, f'{name}/timings') for name in shared}
    return dataclasses.replace(spec, remappings={**spec.remappings, **timings})


def _served(spec: NodeSpec, pipeline: Placed) -> NodeSpec:
    """A node with what its pipeline says of how the model is served."""
    if spec.plugin != plugin(INFERENCE):
        return spec
    batching = pipeline.batching if spec.name == INFERENCE else {}
    return dataclasses.replace(spec, parameters={**spec.parameters, **pipeline.serving, **batching})


def _topics(pipeline: Placed, camera: str, root: str) -> dict[str, str]:
    """The topics of a camera: its own namespace's, wherever the pipeline's nodes are."""
    if not camera:
        return {}
    named = {topic: pipeline.cameras[camera].get(topic, pipeline.given[topic]) for topic in _TOPICS}
    if not pipeline.namespace:  # what looks through a camera is in the camera's namespace
        return named
    return {topic: resolve(resolve(root, camera), name) for topic, name in named.items()}
