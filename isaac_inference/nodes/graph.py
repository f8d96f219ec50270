# SPDX-License-Identifier: Apache-2.0
"""The perception graph as data: one list of nodes, from which every start mode is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PACKAGE = 'isaac_inference'


@dataclass(frozen=True)
class NodeSpec:
    """One node of the graph.

    `executable` starts it as a process, `plugin` loads it into a container; both are entry points of `package`.
    """

    name: str
    executable: str
    plugin: str
    package: str = PACKAGE
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remappings: Mapping[str, str] = field(default_factory=dict)


def perception_graph(
    *,
    model: str = '',
    model_card: str = '',
    image: str = 'image',
    camera_info: str = 'camera_info',
    source: str = '',
    annotate: bool = True,
) -> tuple[NodeSpec, ...]:
    """The nodes of the detection pipeline, in the order of the data.

    Args:
        model: path of the ONNX model; '' leaves it to the parameter file.
        model_card: path of its YAML card; '' leaves it to the parameter file.
        image: topic that carries the images.
        camera_info: topic that carries the camera's calibration.
        source: what a camera node shall publish (folder, video or index); '' starts no camera node.
        annotate: whether the node that draws pictures is part of the graph.
    """
    given = {name: value for name, value in (('model', model), ('model_card', model_card)) if value}
    camera = {'image': image, 'camera_info': camera_info}
    nodes = [
        NodeSpec(
            'preprocess',
            'preprocess_node',
            'isaac_inference::PreprocessNode',
            parameters=given,
            remappings={'image': image, 'image/compressed': f'{image}/compressed'},
        ),
        NodeSpec('inference', 'inference_node', 'isaac_inference::InferenceNode', parameters=given),
        NodeSpec('detection', 'detection_node', 'isaac_inference::DetectionNode', parameters=given),
    ]
    if source:
        nodes.insert(
            0,
            NodeSpec(
                'camera', 'camera_node', 'isaac_inference::CameraNode', parameters={'source': source}, remappings=camera
            ),
        )
    if annotate:
        nodes.append(
            NodeSpec('annotate', 'annotate_node', 'isaac_inference::AnnotateNode', remappings={'image': image})
        )
    return tuple(nodes)
