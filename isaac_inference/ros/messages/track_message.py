# SPDX-License-Identifier: Apache-2.0
"""What a tracker reads from vision_msgs, with its checks, and what it writes."""

from __future__ import annotations

import math
from collections.abc import Collection

from vision_msgs.msg import Detection2D, Detection3D, ObjectHypothesis

from isaac_inference.errors import FrameError
from isaac_inference.ros.messages.detection_reading import box_corners


def best_hypothesis(item: Detection2D | Detection3D, labels: Collection[str] | None) -> ObjectHypothesis:
    """A detection's first hypothesis.

    Args:
        labels: the class names that there are, or None where any is good.

    Raises:
        FrameError: 'no_class', 'unknown_class' or 'bad_score'.
    """
    if not item.results or not item.results[0].hypothesis.class_id:
        raise FrameError('no_class', 'got a detection without a class_id, expected a name in results[0].hypothesis')
    best = item.results[0].hypothesis
    if labels is not None and best.class_id not in labels:
        raise FrameError(
            'unknown_class',
            f'got class {best.class_id!r}, the model has {", ".join(sorted(labels))}; do the detections come from '
            'another model than the parameter names?',
        )
    if not 0.0 <= best.score <= 1.0:
        raise FrameError('bad_score', f'{best.class_id}: got score {best.score}, expected 0 to 1')
    return best


def checked_corners(item: Detection2D) -> tuple[float, float, float, float]:
    """`box_corners` of a box that can be tracked.

    Raises:
        FrameError: 'bad_box', where it isn't finite or has no area.
    """
    center, width, height = item.bbox.center.position, item.bbox.size_x, item.bbox.size_y
    if not (math.isfinite(center.x) and math.isfinite(center.y) and 0.0 < width < math.inf and 0.0 < height < math.inf):
        raise FrameError(
            'bad_box',
            f'got a box of {width} x {height} px about ({center.x}, {center.y}), expected finite numbers and an area',
        )
    return box_corners(item)


def with_id(item: Detection2D, identity: str) -> Detection2D:
    """The same detection under an id; shares its parts with `item`, which others may be reading."""
    tracked = Detection2D()
    tracked.header, tracked.results, tracked.bbox, tracked.id = item.header, item.results, item.bbox, identity
    return tracked
