# SPDX-License-Identifier: Apache-2.0
"""Pose from depth alone: position and a box around what is seen, for any 2-D detector."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.models.objects import ObjectSpec
from isaac_inference.ops.camera_model import CameraModel
from isaac_inference.ops.depth import RegionPoints, region_points
from isaac_inference.ops.depth_position import position_from_depth
from isaac_inference.ops.oriented_box import oriented_box
from isaac_inference.ops.rigid import Pose
from isaac_inference.stages.poses.observation import DepthView, ObjectPose, Observed

MARGIN = 0.15  # of the box's sides, looked at around it to tell the object from what it stands on
_OPEN_TURN = (np.pi / 2) ** 2  # rad^2: the box of the visible part says next to nothing about the object's rotation


class DepthMethod:
    """The centre of the foreground under the box, and the tightest box around it."""

    def __init__(self, objects: Mapping[str, ObjectSpec]) -> None:
        self._objects = objects

    def estimate(self, seen: Observed, camera: CameraModel, depth: DepthView | None) -> ObjectPose:
        """With a size in the card the centre is the object's, else that of its visible part; the size is always that
        of the visible part, along the axes of its box (longest first)."""
        region = object_region(seen, camera, depth)
        inside, around = region.points[region.inside], region.points[~region.inside]
        spec = self._objects.get(seen.label)
        size = None if spec is None else spec.size
        position = position_from_depth(inside, region.area, size, around)
        box = oriented_box(inside[position.foreground])
        center = box.pose.translation if size is None else position.center
        spread = np.concatenate(((position.extents / 4) ** 2 + 1e-6, np.full(3, _OPEN_TURN)))
        return ObjectPose(
            seen.label, seen.score, Pose(box.pose.rotation, center), box.size, np.diag(spread), 'depth box'
        )


def object_region(seen: Observed, camera: CameraModel, depth: DepthView | None) -> RegionPoints:
    """The points under a detection's box and a margin around it.

    Raises:
        FrameError: 'no_depth', or what `region_points` raises.
    """
    if depth is None:
        raise FrameError('no_depth', f'{seen.label}: no depth image belongs to this frame, and it has no keypoints')
    return region_points(depth.image, depth.camera, seen.box, (camera.width, camera.height), seen.mask, MARGIN)
