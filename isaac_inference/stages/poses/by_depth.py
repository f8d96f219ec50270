# SPDX-License-Identifier: Apache-2.0
"""Pose from depth alone: position and a box around what is seen, for any 2-D detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.models.card.objects import ObjectSpec
from isaac_inference.ops.depth.box_sides import box_sides
from isaac_inference.ops.depth.depth_image import RegionPoints, region_points
from isaac_inference.ops.depth.oriented_box import oriented_box, upright_box
from isaac_inference.ops.depth.settings import DEFAULT, DepthSettings
from isaac_inference.ops.depth.shape_fit import fit_shape
from isaac_inference.ops.depth.size_check import check_box, check_distance, check_place
from isaac_inference.ops.depth.sized_place import (
    NO_MIDDLES,
    Middles,
    Reaches,
    SizedPlace,
    point_reaches,
    sized_place,
)
from isaac_inference.ops.depth.support_plane import SupportPlane
from isaac_inference.ops.depth.surfaces import SeenObject, object_surface
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.object_model import ObjectModel, geometric_symmetries
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import canonical, equivalents, rotation_error
from isaac_inference.ops.geometry.view_sphere import frame_towards
from isaac_inference.ops.masks.extent import mask_box
from isaac_inference.stages.poses.by_keypoints import symmetries_of
from isaac_inference.stages.poses.observation import DepthView, ObjectPose, Observed

MARGIN = 0.15  # of the box's sides, looked at around it to tell the object from what it stands on
_STANDS = 1.15  # what reaches higher above a plane than this part of its diagonal does not stand on it
_EQUAL_SIDES = 0.04  # relative
_OPEN_TURN = (np.pi / 2) ** 2  # rad^2: nothing is known about the object's rotation
_BODY_MISFIT = 0.35  # of a place: above it, the object is not the body that its shape says
_BODY_ERROR = 0.02  # of a body's sides
_LEAST_SIGMA = 0.002  # m
_UNSEEN_ACROSS = 0.05  # of the visible part, of the whole's middle across the view
_WHOLE, _WHOLE_SIGMA = 0.07, 0.005  # of a side that is seen from end to end
_STEP = 0.001  # m, that of 16-bit depth


class DepthMethod:
    """The surface in the middle of the box: where an object of the card's size shows it, else its tightest box.

    With a mask it is the surface under that, and the detector's box gives way to the box around it.
    """

    def __init__(self, objects: Mapping[str, ObjectSpec], settings: DepthSettings = DEFAULT) -> None:
        self._objects = objects
        self._settings = settings
        self._symmetries = symmetries_of(objects)
        self._bodies = {
            name: ObjectModel.build(spec.shape, spec.size, None, self._symmetries[name])
            for name, spec in objects.items()
            if spec.size is not None and _is_body(spec.shape, spec.size)
        }
        self._turns = {name: _turn_is_known(model) for name, model in self._bodies.items()}

    def estimate(self, seen: Observed, camera: CameraModel, depth: DepthView | None) -> ObjectPose:
        """With a size in the card: the object's centre, and its box up to the turns after which a bare box looks the
        same ('depth size'). Else the box of the visible part, longest side first ('depth box').

        Raises:
            FrameError: 'no_depth', 'depth_missing', 'depth_ambiguous', 'depth_size' (what depth shows contradicts the
                size in the card), 'depth_unit', and what `region_points` raises.
        """
        if depth is None:
            raise _no_depth(seen)
        seen = as_masked(seen)
        image_wh = (depth.image.width, depth.image.height)
        ratio = np.tile(np.array(image_wh) / (camera.width, camera.height), 2)
        box = np.asarray(seen.box, np.float64) * ratio
        settings, spec = self._settings, self._objects.get(seen.label)
        size = None if spec is None or spec.size is None else np.array(spec.size)
        wide, high = box[2:] - box[:2]
        margin = MARGIN * np.maximum(1.0, (high / max(wide, 1e-9), wide / max(high, 1e-9)))
        region = region_points(
            depth.image, depth.camera, seen.box, (camera.width, camera.height), seen.mask, margin, settings.samples
        )
        if size is None:
            check_distance(seen.label, region, depth, settings)
        else:
            check_box(seen.label, region, box, size, depth, settings)
        region = _rounded(region)
        longest = None if size is None else float(np.linalg.norm(size))
        surface = object_surface(region, box, image_wh, settings, longest, masked=seen.mask is not None)
        if size is None:
            return self._visible(seen, surface)
        return self._sized(seen, region, surface, box, depth, size)

    def _visible(self, seen: Observed, surface: SeenObject) -> ObjectPose:
        points = surface.points
        up = _up(surface, points, np.ptp(points, axis=0))
        found = oriented_box(points) if up is None else upright_box(points, up)
        return ObjectPose(
            seen.label, seen.score, found.pose, found.size, _unseen(found.pose, found.size, self._settings), 'depth box'
        )

    def _sized(
        self,
        seen: Observed,
        region: RegionPoints,
        surface: SeenObject,
        box: np.ndarray,
        depth: DepthView,
        size: np.ndarray,
    ) -> ObjectPose:
        settings, shape = self._settings, self._objects[seen.label].shape
        points = surface.points
        middle = np.median(points, axis=0).astype(np.float64)
        pixel = region.step * float(middle[2]) / depth.camera.focal
        view = frame_towards(middle)
        up = _up(surface, points, size)
        reaches = point_reaches(points, surface.cut[surface.mask], view, pixel, up)
        bounds = box_sides(box, surface.sides, depth.camera, float(middle[2]), settings)
        if up is not None and surface.plane is not None:
            bounds = bounds.joined(_floor(surface.plane))
        place = sized_place(
            reaches.joined(bounds), _whole_sides(points, surface, up, size), size, shape, middle, view, settings
        )
        check_place(seen.label, place, surface, box, float(middle[2]), size, depth, settings)
        rotation, center, covariance = self._settled(seen.label, place, points, bounds)
        covariance[:3, :3] += np.outer(center, center) * settings.depth_error**2 + np.eye(3) * _LEAST_SIGMA**2
        pose = canonical(Pose(rotation, center), self._symmetries[seen.label])
        return ObjectPose(seen.label, seen.score, pose, size, covariance, 'depth size')

    def _settled(
        self, label: str, place: SizedPlace, points: np.ndarray, bounds: Reaches
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rotation, centre and covariance (6, 6): of the body where it fits what is seen closely, else of the place."""
        model = self._bodies.get(label)
        if model is None or place.misfit > _BODY_MISFIT:
            return place.poses[0].rotation, place.center, _open_turn(place.covariance)
        for start in place.poses:
            found = fit_shape(model, points, bounds, start, _LEAST_SIGMA)
            if found is not None:
                covariance = found.covariance.copy()
                # real bodies are not quite what they are called
                loose = found.pose.rotation * (_BODY_ERROR * model.size)
                covariance[:3, :3] += loose @ loose.T
                if not self._turns[label]:
                    covariance = _open_turn(covariance[:3, :3])
                return found.pose.rotation, found.pose.translation, covariance
        return place.poses[0].rotation, place.center, _open_turn(place.covariance)


def object_region(seen: Observed, camera: CameraModel, depth: DepthView | None) -> RegionPoints:
    """The points under a detection's box and a margin around it.

    Raises:
        FrameError: 'no_depth', or what `region_points` raises.
    """
    if depth is None:
        raise _no_depth(seen)
    return region_points(depth.image, depth.camera, seen.box, (camera.width, camera.height), seen.mask, MARGIN)


def as_masked(seen: Observed) -> Observed:
    """With the box around its mask, which is closer to it than the detector's; without a mask that shows nothing."""
    if seen.mask is None:
        return seen
    box = mask_box(seen.mask, seen.box)
    return replace(seen, mask=None) if box is None else replace(seen, box=box)


def _no_depth(seen: Observed) -> FrameError:
    return FrameError(
        'no_depth',
        f'{seen.label}: no depth image belongs to this frame, and its pose is from depth: by '
        'method, or because the card does not say where its keypoints are',
    )


def _rounded(region: RegionPoints) -> RegionPoints:
    """The points along their rays on whole millimetres: depth in metres then decides as in millimetres."""
    z = region.points[:, 2]
    rounded = (np.rint(z / np.float32(_STEP)) * _STEP).astype(np.float32)
    points = region.points * (rounded / z)[:, None]
    points[:, 2] = rounded
    if (rounded > 0.0).all():
        return region._replace(points=points)
    kept = rounded > 0.0
    return region._replace(points=points[kept], pixels=region.pixels[kept], inside=region.inside[kept])


def _up(surface: SeenObject, points: np.ndarray, size: np.ndarray) -> np.ndarray | None:
    """Away from the plane that the object stands on; None where it reaches too far above any for that."""
    if surface.plane is None:
        return None
    top = float(np.percentile(surface.plane.height(points[::4]), 99.0))
    return surface.plane.normal if top < _STANDS * float(np.linalg.norm(size)) else None


def _floor(plane: SupportPlane) -> Reaches:
    sigma = np.array([_LEAST_SIGMA + plane.sigma])
    return Reaches(-plane.normal[None], np.array([-plane.offset]), sigma, np.zeros(1, np.bool_), floor=True)


def _whole_sides(points: np.ndarray, surface: SeenObject, up: np.ndarray | None, size: np.ndarray) -> Middles:
    """Where the centre is along those sides of the visible part's box that are as long as the object's."""
    # a part may be as long by chance, and so may a box that stands askew
    if up is None or surface.sides.any() or surface.cut.any():
        return NO_MIDDLES
    box = upright_box(points, up)
    sides = np.sort(size)[::-1]
    whole = np.abs(box.size - sides) < _WHOLE * sides + _LEAST_SIGMA
    whole &= whole[:2].all()
    axes = box.pose.rotation.T[whole]
    return Middles(axes, axes @ box.pose.translation, _WHOLE_SIGMA * sides[whole] + _LEAST_SIGMA)


def _unseen(pose: Pose, size: np.ndarray, settings: DepthSettings) -> np.ndarray:
    """(6, 6) of the centre of the whole object about that of its visible part, which lies before it."""
    along = pose.translation / np.linalg.norm(pose.translation)
    across = float(np.linalg.norm(size[:2])) / np.sqrt(2.0)
    covariance = np.outer(along, along) * (settings.unseen * across) ** 2
    covariance += np.eye(3) * ((_UNSEEN_ACROSS * across) ** 2 + _LEAST_SIGMA**2)
    covariance += np.outer(pose.translation, pose.translation) * settings.depth_error**2
    return _open_turn(covariance)


def _open_turn(covariance: np.ndarray) -> np.ndarray:
    """(6, 6) of a position's (3, 3) and a rotation of which nothing is known."""
    whole = np.diag(np.full(6, _OPEN_TURN))
    whole[:3, :3] = covariance
    return whole


def _is_body(shape: str, size: Sequence[float]) -> bool:
    """Whether it is the body that its shape says: a mug with its handle is no cylinder."""
    equal = {'cuboid': size[:1], 'cylinder': size[:2], 'sphere': size}.get(shape)
    return equal is not None and max(equal) - min(equal) <= _EQUAL_SIDES * max(equal)


def _turn_is_known(model: ObjectModel) -> bool:
    """Whether all turns that a bare body of its shape looks the same after are the object's own symmetries."""
    here = Pose.identity()
    alike = equivalents(here, geometric_symmetries(model.shape, model.size), 8)
    return all(rotation_error(other, here, model.symmetries) < 1e-3 for other in alike)
