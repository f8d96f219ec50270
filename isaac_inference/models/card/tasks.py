# SPDX-License-Identifier: Apache-2.0
"""What a model is for, and what each task says about the model's outputs: one frozen spec per task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar

KEYPOINT_MODELS = ('cuboid8',)


class Task(str, Enum):
    """What a model is for. "Pose" alone means 6-DoF everywhere; a model that gives keypoints is `KEYPOINTS`."""

    DETECTION = 'detection'
    KEYPOINTS = 'keypoints'  # detection, and keypoints for each object
    INSTANCE_SEGMENTATION = 'instance_segmentation'
    SEMANTIC_SEGMENTATION = 'semantic_segmentation'
    MONO_DEPTH = 'mono_depth'
    STEREO_DEPTH = 'stereo_depth'
    DEPTH_COMPLETION = 'depth_completion'
    POLICY = 'policy'


@dataclass(frozen=True)
class TaskSpec:
    """What every task says: which output plays which role. Each task's spec is a subclass.

    Attributes:
        roles: role -> output tensor name; the roles are the task's, or its decoder's. Immutable.
    """

    task: ClassVar[Task]
    roles: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, 'roles', MappingProxyType(dict(self.roles)))


@dataclass(frozen=True)
class DetectionSpec(TaskSpec):
    """How boxes are read from the outputs.

    Attributes:
        decoder: one of the names in `families.FAMILIES`; its roles are the keys of `roles`.
        options: the decoder's settings, such as `strides`; immutable.
    """

    task: ClassVar[Task] = Task.DETECTION
    decoder: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, 'options', MappingProxyType(dict(self.options)))

    @property
    def decode_arguments(self) -> dict[str, Any]:
        """The keyword arguments of the decoder's `decode`: its options, but for `nms`, which comes after it."""
        return {name: value for name, value in self.options.items() if name != 'nms'}


@dataclass(frozen=True)
class KeypointSpec:
    """The keypoints that a model gives with each box.

    Attributes:
        count: keypoints per box.
        dims: values per keypoint in the model's output: 2 (x, y) or 3 (x, y, confidence).
        model: what the keypoints are on every object: 'cuboid8' for the corners of its cuboid (corner k has the
            signs of bits 2, 1 and 0 of k for x, y and z; the size is the object's), '' for points that the
            objects name themselves (`ObjectSpec.keypoints`), or that have no 3-D model.
    """

    count: int
    dims: int = 3
    model: str = ''

    @property
    def values(self) -> int:
        """Numbers in the model's output for the keypoints of one box."""
        return self.count * self.dims


@dataclass(frozen=True)
class KeypointDetectionSpec(DetectionSpec):
    """Boxes, and keypoints with each of them."""

    task: ClassVar[Task] = Task.KEYPOINTS
    keypoints: KeypointSpec = KeypointSpec(1)

    @property
    def decode_arguments(self) -> dict[str, Any]:
        """The decoder's options, and how many keypoints there are, of how many values."""
        points = {'keypoint_count': self.keypoints.count, 'keypoint_dims': self.keypoints.dims}
        return {**super().decode_arguments, **points}


SPECS: Mapping[Task, type[TaskSpec]] = {spec.task: spec for spec in (DetectionSpec, KeypointDetectionSpec)}
"""The tasks supported so far, and their specs."""
