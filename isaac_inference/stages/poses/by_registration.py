# SPDX-License-Identifier: Apache-2.0
"""Pose from the object's shape and depth, beginning at the keypoints' pose where there is one."""

from __future__ import annotations

import contextlib

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models import AnyCard, ObjectSpec
from isaac_inference.ops.depth.depth_image import RegionPoints
from isaac_inference.ops.depth.foreground import foreground_mask, surfaces
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.mesh import load_mesh
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.pose.keypoint_fit import WeakKeypoints
from isaac_inference.ops.pose.pnp import PnpSettings, estimate_pnp
from isaac_inference.ops.pose.registration import Registration, register
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.ops.pose.surface_fit import SeenDepth
from isaac_inference.stages.poses.by_depth import object_region
from isaac_inference.stages.poses.by_keypoints import KeypointMethod, symmetries_of
from isaac_inference.stages.poses.by_weak_keypoints import agree, search_with_keypoints
from isaac_inference.stages.poses.observation import DepthView, ObjectPose, Observed

# where the keypoints of a half hidden object may begin a search: no pose by itself
_RELAXED = PnpSettings(
    min_confidence=0.0, min_inliers=0.5, inlier_px=8.0, inlier_extent=0.1, max_rms_px=8.0, max_rms_extent=0.1
)
_SILENT = ('no_depth', 'depth_missing', 'registration_hidden')  # reasons that say nothing against a keypoint pose


class RegistrationMethod:
    """Fits each class's shape to depth."""

    def __init__(self, card: AnyCard, keypoints: KeypointMethod, settings: RegistrationSettings) -> None:
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
        self._keypoints, self._settings = keypoints, settings

    def estimate(self, seen: Observed, camera: CameraModel, depth: DepthView | None) -> ObjectPose:
        """Register; where depth has nothing to say about an object, the keypoints' pose stands as it is.

        Keypoints too weak for a pose, or a pose that depth or they themselves refute, begin a search over depth.
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
            refusal = error
        try:
            region = object_region(seen, camera, depth)
        except FrameError as error:
            if refusal is not None:
                raise refusal from None
            if initial is not None and error.reason in _SILENT:
                return initial
            raise
        view = _view(depth)
        points = self._keypoints.points(seen.label)
        model = self._models[seen.label]
        weak = WeakKeypoints.build(seen.keypoints, points, camera, model.diameter)
        if initial is not None:
            try:
                return self._made(seen, self._refined(seen, weak, region, view, initial))
            except FrameError as error:
                refusal = error
        starts = [] if initial is None else [initial.pose]
        with contextlib.suppress(FrameError):
            starts.append(estimate_pnp(seen.keypoints, points, camera, _RELAXED, model.symmetries).pose)
        foregrounds = surfaces(region.points, region.inside)
        try:
            found = search_with_keypoints(model, weak, region.points, view, self._settings, foregrounds, starts)
        except FrameError as error:
            if initial is not None and refusal is not None and refusal.reason in _SILENT:
                return initial
            raise refusal or error from None
        return self._made(seen, found)

    def _by_depth(self, seen: Observed, camera: CameraModel, depth: DepthView | None) -> ObjectPose:
        region = object_region(seen, camera, depth)
        foreground = region.inside & foreground_mask(region.points, region.points[~region.inside])
        model = self._models[seen.label]
        return self._made(seen, register(model, region.points, _view(depth), None, self._settings, None, foreground))

    def _refined(
        self, seen: Observed, weak: WeakKeypoints, region: RegionPoints, view: SeenDepth, initial: ObjectPose
    ) -> Registration:
        model = self._models[seen.label]
        found = register(model, region.points, view, initial.pose, self._settings, initial.covariance)
        # keypoints that are surer of themselves than they are right miss their own pose too: that is no objection
        overconfidence = max(1.0, weak.cost(initial.pose) / (2.0 * len(weak.model)))
        if not agree(weak, weak.cost(found.pose) / overconfidence):
            raise FrameError(
                'registration_keypoints',
                f'{seen.label}: depth confirms a pose that the keypoints do not: it misses them by far more than their '
                f'confidence allows; the object is seen from an unusual side, or partly hidden',
            )
        return found

    def _made(self, seen: Observed, found: Registration) -> ObjectPose:
        method, size = f'registration: {found.method}', self._models[seen.label].size
        return ObjectPose(seen.label, seen.score, found.pose, size, found.covariance, method)


def _view(depth: DepthView | None) -> SeenDepth:
    if depth is None:
        raise FrameError('no_depth', 'no depth image belongs to this frame')
    return SeenDepth(depth.image, depth.camera)


def _object_model(spec: ObjectSpec, symmetries: tuple) -> ObjectModel:
    mesh = None if spec.mesh is None else load_mesh(spec.mesh, spec.mesh_unit, spec.size)
    return ObjectModel.build(spec.shape, spec.size, mesh, symmetries)
