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
from isaac_inference.ros.messages.detections import best_result, checked_result
from isaac_inference.ros.runtime.topics.assembly import assembler
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


def pose_message(pose: Pose) -> PoseMessage:
    """A pose as a message."""
    return _pose(_point(*pose.translation.tolist()), _quaternion(*pose.quaternion().tolist()))


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
) -> Detection3D:
    """One object.

    Args:
        header: of the image that it was seen in, with the frame that `pose` is in.
        class_id: its class name.
        score: 0..1.
        pose: the object's centre and axes in the header's frame.
        size: (x, y, z) extent along its axes, m.
        identity: the tracker's number, '' for none.
        covariance: (6, 6), or None where it isn't known (all zeros in the message).
    """
    placed = pose_message(pose)
    given = np.zeros(36) if covariance is None else np.ascontiguousarray(covariance, np.float64).ravel()
    result = _result(_hypothesis(class_id, float(score)), _with_covariance(placed, given))
    x, y, z = size
    return _detection(header, [result], _box(placed, _vector(float(x), float(y), float(z))), identity)


def pose_array(detections: Detection3DArray) -> PoseArray:
    """The poses of an array's best hypotheses, in its order.

    Raises:
        FrameError: 'no_class', an object has no results and so no pose.
    """
    return PoseArray(header=detections.header, poses=[best_result(item).pose.pose for item in detections.detections])


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
