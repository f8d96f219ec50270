# SPDX-License-Identifier: Apache-2.0
"""Pose from depth alone: position and a box around what is seen, for any 2-D detector."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.models.card.objects import ObjectSpec
from isaac_inference.ops.depth.depth_image import RegionPoints, region_points
from isaac_inference.ops.depth.oriented_box import OrientedBox, oriented_box
from isaac_inference.ops.depth.position import position_from_depth
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import canonical
from isaac_inference.ops.pose.registration import Registration, placements, register
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.ops.pose.surface_fit import SeenDepth
from isaac_inference.stages.poses.by_keypoints import symmetries_of
from isaac_inference.stages.poses.observation import DepthView, ObjectPose, Observed

MARGIN = 0.15  # of the box's sides, looked at around it to tell the object from what it stands on
_ORDERS = np.array(list(itertools.permutations(range(3))))
_TOO_LARGE = 0.2  # relative: more than noise and loose edges add
_ACROSS = 0.15  # cosine to the line of sight below which a side counts as across it
_OPEN_TURN = (np.pi / 2) ** 2  # rad^2: the box of the visible part says next to nothing about the object's rotation
_SETTLED = RegistrationSettings(min_fitness=0.8)
_STEP = 0.001  # m, that of 16-bit depth


class DepthMethod:
    """The foreground under the box: its tightest box, completed to the object's size where the card says that."""

    def __init__(self, objects: Mapping[str, ObjectSpec]) -> None:
        self._objects = objects
        self._symmetries = symmetries_of(objects)
        self._models = {
            name: ObjectModel.build(spec.shape, spec.size, None, self._symmetries[name])
            for name, spec in objects.items()
            if spec.size is not None and spec.shape != 'mesh'
        }

    def estimate(self, seen: Observed, camera: CameraModel, depth: DepthView | None) -> ObjectPose:
        """With a size in the card: the object's box, up to the turns after which a bare box looks the same ('depth
        size'). Else, or where the two don't fit, the box of the visible part, longest side first ('depth box')."""
        region = _rounded(object_region(seen, camera, depth))
        inside, around = region.points[region.inside], region.points[~region.inside]
        spec = self._objects.get(seen.label)
        size = None if spec is None else spec.size
        position = position_from_depth(inside, region.area, size, around)
        box = oriented_box(inside[position.foreground])
        spread = np.diag(np.concatenate(((position.extents / 4) ** 2 + 1e-6, np.full(3, _OPEN_TURN))))
        whole = None if size is None else completed(box, np.array(size))
        if depth is not None and seen.label in self._models:
            whole = _settled(self._models[seen.label], region, position.foreground, depth, whole)
        if whole is not None:
            pose = canonical(whole, self._symmetries[seen.label])
            return ObjectPose(seen.label, seen.score, pose, np.array(size), spread, 'depth size')
        pose = Pose(box.pose.rotation, box.pose.translation if size is None else position.center)
        return ObjectPose(seen.label, seen.score, pose, box.size, spread, 'depth box')


def _rounded(region: RegionPoints) -> RegionPoints:
    """The points along their rays on whole millimetres: depth in metres then decides as in millimetres."""
    z = region.points[:, 2].astype(np.float64)
    rounded = np.rint(z / _STEP) * _STEP
    kept = rounded > 0.0
    points = (region.points[kept] * (rounded[kept] / z[kept])[:, None]).astype(np.float32)
    points[:, 2] = rounded[kept]
    return RegionPoints(points, region.pixels[kept], region.inside[kept], region.area)


def _settled(
    model: ObjectModel, region: RegionPoints, foreground: np.ndarray, depth: DepthView, start: Pose | None
) -> Pose | None:
    """The completed box laid onto depth, where depth confirms that: else it as it was.

    Which of two faces a box's axes follow, and which side of the size is which, may hang on half a millimetre of depth.
    The fitted pose doesn't.
    """
    view = SeenDepth(depth.image, depth.camera, _STEP)
    best: Registration | None = None
    for initial in _starts(model, region, foreground, view, start):
        found = _registered(model, region, view, initial)
        if found is not None and (best is None or _worth(found) > _worth(best)):
            best = found
    return start if best is None else best.pose


def _worth(found: Registration) -> float:
    """How good a fit is: a side taken for another a few millimetres longer still lies on depth, but less closely."""
    return found.fitness - found.inlier_rmse / _SETTLED.distance


def _registered(model: ObjectModel, region: RegionPoints, view: SeenDepth, initial: Pose) -> Registration | None:
    loose = np.diag(np.repeat(((0.1 * model.diameter) ** 2, np.radians(15.0) ** 2), 3))
    try:
        return register(model, region.points, view, initial, _SETTLED, loose)
    except FrameError:
        return None


def _starts(
    model: ObjectModel, region: RegionPoints, foreground: np.ndarray, view: SeenDepth, start: Pose | None
) -> list[Pose]:
    whole = region.inside.copy()
    whole[region.inside] = foreground
    starts = [] if start is None else [start]
    with contextlib.suppress(FrameError):
        starts += placements(model, region.points, view, _SETTLED, whole)[:2]
    return starts


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
