# SPDX-License-Identifier: Apache-2.0
"""Pose from the object's shape and depth, beginning at the keypoints' pose where there is one."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models import AnyCard, ObjectSpec
from isaac_inference.ops.depth.depth_image import RegionPoints
from isaac_inference.ops.depth.foreground import foreground_mask, masked_foreground, surfaces
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.mesh import load_mesh
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical, nearest
from isaac_inference.ops.pose.depth_evidence import EvidenceSettings
from isaac_inference.ops.pose.keypoint_fit import WeakKeypoints
from isaac_inference.ops.pose.pnp import PnpSettings, estimate_pnp
from isaac_inference.ops.pose.registration import Registration, register
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.ops.pose.second_pose import either, first_alone
from isaac_inference.ops.pose.surface_fit import SeenDepth
from isaac_inference.stages.poses.by_depth import as_masked, object_region
from isaac_inference.stages.poses.by_keypoints import KeypointMethod, symmetries_of
from isaac_inference.stages.poses.by_weak_keypoints import search_with_keypoints
from isaac_inference.stages.poses.keypoints_and_depth import KeypointsAndDepth
from isaac_inference.stages.poses.observation import DepthView, ObjectPose, Observed

# where the keypoints of a half hidden object may begin a search: no pose by itself
_RELAXED = PnpSettings(
    min_confidence=0.0, min_inliers=0.5, inlier_px=8.0, inlier_extent=0.1, max_rms_px=8.0, max_rms_extent=0.1
)
_BOX_EVERY = 4  # of the surface's points: as good as its outline
_SILENT = ('no_depth', 'depth_missing', 'registration_hidden')  # reasons that say nothing against a keypoint pose


class RegistrationMethod:
    """Fits each class's shape to depth."""

    def __init__(
        self, card: AnyCard, pnp: PnpSettings, settings: RegistrationSettings, evidence: EvidenceSettings
    ) -> None:
        """Builds every object's surface.

        Raises:
            ConfigError: no object of the card has a size or a mesh.
            ModelError: a mesh that can't be used.
        """
        turns = symmetries_of(card.objects)
        self._models = {
            name: _object_model(spec, turns[name])
            for name, spec in card.objects.items()
            if spec.size is not None or spec.mesh is not None
        }
        if not self._models:
            raise ConfigError(
                f'parameter method: registration needs the shape of an object, and the card of {card.name} has none; '
                'add objects.<class>.size: [x, y, z] in metres, or .mesh, to the card'
            )
        # keypoints mean one of the poses that look alike, and are compared with that one
        as_meant = {name: dataclasses.replace(spec, symmetries=()) for name, spec in card.objects.items()}
        self._keypoints = KeypointMethod(dataclasses.replace(card, objects=as_meant), pnp)
        self._settings, self._evidence = settings, evidence

    @property
    def unseen_turns(self) -> dict[str, tuple[Symmetry, ...]]:
        """Class name -> the turns of its object that depth cannot see."""
        return {name: model.geometric for name, model in self._models.items()}

    def estimate(self, seen: Observed, camera: CameraModel, depth: DepthView | None) -> ObjectPose:
        """Register; where depth has nothing to say about an object, the keypoints' pose stands as it is.

        Where the two differ, the pose that is better supported is taken, with a covariance that covers the other one
        and a note; where depth sees the object at another scale, its size is wrong and it has none. Keypoints too weak
        for a pose begin a search over depth.
        """
        if seen.label not in self._models:
            raise FrameError(
                'no_object_model', f'{seen.label}: the model card gives it neither a size nor a mesh; add one of them'
            )
        if seen.keypoints is None or not self._keypoints.knows(seen.label):
            return self._by_depth(seen, camera, depth)
        initial: ObjectPose | None = None
        refusal: FrameError | None = None
        try:
            initial = self._keypoints.estimate(seen, camera)
        except FrameError as error:
            if error.reason == 'implausible_distance':  # certain keypoints and a size in another unit
                raise
            refusal = error
        try:
            region, view = object_region(seen, camera, depth), _view(depth)
        except FrameError as error:
            if refusal is not None:
                raise refusal from None
            if initial is not None and error.reason in _SILENT:
                return self._canonical(initial)
            raise
        points, model = self._keypoints.points(seen.label), self._models[seen.label]
        weak = WeakKeypoints.build(seen.keypoints, points, camera, model.diameter)
        if initial is None:
            try:
                return self._made(seen, self._searched(seen, camera, weak, region, view, []))
            except FrameError as error:
                raise refusal or error from None
        both = KeypointsAndDepth(model, initial, weak, view, self._evidence)
        found: Registration | None = None
        refusals: list[FrameError] = []
        starts = _starts(initial)
        for start, spread in starts:
            try:
                registered = register(model, region.points, view, start, self._settings, spread)
            except FrameError as error:
                refusals.append(error)
                continue
            if both.agree(registered):
                return both.registered(registered)
            found = found or registered
            refusals.append(_disagreeing(seen.label))
        refusal = refusals[0]
        evidence = both.evidence()
        refuted = both.is_refuted(evidence)
        if not (both.need_no_help or (both.certain and refuted)):
            with contextlib.suppress(FrameError):
                return self._made(
                    seen, self._searched(seen, camera, weak, region, view, [start for start, _ in starts])
                )
        if evidence is not None and refuted:
            raise both.wrong_size(evidence)
        silent = refusal.reason in _SILENT
        if evidence is not None and (evidence.may_be_the_object if silent else evidence.confirms):
            return self._canonical(both.kept(evidence, found))
        if silent:
            return self._canonical(initial)
        raise refusal

    def _searched(
        self,
        seen: Observed,
        camera: CameraModel,
        weak: WeakKeypoints,
        region: RegionPoints,
        view: SeenDepth,
        starts: list[Pose],
    ) -> Registration:
        """A pose that keypoints too weak for one of their own and depth agree on."""
        model, points = self._models[seen.label], self._keypoints.points(seen.label)
        if seen.keypoints is not None:
            with contextlib.suppress(FrameError):
                starts = [*starts, estimate_pnp(seen.keypoints, points, camera, _RELAXED, model.symmetries).pose]
        foregrounds = surfaces(region.points, region.inside)
        return search_with_keypoints(model, weak, region.points, view, self._settings, foregrounds, starts)

    def _by_depth(self, seen: Observed, camera: CameraModel, depth: DepthView | None) -> ObjectPose:
        region = object_region(seen, camera, depth)
        model = self._models[seen.label]
        foreground = region.inside & (
            foreground_mask(region.points, region.points[~region.inside])
            if seen.mask is None
            else masked_foreground(region.points, region.inside, model.diameter)
        )
        found = register(model, region.points, _view(depth), None, self._settings, None, foreground)
        self._check_box(as_masked(seen), camera, model, found)
        return self._made(seen, found)

    def _check_box(self, seen: Observed, camera: CameraModel, model: ObjectModel, found: Registration) -> None:
        """The object that was found must appear where it was detected, and not be something before it."""
        pixels = camera.project(found.pose.apply(model.points[::_BOX_EVERY])) + 0.5
        pixels = pixels[np.isfinite(pixels).all(axis=1)]
        if len(pixels) == 0:
            return
        box = np.asarray(seen.box, np.float64)
        outside = np.concatenate((pixels.min(axis=0) - box[:2], box[2:] - pixels.max(axis=0)))
        part = float((outside / np.tile(box[2:] - box[:2], 2)).max())
        if part > self._settings.max_box_outside:
            raise FrameError(
                'registration_fit',
                f'{seen.label}: registration: the box of its detection reaches {part:.0%} of its side past the object '
                f'that was found in depth, expected at most {self._settings.max_box_outside:.0%}; something before it '
                'has a similar shape, or its size or mesh is too small',
            )

    def _canonical(self, found: ObjectPose) -> ObjectPose:
        model = self._models[found.label]
        turns, pose = model.symmetries, canonical(found.pose, model.symmetries)
        found = dataclasses.replace(found, size=model.size, box_center=None)
        if found.other is None:
            return dataclasses.replace(found, pose=pose)
        alone = first_alone(found.pose, found.covariance, found.other)
        other = dataclasses.replace(found.other, pose=nearest(found.other.pose, pose, turns))
        return dataclasses.replace(found, pose=pose, covariance=either(pose, alone, other), other=other)

    def _made(self, seen: Observed, found: Registration) -> ObjectPose:
        method, size = f'registration: {found.method}', self._models[seen.label].size
        return ObjectPose(seen.label, seen.score, found.pose, size, found.covariance, method)


def _disagreeing(label: str) -> FrameError:
    return FrameError(
        'registration_keypoints',
        f'{label}: depth confirms a pose that the keypoints do not: it misses them by far more than their confidence '
        'allows; the object is seen from an unusual side, or partly hidden',
    )


def _starts(initial: ObjectPose) -> list[tuple[Pose, np.ndarray]]:
    """Where the keypoints have the object, and (6, 6) how sure: two poses of a flat one, the more probable first."""
    if initial.other is None:
        return [(initial.pose, initial.covariance)]
    alone = first_alone(initial.pose, initial.covariance, initial.other)
    return [(initial.pose, alone), (initial.other.pose, initial.other.covariance)]


def _view(depth: DepthView | None) -> SeenDepth:
    if depth is None:
        raise FrameError('no_depth', 'no depth image belongs to this frame')
    return SeenDepth(depth.image, depth.camera)


def _object_model(spec: ObjectSpec, symmetries: tuple) -> ObjectModel:
    mesh = None if spec.mesh is None else load_mesh(spec.mesh, spec.mesh_unit, spec.size)
    return ObjectModel.build(spec.shape, spec.size, mesh, symmetries)
