# SPDX-License-Identifier: Apache-2.0
"""Messages as the arrays that an evaluation takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.errors import FrameError
from isaac_inference.evaluation import Boxes, Poses
from isaac_inference.ros.messages.detection_reading import box_corners
from isaac_inference.ros.messages.poses import pose_from_message


def boxes_from_message(message: Detection2DArray) -> Boxes:
    """The boxes, by each detection's best hypothesis.

    Raises:
        FrameError: 'bad_estimate', a number is not finite or a detection names no class.
    """
    items = message.detections
    return Boxes(np.array([box_corners(item) for item in items], float).reshape(-1, 4), *_labels(items))


def poses_from_message(message: Detection3DArray) -> Poses:
    """The objects, by each detection's best hypothesis and its box's centre.

    Raises:
        FrameError: 'bad_estimate' or 'bad_pose', a number is not finite or a detection names no class.
    """
    items = message.detections
    poses = [pose_from_message(item.bbox.center).matrix() for item in items]
    sizes = [(item.bbox.size.x, item.bbox.size.y, item.bbox.size.z) for item in items]
    return Poses(np.array(poses, float).reshape(-1, 4, 4), np.array(sizes, float).reshape(-1, 3), *_labels(items))


def _labels(items: Iterable[Any]) -> tuple[tuple[str, ...], np.ndarray, tuple[str, ...]]:
    best = []
    for item in items:
        if not item.results:
            raise FrameError('bad_estimate', 'a detection without results, expected one that names its class')
        best.append(max((result.hypothesis for result in item.results), key=lambda hypothesis: hypothesis.score))
    return (
        tuple(hypothesis.class_id for hypothesis in best),
        np.array([hypothesis.score for hypothesis in best], float),
        tuple(item.id for item in items),
    )
