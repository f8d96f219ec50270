# SPDX-License-Identifier: Apache-2.0
"""What /tf says of objects: `<class>_<id>` below the frame that their poses are in."""

from __future__ import annotations

import re
from collections.abc import Iterable

from std_msgs.msg import Header
from vision_msgs.msg import Detection3D

from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.transforms.broadcaster import FramePose


def object_frames(header: Header, objects: Iterable[Detection3D]) -> list[FramePose]:
    """The frames of those objects that have an id; what tf2 doesn't like in a name becomes '_'."""
    result = []
    for item in objects:
        if item.id:
            pose, best = item.results[0].pose.pose, item.results[0].hypothesis
            position, turn = pose.position, pose.orientation
            child = re.sub(r'[\s/]+', '_', f'{best.class_id}_{item.id}')
            move, rotation = (position.x, position.y, position.z), (turn.x, turn.y, turn.z, turn.w)
            result.append(FramePose(header.frame_id, child, stamp_ns(header), move, rotation))
    return result
