# SPDX-License-Identifier: Apache-2.0
"""Detections as vision_msgs."""

from __future__ import annotations

from collections.abc import Sequence

from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
)

from isaac_inference.ops.detections import Detections


def detection_array(header: Header, found: Detections, labels: Sequence[str]) -> Detection2DArray:
    """One message; the header is the image's, on the array and on each detection."""
    detections = [
        _detection(header, x0, y0, x1, y1, score, labels[class_id])
        for (x0, y0, x1, y1), score, class_id in zip(found.boxes.tolist(), found.scores.tolist(),
                                                     found.class_ids.tolist(), strict=True)]
    return Detection2DArray(header=header, detections=detections)


def _detection(header: Header, x0: float, y0: float, x1: float, y1: float, score: float, label: str) -> Detection2D:
    center = Pose2D(position=Point2D(x=(x0 + x1) / 2, y=(y0 + y1) / 2))
    hypothesis = ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=label, score=score))
    return Detection2D(header=header, results=[hypothesis],
                       bbox=BoundingBox2D(center=center, size_x=x1 - x0, size_y=y1 - y0))
