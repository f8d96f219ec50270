# SPDX-License-Identifier: Apache-2.0
"""Pose from the object's shape and depth, beginning at the keypoints' pose where there is one."""

from __future__ import annotations

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models.card import ModelCard
from isaac_inference.models.objects import ObjectSpec
from isaac_inference.ops.camera_model import CameraModel
from isaac_inference.ops.foreground import foreground_mask
from isaac_inference.ops.mesh import load_mesh
from isaac_inference.ops.object_model import ObjectModel
from isaac_inference.ops.registration import RegistrationSettings, register
from isaac_inference.ops.surface_fit import SeenDepth
from isaac_inference.stages.poses.by_depth import object_region
from isaac_inference.stages.poses.by_keypoints import KeypointMethod, symmetries_of
from isaac_inference.stages.poses.observation import DepthView, ObjectPose, Observed

_SILENT = ('no_depth', 'depth_missing', 'registration_hidden')  # reasons that say nothing against a keypoint pose


class RegistrationMethod:
    """Fits each class's shape to depth."""

    def __init__(self, card: ModelCard, keypoints: KeypointMethod, settings: RegistrationSettings) -> None:
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
        """Register; where depth has nothing to say about an object, the keypoints' pose stands as it is."""
        if seen.label not in self._models:
            raise FrameError(
                'no_object_model', f'{seen.label}: the model card gives it neither a size nor a mesh; add one of them'
            )
        initial = self._initial(seen, camera)
        try:
            region = object_region(seen, camera, depth)
            model = self._models[seen.label]
            foreground = None
            if initial is None:
                foreground = region.inside & foreground_mask(region.points, region.points[~region.inside])
            found = register(
                model,
                region.points,
                SeenDepth(depth.image, depth.camera),
                None if initial is None else initial.pose,
                self._settings,
                None if initial is None else initial.covariance,
                foreground,
            )
        except FrameError as error:
            if initial is not None and error.reason in _SILENT:
                return initial
            raise
        method = f'registration: {found.method}'
        return ObjectPose(seen.label, seen.score, found.pose, model.size, found.covariance, method)

    def _initial(self, seen: Observed, camera: CameraModel) -> ObjectPose | None:
        if seen.keypoints is None or not self._keypoints.knows(seen.label):
            return None
        return self._keypoints.estimate(seen, camera)


def _object_model(spec: ObjectSpec, symmetries: tuple) -> ObjectModel:
    mesh = None if spec.mesh is None else load_mesh(spec.mesh, spec.mesh_unit, spec.size)
    return ObjectModel.build(spec.shape, spec.size, mesh, symmetries)
