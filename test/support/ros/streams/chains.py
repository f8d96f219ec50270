# SPDX-License-Identifier: Apache-2.0
"""Whole chains of several cameras around one inference node: images in, detections out, a namespace each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from support.ros.node_graph import PATIENT, RELIABLE_IMAGES, Graph
from support.ros.probe import RELIABLE, value_of
from support.waiting import LIMIT_S


class CameraChains:
    """Preprocess and detection of each stream in its namespace, one inference node for all.

    Args:
        graph: an empty one.
        model: the model of all nodes.
        streams: the cameras' names.
        limit_s: until all are active.
        parameters: of nodes, by their kind; '__' in a name stands for a dot.
    """

    def __init__(
        self, graph: Graph, model: Path, streams: list[str], limit_s: float = LIMIT_S, **parameters: dict[str, Any]
    ) -> None:
        self.graph, self.probe, self.streams = graph, graph.probe, streams
        self.inference = graph.load(
            'InferenceNode', 'inference', model=str(model), streams=streams, **parameters.get('inference', {})
        )
        for stream in streams:
            for plugin, name in (('PreprocessNode', 'preprocess'), ('DetectionNode', 'detection')):
                self._load(plugin, name, stream, {'model': str(model), **parameters.get(name, {})})
        probe = graph.probe
        self.images = {stream: probe.node.create_publisher(Image, f'{stream}/image', RELIABLE) for stream in streams}
        self.found = {stream: probe.listen(f'{stream}/detections', Detection2DArray) for stream in streams}
        names = ['inference', *(f'{stream}/{name}' for stream in streams for name in ('preprocess', 'detection'))]
        probe.wait_active(*names, limit_s=limit_s)
        probe.wait_matched()

    def ask(self, stream: str, message: Image) -> Detection2DArray:
        """Send an image of a camera; its detections."""
        message.header.frame_id = f'{stream}_lens'
        self.images[stream].publish(message)
        answers = lambda: [one for one in list(self.found[stream]) if one.header == message.header]  # noqa: E731
        self.probe.wait_until(answers, f'detections of {stream}')
        return answers()[0]

    def value(self, node: str, key: str) -> str:
        """A figure in a node's last diagnostics."""
        return value_of(self.probe.status(node), key)

    def _load(self, plugin: str, name: str, stream: str, given: dict[str, Any]) -> None:
        values = {**PATIENT, **(RELIABLE_IMAGES if plugin == 'PreprocessNode' else {})}
        values.update({key.replace('__', '.'): value for key, value in given.items()})
        self.graph.container.load(
            'isaac_inference',
            plugin,
            node_name=name,
            namespace=f'{self.graph.namespace}/{stream}',
            parameters=[Parameter(key, value=value) for key, value in values.items()],
        )
