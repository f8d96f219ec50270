# SPDX-License-Identifier: Apache-2.0
"""Cameras, and the pipelines that look through them; each default is written here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

PRIORITIES: Mapping[int, str] = MappingProxyType({0: 'best effort', 1: 'normal', 2: 'high', 3: 'safety'})
"""The classes of priority: an inference of a lower one does not begin while one of a higher one waits."""
DEFAULT_PRIORITY = 1
SIMULATED: Mapping[str, Any] = MappingProxyType({'seed': 1, 'rate_hz': 6.0})
"""Parameters of simulated cameras that take the place of real ones: alike, so that they look at one scene, and slow, as
all of them draw on one processor."""


class Added(str, Enum):
    """What a pipeline does with what its model finds."""

    POSES = 'poses'  # 6-DoF poses of objects
    TRACK = 'track'  # persistent ids, smooth poses
    SKELETONS = 'skeletons'  # people's keypoints as bodies, in space where there is depth
    ANNOTATE = 'annotate'  # pictures for people


@dataclass(frozen=True)
class CameraSpec:
    """A camera.

    Attributes:
        name: of the stream, and the namespace of all that looks through it.
        image, camera_info, depth, depth_info: topics, below the camera's name unless they begin with a slash. Depth is
            registered to the images.
        source: what a camera node publishes there (folder, video, recording or index); '' starts none.
        simulator: parameters of a simulated camera that publishes there; None starts none. Immutable.
    """

    name: str
    image: str = 'image'
    camera_info: str = 'camera_info'
    depth: str = 'depth/image'
    depth_info: str = 'depth/camera_info'
    source: str = ''
    simulator: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.simulator is not None:
            object.__setattr__(self, 'simulator', MappingProxyType(dict(self.simulator)))


@dataclass(frozen=True)
class PipelineSpec:
    """One model, on one camera or several.

    Attributes:
        name: of the pipeline.
        model: path of the ONNX model.
        model_card: path of its card, or the name of one that is shipped; '' looks beside the model.
        keypoints_model, keypoints_card: a top-down model that finds the keypoints of each person that `model` has
            found, and its card; '' for none.
        cameras: names of the cameras, in the order of the streams.
        adds: what is done with what the model finds; None for all that the model gives reason to.
        namespace: of the pipeline's nodes; '' is its name.
        priority: a key of `PRIORITIES`.
        target_rate_hz: results of each camera per second below which somebody wants to know of it; 0 for none.
        threads: CPU threads of the model; 0 leaves it to the inference node.
        max_batch: frames that are run at once, at most one of each camera; 0 takes what the engine takes.
        batch_wait_ms: how long an idle engine waits for frames of other cameras.
        rectify: whether the images are rectified by their CameraInfo.
        target_frame: of the poses; '' is the camera's optical frame.
        params: node -> its parameters, by dotted names, for the nodes of this pipeline. Immutable.
    """

    name: str
    model: str
    cameras: tuple[str, ...]
    model_card: str = ''
    keypoints_model: str = ''
    keypoints_card: str = ''
    adds: frozenset[Added] | None = None
    namespace: str = ''
    priority: int = DEFAULT_PRIORITY
    target_rate_hz: float = 0.0
    threads: int = 0
    max_batch: int = 0
    batch_wait_ms: float = 0.0
    rectify: bool = False
    target_frame: str = ''
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen = {node: MappingProxyType(dict(values)) for node, values in self.params.items()}
        object.__setattr__(self, 'params', MappingProxyType(frozen))

    @property
    def below(self) -> str:
        """The namespace of the pipeline's nodes, without slashes around it."""
        return (self.namespace or self.name).strip('/')

    def wants(self, what: Added) -> bool | None:
        """Whether it is asked for; None leaves that to what the model finds."""
        return None if self.adds is None else what in self.adds


@dataclass(frozen=True)
class Setup:
    """All that runs on one machine.

    Attributes:
        path: of the file that says it.
        budget: how long a frame may take in all: the name or the path of a file of budgets; '' for none.
    """

    path: str
    cameras: tuple[CameraSpec, ...]
    pipelines: tuple[PipelineSpec, ...]
    budget: str = ''

    def camera(self, name: str) -> CameraSpec:
        """The camera of that name; there is one."""
        return next(camera for camera in self.cameras if camera.name == name)
