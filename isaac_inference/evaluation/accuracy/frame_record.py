# SPDX-License-Identifier: Apache-2.0
"""One frame of an evaluation: the truth, the pipeline's output, and when it arrived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.masks.masks import Masks

_ORTHONORMAL = 1e-3  # tolerance for a pose's rotation matrix; messages carry float64, so this is generous


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes in the image; entry i of every field is the same object.

    Attributes:
        boxes: (N, 4) float64, (x_min, y_min, x_max, y_max) in pixels of the camera's image.
        classes: N class names.
        scores: (N,) float64; for truths the visible fraction of the object, for estimates the confidence.
        ids: N instance ids (truth) or track ids (estimate); '' where there is none.
        masks: N masks in pixels of the camera's image, where they are known.

    Raises:
        FrameError: 'bad_estimate', when lengths differ or a number is not finite.
    """

    boxes: np.ndarray
    classes: tuple[str, ...]
    scores: np.ndarray
    ids: tuple[str, ...]
    masks: Masks | None = None

    def __post_init__(self) -> None:
        _require('boxes', self.boxes, (len(self.classes), 4))
        if self.masks is not None and len(self.masks) != len(self.classes):
            raise FrameError('bad_estimate', f'masks: got {len(self.masks)} for {len(self.classes)} boxes')
        _require_labels(self.classes, self.scores, self.ids)

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def empty(cls) -> Boxes:
        """No object."""
        return cls(np.empty((0, 4)), (), np.empty(0), ())


@dataclass(frozen=True, eq=False)
class Poses:
    """N objects in space; entry i of every field is the same object.

    Attributes:
        poses: (N, 4, 4) float64, T_camera_object: object coordinates to those of the optical frame, metres.
        sizes: (N, 3) float64, edges of the object's cuboid along its own axes, metres.
        classes, scores, ids: as in `Boxes`.

    Raises:
        FrameError: 'bad_estimate', when lengths differ, a number is not finite or a pose is not a rigid motion.
    """

    poses: np.ndarray
    sizes: np.ndarray
    classes: tuple[str, ...]
    scores: np.ndarray
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        _require('poses', self.poses, (len(self.classes), 4, 4))
        _require('sizes', self.sizes, (len(self.classes), 3))
        _require_labels(self.classes, self.scores, self.ids)
        rotations = self.poses[:, :3, :3]
        off = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
        wrong = np.flatnonzero((off > _ORTHONORMAL) | (np.linalg.det(rotations) < 0))
        if len(wrong):
            raise FrameError(
                'bad_estimate',
                f'pose {wrong[0]} ({self.classes[wrong[0]]}): its 3x3 part is not a rotation; '
                'expected T_camera_object from a unit quaternion; check the node that publishes it',
            )

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def empty(cls) -> Poses:
        """No object."""
        return cls(np.empty((0, 4, 4)), np.empty((0, 3)), (), np.empty(0), ())


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """What is known of one image.

    Attributes:
        stamp_ns: the image's stamp.
        truth_boxes, truth_poses: what there was to be found.
        boxes, poses: the pipeline's output; empty if it did not answer.
        answered: whether both answers came; False is a dropped frame.
        stages_ms: time that each stage worked on the frame, by stage name.
        total_ms: from the image's stamp to the last output; None where that is unknown.
        pipeline_ms: from the first stage's mailbox to the last output; None where that is unknown.
        finished_ns: host time of the last output; 0 where that is unknown.
        left_out: the reason why an object has no pose, by its id in `boxes`, as far as the pipeline says it.
    """

    stamp_ns: int
    truth_boxes: Boxes
    truth_poses: Poses
    boxes: Boxes = field(default_factory=Boxes.empty)
    poses: Poses = field(default_factory=Poses.empty)
    answered: bool = True
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    total_ms: float | None = None
    pipeline_ms: float | None = None
    finished_ns: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)


def _require_labels(classes: Sequence[str], scores: np.ndarray, ids: Sequence[str]) -> None:
    _require('scores', scores, (len(classes),))
    if len(ids) != len(classes):
        raise FrameError('bad_estimate', f'ids: got {len(ids)}, expected one for each of {len(classes)} classes')


def _require(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise FrameError('bad_estimate', f'{name}: got shape {array.shape}, expected {shape}; one entry per object')
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise FrameError(
            'bad_estimate',
            f'{name}[{row}]: got {array[row].tolist()}, expected finite numbers; check the node that publishes them',
        )
