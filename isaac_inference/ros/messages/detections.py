# SPDX-License-Identifier: Apache-2.0
"""Detections as vision_msgs."""

from __future__ import annotations

from collections.abc import Sequence

from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from isaac_inference.ops.boxes.detections import Detections


def detection_array(header: Header, found: Detections, labels: Sequence[str]) -> Detection2DArray:
    """One message; the header is the image's, on the array and on each detection."""
    detections = [
        _detection(header, x0, y0, x1, y1, score, labels[class_id])
        for (x0, y0, x1, y1), score, class_id in zip(
            found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True
        )
    ]
    return Detection2DArray(header=header, detections=detections)


def _detection(header: Header, x0: float, y0: float, x1: float, y1: float, score: float, label: str) -> Detection2D:
    # filled in place: a message's constructor makes every default even for what it is given, half as much work again
    detection, result = Detection2D(), ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = label, score
    center = detection.bbox.center.position
    center.x, center.y = (x0 + x1) / 2, (y0 + y1) / 2
    detection.bbox.size_x, detection.bbox.size_y = x1 - x0, y1 - y0
    detection.header, detection.results = header, [result]
    return detection
