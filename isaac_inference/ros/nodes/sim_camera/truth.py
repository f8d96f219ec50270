# SPDX-License-Identifier: Apache-2.0
"""A simulated frame's truth as vision_msgs; a score is the visible part of the object."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.detections import detection_array
from isaac_inference.ros.messages.poses import detection_3d
from isaac_inference.sim import LABELS, ObjectKind, Truth

TRUTH_3D = 'truth/detections_3d'


def truth_2d(header: Header, truths: Sequence[Truth]) -> Detection2DArray:
    """The boxes of the full outlines."""
    message = detection_array(
        header,
        Detections(
            np.array([item.box for item in truths], np.float32).reshape(-1, 4),
            np.array([item.visibility for item in truths], np.float32),
            np.array([LABELS.index(item.kind.name) for item in truths], np.int32),
        ),
        LABELS,
    )
    for detection, item in zip(message.detections, truths, strict=True):
        detection.id = str(item.instance)
    return message


def truth_3d(header: Header, truths: Sequence[Truth]) -> Detection3DArray:
    """The poses and sizes."""
    return Detection3DArray(
        header=header,
        detections=[
            detection_3d(
                header, item.kind.name, item.visibility, item.pose, item.kind.size, identity=str(item.instance)
            )
            for item in truths
        ],
    )


def truth_in_common(
    header: Header, objects: Sequence[tuple[int, ObjectKind, Pose]], visible: Collection[Mapping[int, float]]
) -> Detection3DArray:
    """What several cameras see together.

    Args:
        header: with the frame that `objects` are in.
        objects: (instance, kind, pose) of all that there are.
        visible: for each camera, the visible part of each object that it sees at all, by instance.
    """
    best = {instance: max(seen.get(instance, 0.0) for seen in visible) for instance, *_ in objects} if visible else {}
    return Detection3DArray(
        header=header,
        detections=[
            detection_3d(header, kind.name, best[instance], pose, kind.size, identity=str(instance))
            for instance, kind, pose in objects
            if best.get(instance, 0.0) > 0.0
        ],
    )
