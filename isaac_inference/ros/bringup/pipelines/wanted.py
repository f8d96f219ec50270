# SPDX-License-Identifier: Apache-2.0
"""What a graph is made of: its pipelines, and the cameras that it starts itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.graph import CameraTopics, NodeSpec
from isaac_inference.ros.bringup.pipelines.placed import Placed
from isaac_inference.ros.nodes.sim_camera.parameters import MOST_CAMERAS, SceneKind
from isaac_inference.serving.pipelines import SIMULATED, CameraSpec, Setup

OF_CAMERA = ('image', 'camera_info', 'depth', 'depth_info')
"""The topics of a camera, as launch arguments and `CameraSpec` name them."""
_FRAME = 'optical_frame'  # of each camera, behind its name


@dataclass(frozen=True)
class Wanted:
    """What a graph is made of.

    Attributes:
        pipelines: one at least.
        cameras: nodes that publish images, in the cameras' namespaces; a simulator of several is in the graph's own.
        budget: as of `serving.pipelines.Setup`.
    """

    pipelines: tuple[Placed, ...]
    cameras: tuple[NodeSpec, ...] = ()
    budget: str = ''


def simulated(setup: Setup) -> Setup:
    """The same with a simulated camera in place of each one that is not; these look at one scene."""
    return replace(
        setup,
        cameras=tuple(
            camera if camera.simulator is not None else replace(camera, source='', simulator=SIMULATED)
            for camera in setup.cameras
        ),
    )


def camera_nodes(cameras: Iterable[CameraSpec]) -> list[NodeSpec]:
    """The nodes that publish the images of cameras that do not publish themselves.

    Simulated cameras of the same parameters are one node, which shows one scene to all of them: scenes of their own
    would be at one place on /tf, with objects of the same names.

    Raises:
        ConfigError: more simulated cameras than may look at one scene.
    """
    nodes: list[NodeSpec] = []
    scenes: list[list[CameraSpec]] = []
    for camera in cameras:
        if camera.simulator is not None:
            scene = next((scene for scene in scenes if _is_of(camera, scene[0])), None)
            scenes.append([camera]) if scene is None else scene.append(camera)
        elif camera.source:
            own = {'source': camera.source, 'frame_id': _frame(camera)}
            nodes.append(NodeSpec.of('camera', own, _topics(camera).color, namespace=camera.name))
    several = [scene for scene in scenes if len(scene) > 1]
    names = [''] if len(several) == 1 else [f'sim_camera_{number}' for number in range(1, len(several) + 1)]
    nodes += [_simulator_of_one(*scene) for scene in scenes if len(scene) == 1]
    return nodes + [_simulator(scene, name) for scene, name in zip(several, names, strict=False)]


def _is_of(camera: CameraSpec, other: CameraSpec) -> bool:
    """Whether a simulated camera sees the scene of another one; a room with people has but one camera."""
    own = dict(camera.simulator or {})
    return own == dict(other.simulator or {}) and own.get('scene') != SceneKind.PEOPLE.value


def _simulator_of_one(camera: CameraSpec) -> NodeSpec:
    parameters = {'frame_id': _frame(camera), **(camera.simulator or {})}
    return NodeSpec.of('sim_camera', parameters, _topics(camera).all, namespace=camera.name)


def _simulator(cameras: Sequence[CameraSpec], name: str) -> NodeSpec:
    """The simulator of several cameras, each of which publishes below its name."""
    if len(cameras) > MOST_CAMERAS:
        raise ConfigError(
            f'{len(cameras)} simulated cameras of one scene, expected at most {MOST_CAMERAS}; name fewer cameras'
        )
    parameters = {'frame_id': _FRAME, **(cameras[0].simulator or {}), 'cameras': [camera.name for camera in cameras]}
    topics = {
        f'{camera.name}/{topic}': given if given.startswith('/') else f'{camera.name}/{given}'
        for camera in cameras
        for topic, given in _topics(camera).all.items()
        if given != topic
    }
    return NodeSpec.of('sim_camera', parameters, topics, name)


def _topics(camera: CameraSpec) -> CameraTopics:
    return CameraTopics(camera.image, camera.camera_info, camera.depth, camera.depth_info)


def _frame(camera: CameraSpec) -> str:
    return f'{camera.name}_{_FRAME}'


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
