# SPDX-License-Identifier: Apache-2.0
"""Poses as geometry_msgs and vision_msgs, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import PoseArray
from std_msgs.msg import Header
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose

from isaac_inference.ops.geometry.rigid import Pose


def pose_message(pose: Pose) -> PoseMessage:
    """A pose as a message."""
    message = PoseMessage()
    position, orientation = message.position, message.orientation
    position.x, position.y, position.z = pose.translation.tolist()
    orientation.x, orientation.y, orientation.z, orientation.w = pose.quaternion().tolist()
    return message


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
    message, result = Detection3D(header=header, id=identity), ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = class_id, float(score)
    result.pose.pose = pose_message(pose)
    if covariance is not None:
        result.pose.covariance = np.ascontiguousarray(covariance, np.float64).ravel()
    message.results = [result]
    message.bbox.center = result.pose.pose
    extent = message.bbox.size
    extent.x, extent.y, extent.z = (float(value) for value in size)
    return message


def pose_array(detections: Detection3DArray) -> PoseArray:
    """The poses of an array, in its order."""
    return PoseArray(header=detections.header, poses=[item.results[0].pose.pose for item in detections.detections])
