# SPDX-License-Identifier: Apache-2.0
"""Poses as geometry_msgs, vision_msgs and frames of /tf, and back."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point, PoseArray, PoseWithCovariance, Quaternion, Vector3
from geometry_msgs.msg import Pose as PoseMessage
from std_msgs.msg import Header
from vision_msgs.msg import BoundingBox3D, Detection3D, Detection3DArray, ObjectHypothesis, ObjectHypothesisWithPose

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.pose.second_pose import SecondPose
from isaac_inference.ros.messages.detections import best_result, checked_result
from isaac_inference.ros.runtime.assembly import assembler
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.transforms.broadcaster import FramePose

_point, _quaternion = assembler(Point, 'x', 'y', 'z'), assembler(Quaternion, 'x', 'y', 'z', 'w')
_vector = assembler(Vector3, 'x', 'y', 'z')
_pose = assembler(PoseMessage, 'position', 'orientation')
_with_covariance = assembler(PoseWithCovariance, 'pose', 'covariance')
_hypothesis = assembler(ObjectHypothesis, 'class_id', 'score')
_result = assembler(ObjectHypothesisWithPose, 'hypothesis', 'pose')
_box = assembler(BoundingBox3D, 'center', 'size')
_detection = assembler(Detection3D, 'header', 'results', 'bbox', 'id')
_array, _pose_array = assembler(Detection3DArray, 'header', 'detections'), assembler(PoseArray, 'header', 'poses')


@dataclass(frozen=True)
class SeenObject:
    """A Detection3D that can be used; its poses are checked by `pose_from_message`, where they are taken.

    Attributes:
        item: the message.
        result: the best hypothesis, with its pose and covariance.
        label: its class name.
        score: 0..1.
        size: (x, y, z) extent along the box's axes, m, finite and at least 0.
    """

    item: Detection3D
    result: ObjectHypothesisWithPose
    label: str
    score: float
    size: tuple[float, float, float]

    def box_center(self, pose: Pose) -> np.ndarray | None:
        """(3,) m in the object's frame, the middle of the box; None where that is the origin of `pose`, the object's.

        A middle that is not finite counts as none.
        """
        center, origin = self.item.bbox.center.position, self.result.pose.pose.position
        if center == origin:
            return None
        away = np.array((center.x - origin.x, center.y - origin.y, center.z - origin.z)) @ pose.rotation
        return away if np.isfinite(away).all() else None


def pose_message(pose: Pose) -> PoseMessage:
    """A pose as a message."""
    return _pose(_point(*pose.translation.tolist()), _quaternion(*pose.quaternion_numbers()))


def pose_from_message(message: PoseMessage) -> Pose:
    """The pose of a message.

    Raises:
        FrameError: 'bad_pose', when it isn't finite or its quaternion is zero.
    """
    position, orientation = message.position, message.orientation
    return Pose.from_quaternion(
        (orientation.x, orientation.y, orientation.z, orientation.w), (position.x, position.y, position.z)
    )


def detection_3d(
    header: Header,
    class_id: str,
    score: float,
    pose: Pose,
    size: Sequence[float] | np.ndarray,
    *,
    identity: str = '',
    covariance: np.ndarray | None = None,
    box_center: np.ndarray | None = None,
    second: SecondPose | None = None,
) -> Detection3D:
    """One object.

    Args:
        header: of the image that it was seen in, with the frame that `pose` is in.
        class_id: its class name.
        score: 0..1.
        pose: the object's origin and axes in the header's frame.
        size: (x, y, z) extent along its axes, m.
        identity: the tracker's number, '' for none.
        covariance: (6, 6), or None where it isn't known (all zeros in the message).
        box_center: (3,) m in the object's frame, the middle of its box; None where that is its origin.
        second: the other pose that it may be in, which `covariance` spans: a second result of the same class, whose
            score is to the first one's as their probabilities are.
    """
    placed = pose_message(pose)
    middle = placed
    if box_center is not None:
        middle = pose_message(Pose(pose.rotation, pose.rotation @ box_center + pose.translation))
    results = [_scored(class_id, float(score), placed, covariance)]
    if second is not None:
        other = float(score) * second.probability / (1.0 - second.probability)
        results.append(_scored(class_id, other, pose_message(second.pose), second.covariance))
    x, y, z = size
    return _detection(header, results, _box(middle, _vector(float(x), float(y), float(z))), identity)


def _scored(
    class_id: str, score: float, placed: PoseMessage, covariance: np.ndarray | None
) -> ObjectHypothesisWithPose:
    given = np.zeros(36) if covariance is None else np.ascontiguousarray(covariance, np.float64).ravel()
    return _result(_hypothesis(class_id, score), _with_covariance(placed, given))


def objects_message(header: Header, objects: list[Detection3D]) -> Detection3DArray:
    """An array of objects that are there already."""
    message: Detection3DArray = _array(header, objects)
    return message


def pose_array(detections: Detection3DArray) -> PoseArray:
    """The poses of an array's best hypotheses, in its order.

    Raises:
        FrameError: 'no_class', an object has no results and so no pose.
    """
    poses = [best_result(item).pose.pose for item in detections.detections]
    message: PoseArray = _pose_array(detections.header, poses)
    return message


def read_object(item: Detection3D, labels: Collection[str] | None = None) -> SeenObject:
    """One object; `labels` are the class names that there are, or None where any is good.

    Raises:
        FrameError: it cannot be used; the reasons of `messages.detections`.
    """
    result = checked_result(item, labels)
    best, extent = result.hypothesis, item.bbox.size
    size = (extent.x, extent.y, extent.z)
    if not all(0.0 <= value < math.inf for value in size):
        raise FrameError('bad_box', f'{best.class_id}: got size {size}, expected three lengths in m of at least 0')
    return SeenObject(item, result, best.class_id, best.score, size)


def second_pose(seen: SeenObject) -> SecondPose | None:
    """The other pose that an object may be in, as `detection_3d` writes it; None where it has none.

    Raises:
        FrameError: 'bad_pose', when it isn't finite or its quaternion is zero.
    """
    if len(seen.item.results) == 1:
        return None
    others = [
        result
        for result in seen.item.results
        if result is not seen.result and result.hypothesis.class_id == seen.label and result.hypothesis.score > 0.0
    ]
    covariances = [np.array(result.pose.covariance).reshape(6, 6) for result in others]
    if len(others) != 1 or not covariances[0].any():  # hypotheses of another kind
        return None
    score = others[0].hypothesis.score
    return SecondPose(pose_from_message(others[0].pose.pose), covariances[0], score / (score + seen.score))


def frame_prefix(tf_prefix: str, namespace: str) -> str:
    """What the frames of a node's objects begin with: 'front/', or ''.

    Args:
        tf_prefix: the parameter; 'auto' takes the namespace.
        namespace: of the node, '/front'; '/' is the root, which gives ''.
    """
    name = (namespace if tf_prefix == 'auto' else tf_prefix).strip('/')
    return f'{name}/' if name else ''


def object_frames(header: Header, objects: Iterable[Detection3D], prefix: str = '') -> list[FramePose]:
    """What /tf says of those objects that have an id: `<prefix><class>_<id>` below the frame that their poses are in.

    Class and pose are the best hypothesis's; what tf2 doesn't like in a name becomes '_'.

    Raises:
        FrameError: 'no_class', an object with an id has no results.
    """
    frames = []
    for item in objects:
        if item.id:
            best = best_result(item)
            position, turn = best.pose.pose.position, best.pose.pose.orientation
            child = prefix + re.sub(r'[\s/]+', '_', f'{best.hypothesis.class_id}_{item.id}')
            move, rotation = (position.x, position.y, position.z), (turn.x, turn.y, turn.z, turn.w)
            frames.append(FramePose(header.frame_id, child, stamp_ns(header), move, rotation))
    return frames
