# SPDX-License-Identifier: Apache-2.0
"""Pose from depth alone: position and a box around what is seen, for any 2-D detector."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.models.objects import ObjectSpec
from isaac_inference.ops.camera_model import CameraModel
from isaac_inference.ops.depth import RegionPoints, region_points
from isaac_inference.ops.depth_position import position_from_depth
from isaac_inference.ops.oriented_box import OrientedBox, oriented_box
from isaac_inference.ops.rigid import Pose
from isaac_inference.ops.symmetry import canonical
from isaac_inference.stages.poses.by_keypoints import symmetries_of
from isaac_inference.stages.poses.observation import DepthView, ObjectPose, Observed

MARGIN = 0.15  # of the box's sides, looked at around it to tell the object from what it stands on
_ORDERS = np.array(list(itertools.permutations(range(3))))
_TOO_LARGE = 0.2  # relative: more than noise and loose edges add
_ACROSS = 0.15  # cosine to the line of sight below which a side counts as across it
_OPEN_TURN = (np.pi / 2) ** 2  # rad^2: the box of the visible part says next to nothing about the object's rotation


class DepthMethod:
    """The foreground under the box: its tightest box, completed to the object's size where the card says that."""

    def __init__(self, objects: Mapping[str, ObjectSpec]) -> None:
        self._objects = objects
        self._symmetries = symmetries_of(objects)

    def estimate(self, seen: Observed, camera: CameraModel, depth: DepthView | None) -> ObjectPose:
        """With a size in the card: the object's box, up to the turns after which a bare box looks the same ('depth
        size'). Else, or where the two don't fit, the box of the visible part, longest side first ('depth box')."""
        region = object_region(seen, camera, depth)
        inside, around = region.points[region.inside], region.points[~region.inside]
        spec = self._objects.get(seen.label)
        size = None if spec is None else spec.size
        position = position_from_depth(inside, region.area, size, around)
        box = oriented_box(inside[position.foreground])
        spread = np.diag(np.concatenate(((position.extents / 4) ** 2 + 1e-6, np.full(3, _OPEN_TURN))))
        whole = None if size is None else completed(box, np.array(size))
        if whole is not None:
            pose = canonical(whole, self._symmetries[seen.label])
            return ObjectPose(seen.label, seen.score, pose, np.array(size), spread, 'depth size')
        pose = Pose(box.pose.rotation, box.pose.translation if size is None else position.center)
        return ObjectPose(seen.label, seen.score, pose, box.size, spread, 'depth box')


def completed(box: OrientedBox, size: np.ndarray) -> Pose | None:
    """T_camera_object of an object of known size whose visible part fills a box; None where that is larger.

    The sides are matched to the size in the order that leaves least over. What a side lacks is hidden, and so lies on
    its far end; a side across the view has no far end, and lacks what something else covers on either.

    Args:
        box: around the visible part.
        size: (3,) m along the object's axes.
    """
    lack = size[_ORDERS] - box.size  # row p: axis i of the box is axis _ORDERS[p, i] of the object
    best = int((np.abs(lack) + 3.0 * np.maximum(-lack, 0.0)).sum(axis=1).argmin())
    if (lack[best] < -_TOO_LARGE * size[_ORDERS[best]] - 0.01).any():
        return None
    axes, center = box.pose.rotation, box.pose.translation
    along = center @ axes / np.linalg.norm(center)
    center = center + axes @ (np.maximum(lack[best], 0.0) / 2 * np.clip(along / _ACROSS, -1.0, 1.0))
    rotation = axes[:, np.argsort(_ORDERS[best])]
    if np.linalg.det(rotation) < 0.0:
        rotation = rotation * np.array((1.0, 1.0, -1.0))
    return Pose(rotation, center)


def object_region(seen: Observed, camera: CameraModel, depth: DepthView | None) -> RegionPoints:
    """The points under a detection's box and a margin around it.

    Raises:
        FrameError: 'no_depth', or what `region_points` raises.
    """
    if depth is None:
        raise FrameError('no_depth', f'{seen.label}: no depth image belongs to this frame, and it has no keypoints')
    return region_points(depth.image, depth.camera, seen.box, (camera.width, camera.height), seen.mask, MARGIN)
