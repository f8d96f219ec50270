# SPDX-License-Identifier: Apache-2.0
"""The truth of a simulated room with people, in the messages that a graph publishes of people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ros.messages.detections import detection_array
from isaac_inference.ros.messages.people.joints import JointRows, joint_cloud
from isaac_inference.ros.messages.poses import detection_3d
from isaac_inference.ros.messages.tensors import KEYPOINTS_TOPIC, SOURCE_SIZE, TensorFrame
from isaac_inference.sim.people import KEYPOINTS, PersonTruth
from isaac_inference.sim.people.scene import PERSON

_GIRTH = (0.17, 0.30)  # over the stature: depth and breadth of the box around somebody upright


def people_2d(header: Header, truths: Sequence[PersonTruth]) -> Detection2DArray:
    """The boxes of the full outlines; a score is the visible part, an id the person's number."""
    found = Detections(
        np.array([item.box for item in truths], np.float32).reshape(-1, 4),
        np.array([item.visibility for item in truths], np.float32),
        np.zeros(len(truths), np.int32),
    )
    message = detection_array(header, found, (PERSON.name,))
    for detection, item in zip(message.detections, truths, strict=True):
        detection.id = str(item.instance)
    return message


def people_3d(header: Header, truths: Sequence[PersonTruth]) -> Detection3DArray:
    """Where people are, x forward, y to their left, z up, about half their height; and a box of their stature."""
    return Detection3DArray(
        header=header,
        detections=[
            detection_3d(
                header,
                PERSON.name,
                item.visibility,
                item.pose,
                (*(share * item.height for share in _GIRTH), item.height),
                identity=str(item.instance),
            )
            for item in truths
        ],
    )


def true_keypoints(header: Header, truths: Sequence[PersonTruth], camera: CameraModel) -> TensorFrame:
    """The joints in the image, as `keypoints` has them: a row for each box; confidence 1 where visible, else 0."""
    rows = np.zeros((len(truths), len(KEYPOINTS), 3), np.float32)
    for row, item in zip(rows, truths, strict=True):
        there = np.isfinite(item.pixels).all(axis=1)
        row[there, :2] = item.pixels[there]
        row[:, 2] = item.visible
    size = {SOURCE_SIZE: np.array((camera.width, camera.height), np.int32)}
    return TensorFrame(header, {KEYPOINTS_TOPIC: rows}, size)


def true_joints(header: Header, truths: Sequence[PersonTruth]) -> PointCloud2:
    """The joints in space, as `keypoints_3d` has them; visible or not, confidence tells."""
    shape = (len(truths), len(KEYPOINTS))
    positions = np.array([item.joints for item in truths]).reshape(*shape, 3)
    visible = np.array([item.visible for item in truths], np.float64).reshape(shape)
    numbers = [item.instance for item in truths]
    return joint_cloud(header, JointRows(positions, np.zeros((*shape, 3, 3)), visible, numbers))
