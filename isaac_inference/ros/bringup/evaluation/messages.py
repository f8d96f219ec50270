# SPDX-License-Identifier: Apache-2.0
"""Messages as the arrays that an evaluation takes."""

from __future__ import annotations

import numpy as np
from vision_msgs.msg import Detection2DArray, Detection3D, Detection3DArray

from isaac_inference.evaluation import Boxes, Poses
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.detections import Skip, read_detections, usable
from isaac_inference.ros.messages.poses import SeenObject, pose_from_message, read_object


def boxes_from_message(message: Detection2DArray, skip: Skip | None = None) -> Boxes:
    """The boxes, by each detection's best hypothesis.

    Args:
        message: a truth or an answer.
        skip: told of each detection that cannot be used; None, as for a truth, raises instead.

    Raises:
        FrameError: without `skip`, a detection cannot be used; the reasons of `messages.detections`.
    """
    seen = read_detections(message.detections, skip)
    return Boxes(
        np.array([item.box for item in seen], float).reshape(-1, 4),
        tuple(item.label for item in seen),
        np.array([item.score for item in seen], float),
        tuple(item.identity for item in seen),
    )


def poses_from_message(message: Detection3DArray, skip: Skip | None = None) -> Poses:
    """The objects, by each detection's best hypothesis and its box's centre.

    Args:
        message: a truth or an answer.
        skip: told of each object that cannot be used; None, as for a truth, raises instead.

    Raises:
        FrameError: without `skip`, an object cannot be used; the reasons of `messages.detections`, or 'bad_pose'.
    """
    placed = usable(message.detections, _placed, skip)
    return Poses(
        np.array([center.matrix() for _, center in placed], float).reshape(-1, 4, 4),
        np.array([seen.size for seen, _ in placed], float).reshape(-1, 3),
        tuple(seen.label for seen, _ in placed),
        np.array([seen.score for seen, _ in placed], float),
        tuple(seen.item.id for seen, _ in placed),
    )


def _placed(index: int, item: Detection3D) -> tuple[SeenObject, Pose]:
    return read_object(item), pose_from_message(item.bbox.center)
