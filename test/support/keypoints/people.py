# SPDX-License-Identifier: Apache-2.0
"""Graphs of top-down keypoints in a container of this process, and who feeds and hears them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from isaac_ros_tensor_list_interfaces.msg import TensorList
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from isaac_inference.models import ModelCard
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ros.bringup.graph import CropModel, FoundTopics, NodeSpec, perception_graph
from isaac_inference.ros.messages.detections import detection_array
from isaac_inference.ros.messages.tensors import TensorFrame, from_tensor_list
from support.ros.node_graph import PATIENT, RELIABLE_IMAGES, Graph
from support.ros.probe import RELIABLE, image_message


def load(graph: Graph, specs: Sequence[NodeSpec], **parameters: dict[str, Any]) -> None:
    """Load nodes of a graph as a launch does, with parameters by node, and wait until they are active."""
    for spec in specs:
        takes_images = spec.name in ('preprocess', 'crops', 'annotate')
        values = {**PATIENT, **(RELIABLE_IMAGES if takes_images else {}), **spec.parameters}
        values.update(parameters.get(spec.name, {}))
        graph.container.load(
            spec.package,
            spec.plugin.split('::')[1],
            node_name=spec.name,
            namespace=graph.namespace,
            remappings=[f'{name}:={topic}' for name, topic in spec.remappings.items() if name != topic],
            parameters=[Parameter(name, value=value) for name, value in values.items()],
        )
    graph.probe.wait_active(*(spec.name for spec in specs))


class People:
    """crops, crops_inference and keypoints in one container, and who feeds and hears them."""

    def __init__(self, graph: Graph, card: ModelCard, **parameters: dict[str, Any]) -> None:
        self.graph, self.probe = graph, graph.probe
        specs = perception_graph(found=FoundTopics(), crops=CropModel.of(str(card.path), '', card), annotate=False)
        load(graph, specs, **{'crops': {'wait_s': 10.0}, **parameters})
        self.keypoints: list[TensorFrame] = self.probe.listen('keypoints', TensorList, read=from_tensor_list)
        self._detections = self.probe.node.create_publisher(Detection2DArray, 'detections', RELIABLE)
        self.probe.wait_matched()

    def send(self, image: Image | None, boxes: Any, labels: Sequence[str] = (), scores: Sequence[float] = (),
             header: Header | None = None) -> Header:  # fmt: skip
        """Publish an image and detections of it; by default people of falling score."""
        header = header or (image.header if image is not None else image_message().header)
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        count = len(boxes)
        names = list(labels) or ['person'] * count
        known = sorted(set(names))
        found = Detections(
            boxes,
            np.array(list(scores) or np.linspace(0.9, 0.5, count), np.float32),
            np.array([known.index(name) for name in names], np.int32),
        )
        if image is not None:
            self.probe.send(image)
        self.probe.send(detection_array(header, found, known), self._detections)
        return header

    def rows_of(self, header: Header) -> np.ndarray:
        """The keypoints of that header, once they are there."""
        self.probe.wait_until(lambda: self._of(header), f'keypoints of {header.stamp}')
        [frame] = self._of(header)
        return frame.tensors['keypoints']

    def ask(self, pixels: np.ndarray, boxes: Any, **more: Any) -> np.ndarray:
        """The keypoints of people in a picture."""
        return self.rows_of(self.send(image_message(pixels), boxes, **more))

    def _of(self, header: Header) -> list[TensorFrame]:
        return [frame for frame in list(self.keypoints) if frame.header == header]

    def counts(self, node: str, *keys: str) -> list[str]:
        """Values of a node's newest diagnostics."""
        values = {pair.key: pair.value for pair in self.probe.wait_report(node).values}
        return [values.get(key, '') for key in keys]
