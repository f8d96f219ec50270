# SPDX-License-Identifier: Apache-2.0
"""Reading Detection2DArray: boxes as corners, and each detection with its keypoints."""

from __future__ import annotations

import math

import numpy as np
from vision_msgs.msg import Detection2D, Detection2DArray

from isaac_inference.errors import FrameError
from isaac_inference.stages.poses import Observed


def box_corners(item: Detection2D) -> tuple[float, float, float, float]:
    """(x_min, y_min, x_max, y_max) in px."""
    center, width, height = item.bbox.center.position, item.bbox.size_x, item.bbox.size_y
    return center.x - width / 2, center.y - height / 2, center.x + width / 2, center.y + height / 2


def observed_objects(message: Detection2DArray, keypoints: np.ndarray | None) -> list[tuple[str, Observed]]:
    """(id, detection) of each detection that names a class.

    Args:
        message: the detections.
        keypoints: (N, K, 3), row i belongs to detection i; None where there are none.

    Raises:
        FrameError: 'keypoint_count', when there are more or fewer keypoint rows than detections; 'bad_detections' for
            a box that isn't finite.
    """
    if keypoints is not None and (keypoints.ndim != 3 or len(keypoints) != len(message.detections)):
        raise FrameError(
            'keypoint_count',
            f'keypoints: got shape {list(keypoints.shape)} for {len(message.detections)} detections, expected one row '
            'a detection; whatever filters or reorders the detections on their way must do so with the keypoints too',
        )
    result = []
    for index, item in enumerate(message.detections):
        if not item.results:
            continue
        box = box_corners(item)
        if not all(map(math.isfinite, box)):
            raise FrameError('bad_detections', f'detection {index}: got box {box}, expected finite numbers')
        best = item.results[0].hypothesis
        rows = None if keypoints is None else keypoints[index]
        result.append((item.id, Observed(best.class_id, best.score, np.array(box), rows)))
    return result
