# SPDX-License-Identifier: Apache-2.0
"""What a graph is made of: its pipelines, and the cameras that it starts itself."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.ros.bringup.graph import CameraTopics, NodeSpec
from isaac_inference.ros.bringup.pipelines.placed import Placed
from isaac_inference.serving.pipelines import CameraSpec

OF_CAMERA = ('image', 'camera_info', 'depth', 'depth_info')
"""The topics of a camera, as launch arguments and `CameraSpec` name them."""


@dataclass(frozen=True)
class Wanted:
    """What a graph is made of.

    Attributes:
        pipelines: one at least.
        cameras: nodes that publish images, in the cameras' namespaces.
        budget: as of `serving.pipelines.Setup`.
    """

    pipelines: tuple[Placed, ...]
    cameras: tuple[NodeSpec, ...] = ()
    budget: str = ''


def camera_nodes(camera: CameraSpec) -> list[NodeSpec]:
    """The node that publishes a camera's images, where there is one."""
    topics = CameraTopics(camera.image, camera.camera_info, camera.depth, camera.depth_info)
    if camera.simulator is not None:
        frames = {'frame_id': f'{camera.name}_optical_frame'}
        return [NodeSpec.of('sim_camera', {**frames, **camera.simulator}, topics.all, namespace=camera.name)]
    if camera.source:
        return [NodeSpec.of('camera', {'source': camera.source}, topics.color, namespace=camera.name)]
    return []


def separate_processes(wanted: Wanted, *, composed: bool) -> list[str]:
    """What is lost where each node is a process."""
    if composed or not any(pipeline.name for pipeline in wanted.pipelines):
        return []
    classes = sorted({pipeline.priority for pipeline in wanted.pipelines})
    if len(classes) < 2:
        return []
    return [
        f'composed:=false: the priorities {", ".join(map(str, classes))} hold within a process, and each inference '
        'node is one of its own; leave composed out, so that they wait for each other'
    ]
