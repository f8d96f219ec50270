# SPDX-License-Identifier: Apache-2.0
"""Detections as vision_msgs: how they are written, and the one way in which they are read.

A detection is what its hypothesis with the highest score says, wherever that stands in `results`. One that cannot be
used is left out of its frame, under one of these reasons, and the others go on:

- `no_class`: no result, or the best one has an empty class_id;
- `unknown_class`: the class is none of the model's;
- `bad_score`: the score is no number from 0 to 1;
- `bad_box`: the box or its angle is not finite or it has no area (of a Detection3D: a side is not finite or negative).

A rotated box has an angle, `bbox.center.theta` in rad, clockwise as one sees the image, and `size_x` and `size_y` are
its sides before that turn. Upright boxes are cut at the image's edges before they are published; a rotated one is
whole, also where it reaches beyond the image.

Keypoints that are not one row for each detection belong to others, so they cost the frame: `keypoint_count`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    Detection3D,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
)

from isaac_inference.errors import FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, TensorFrame
from isaac_inference.ros.runtime.assembly import assembler

_point, _pose = assembler(Point2D, 'x', 'y'), assembler(Pose2D, 'position', 'theta')
_box = assembler(BoundingBox2D, 'center', 'size_x', 'size_y')
_point_3d, _turn = assembler(Point, 'x', 'y', 'z'), assembler(Quaternion, 'x', 'y', 'z', 'w')
_place, _spread = assembler(Pose, 'position', 'orientation'), assembler(PoseWithCovariance, 'pose', 'covariance')
_hypothesis = assembler(ObjectHypothesis, 'class_id', 'score')
_result = assembler(ObjectHypothesisWithPose, 'hypothesis', 'pose')
_assembled = assembler(Detection2D, 'header', 'results', 'bbox', 'id')
_array = assembler(Detection2DArray, 'header', 'detections')

Item = TypeVar('Item', Detection2D, Detection3D)
Read = TypeVar('Read')
Skip = Callable[[str, str], None]  # told the reason and the sentence of what is left out, as `Health.skipped` is


@dataclass(frozen=True)
class SeenBox:
    """A Detection2D that can be used.

    Attributes:
        index: its place in the array, and the row of its keypoints.
        item: the message.
        label: class name of the best hypothesis.
        score: of the best hypothesis, 0..1.
        box: (x_min, y_min, x_max, y_max) in px, finite, with an area; of a rotated box the smallest upright one around
            it.
        theta: the box's angle in rad, clockwise; 0 for upright boxes.
    """

    index: int
    item: Detection2D
    label: str
    score: float
    box: tuple[float, float, float, float]
    theta: float = 0.0

    @property
    def identity(self) -> str:
        """The tracker's id, '' for none."""
        return str(self.item.id)


# Writing


def detection_array(header: Header, found: Detections, labels: Sequence[str]) -> Detection2DArray:
    """One message; the header is the image's, on the array and on each detection."""
    detections = [
        _detection(header, x0, y0, x1, y1, score, labels[class_id])
        for (x0, y0, x1, y1), score, class_id in zip(
            found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True
        )
    ]
    if found.angles is not None:
        for detection, theta in zip(detections, found.angles.tolist(), strict=True):
            detection.bbox.center.theta = theta
    return detections_message(header, detections)


def detections_message(header: Header, detections: list[Detection2D]) -> Detection2DArray:
    """An array of detections that are there already."""
    message: Detection2DArray = _array(header, detections)
    return message


def with_id(item: Detection2D, identity: str) -> Detection2D:
    """The same detection under an id; shares its parts with `item`, which others may be reading."""
    tracked: Detection2D = _assembled(item.header, item.results, item.bbox, identity)
    return tracked


def _detection(header: Header, x0: float, y0: float, x1: float, y1: float, score: float, label: str) -> Detection2D:
    center = _pose(_point((x0 + x1) / 2, (y0 + y1) / 2), 0.0)
    nowhere = _spread(_place(_point_3d(0.0, 0.0, 0.0), _turn(0.0, 0.0, 0.0, 1.0)), np.zeros(36))
    result = _result(_hypothesis(label, score), nowhere)
    detection: Detection2D = _assembled(header, [result], _box(center, x1 - x0, y1 - y0), '')
    return detection


# Reading


def best_result(item: Detection2D | Detection3D) -> ObjectHypothesisWithPose:
    """The result with the highest score, of equals the first; a score that is NaN is below all others.

    Raises:
        FrameError: 'no_class', there is none.
    """
    if not item.results:
        raise FrameError('no_class', 'got a detection without results, expected one that names its class')
    return item.results[0] if len(item.results) == 1 else max(item.results, key=_rank)


def checked_result(item: Detection2D | Detection3D, labels: Collection[str] | None = None) -> ObjectHypothesisWithPose:
    """`best_result` with a class and a score.

    Args:
        item: the detection.
        labels: the class names that there are, or None where any is good.

    Raises:
        FrameError: 'no_class', 'unknown_class' or 'bad_score'.
    """
    result = best_result(item)
    best = result.hypothesis
    if not best.class_id:
        raise FrameError('no_class', 'got an empty class_id in the result with the highest score, expected a name')
    if labels is not None and best.class_id not in labels:
        raise FrameError(
            'unknown_class',
            f'got class {best.class_id!r}, the model has {", ".join(sorted(labels))}; do the detections come from '
            'another model than the parameter names?',
        )
    if not 0.0 <= best.score <= 1.0:
        raise FrameError('bad_score', f'{best.class_id}: got score {best.score}, expected 0 to 1')
    return result


def box_corners(item: Detection2D) -> tuple[float, float, float, float]:
    """(x_min, y_min, x_max, y_max) in px; of a rotated box those of the smallest upright one around it.

    Raises:
        FrameError: 'bad_box', it is not finite or has no area.
    """
    bounds = item.bbox
    placed, width, height = bounds.center, bounds.size_x, bounds.size_y
    center, theta = placed.position, placed.theta
    half_x, half_y = width / 2, height / 2
    if theta and math.isfinite(theta):
        cos, sin = abs(math.cos(theta)), abs(math.sin(theta))
        half_x, half_y = half_x * cos + half_y * sin, half_x * sin + half_y * cos
    x, y = center.x, center.y
    box = x - half_x, y - half_y, x + half_x, y + half_y
    is_box = -math.inf < box[0] < box[2] < math.inf and -math.inf < box[1] < box[3] < math.inf
    if not (is_box and math.isfinite(theta) and min(width, height) > 0):
        turned = f', turned by {theta} rad' if theta else ''
        raise FrameError(
            'bad_box',
            f'got a box of {width} x {height} px about ({x}, {y}){turned}, expected finite numbers and an area',
        )
    return box


def read_detection(item: Detection2D, index: int = 0, labels: Collection[str] | None = None) -> SeenBox:
    """One detection; `index` is its place in the array, `labels` as of `checked_result`.

    Raises:
        FrameError: it cannot be used; the module's reasons.
    """
    best = checked_result(item, labels).hypothesis
    return SeenBox(index, item, best.class_id, best.score, box_corners(item), item.bbox.center.theta)


def read_detections(
    items: Iterable[Detection2D], skip: Skip | None, labels: Collection[str] | None = None
) -> list[SeenBox]:
    """Those detections of an array that can be used, in its order.

    Args:
        items: the array's detections.
        skip: told of each other one; None raises instead.
        labels: as of `checked_result`.

    Raises:
        FrameError: without `skip`, one cannot be used.
    """
    return usable(items, lambda index, item: read_detection(item, index, labels), skip)


def usable(items: Iterable[Item], read: Callable[[int, Item], Read], skip: Skip | None) -> list[Read]:
    """What `read(index, item)` makes of items; one for which it raises a FrameError is left out and `skip` is told.

    Raises:
        FrameError: that of `read`, where `skip` is None.
    """
    found = []
    for index, item in enumerate(items):
        try:
            found.append(read(index, item))
        except FrameError as error:
            if skip is None:
                raise
            skip(error.reason, f'detection {index}: {error}')
    return found


def check_keypoints(message: Detection2DArray, keypoints: np.ndarray) -> None:
    """That keypoints, (N, K, 3), are those of a message: row i of detection i.

    Raises:
        FrameError: 'keypoint_count', when there are more or fewer rows than detections.
    """
    if keypoints.ndim != 3 or len(keypoints) != len(message.detections):
        raise FrameError(
            'keypoint_count',
            f'keypoints: got shape {list(keypoints.shape)} for {len(message.detections)} detections, expected one row '
            'per detection; whatever filters or reorders the detections on their way must do so with the keypoints too',
        )


def read_keypoints(message: Detection2DArray, frame: TensorFrame) -> np.ndarray:
    """The keypoints of a message, (N, K, 3) float32: x and y in source pixels, confidence; row i of detection i.

    Raises:
        FrameError: 'bad_tensor', the frame holds no such tensor; 'keypoint_count', as of `check_keypoints`.
    """
    rows = frame.tensors.get(KEYPOINTS_TOPIC)
    if rows is None or rows.ndim != 3 or rows.shape[2] != 3:
        got = 'none' if rows is None else f'shape {list(rows.shape)}'
        raise FrameError(
            'bad_tensor',
            f'tensor {KEYPOINTS_TOPIC}: got {got}, expected [detections, keypoints, 3]; look at the node that '
            'publishes it',
        )
    check_keypoints(message, rows)
    return np.asarray(rows)


def _rank(result: ObjectHypothesisWithPose) -> float:
    score = float(result.hypothesis.score)
    return -math.inf if math.isnan(score) else score
