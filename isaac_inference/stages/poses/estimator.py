# SPDX-License-Identifier: Apache-2.0
"""Which method serves which detection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models import AnyCard
from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.pose.depth_evidence import EvidenceSettings
from isaac_inference.ops.pose.pnp import PnpSettings
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.stages.poses.by_depth import DepthMethod
from isaac_inference.stages.poses.by_keypoints import KeypointMethod, model_points
from isaac_inference.stages.poses.by_registration import RegistrationMethod
from isaac_inference.stages.poses.observation import DepthView, Method, ObjectPose, Observed
from isaac_inference.stages.poses.origin import Origins


class PoseMethod(str, Enum):
    """The ways to a pose; AUTO takes keypoints for the classes whose card allows it, and depth for the others."""

    AUTO = 'auto'
    KEYPOINTS = 'keypoints'
    DEPTH = 'depth'
    REGISTRATION = 'registration'


@dataclass(frozen=True)
class PoseSettings:
    """What a pose must satisfy; the defaults are those of the ops."""

    pnp: PnpSettings = field(default_factory=PnpSettings)
    registration: RegistrationSettings = field(default_factory=RegistrationSettings)
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    depth: DepthSettings = field(default_factory=DepthSettings)


class PoseEstimator:
    """Poses for the detections of one model, or of any detector whose objects a card describes.

    `uses_keypoints` and `uses_depth` say what it will ask for, `remarks` and `doubts` what
    was found out about the objects' meshes.
    """

    _default: Method

    def __init__(
        self, card: AnyCard | None, method: PoseMethod = PoseMethod.AUTO, settings: PoseSettings | None = None
    ) -> None:
        """Prepare.

        Args:
            card: of the model that detects, or of the objects alone; None where nothing is known of them, which depth
                alone can serve.
            method: how.
            settings: what a pose must satisfy.

        Raises:
            ConfigError: the card doesn't say what the method needs, or contradicts a setting.
            ModelError: a mesh that can't be used.
        """
        self._origins = Origins({} if card is None else card.objects, reads_meshes=method is PoseMethod.REGISTRATION)
        self.remarks, self.doubts = self._origins.remarks, self._origins.doubts
        self._points: dict[str, np.ndarray] = {}
        self._row = 0
        self.uses_keypoints, self.uses_depth = False, True
        self._by_class: dict[str, Method] = {}
        settings = settings or PoseSettings()
        if card is None:
            self._default = _without_card(method, settings)
            return
        card = replace(card, objects=self._origins.objects)
        self._points, self._row = model_points(card), card.keypoints.count if card.keypoints else 0
        keypoints = KeypointMethod(card, settings.pnp)
        by_keypoints = sorted(self._points) if card.keypoints is not None else []
        if method is PoseMethod.KEYPOINTS and not by_keypoints:
            raise ConfigError(
                f'parameter method: keypoints needs to know where the keypoints are on the objects, and the card of '
                f'{card.name} {_what_is_missing(card)}, or use method: depth'
            )
        self._default = DepthMethod(card.objects, settings.depth)
        if method is PoseMethod.KEYPOINTS:
            self._default = keypoints
        elif method is PoseMethod.REGISTRATION:
            by_shape = RegistrationMethod(card, settings.pnp, settings.registration, settings.evidence)
            if settings.registration.allow_geometric_symmetry:
                self._origins.check_exchangeable(by_shape.unseen_turns)
            self._default = by_shape
        elif method is PoseMethod.AUTO:
            self._by_class = dict.fromkeys(by_keypoints, keypoints)
        self.uses_keypoints = bool(by_keypoints) and method is not PoseMethod.DEPTH
        all_have_keypoints = bool(by_keypoints) and set(by_keypoints) >= set(card.labels)
        self.uses_depth = method in (PoseMethod.DEPTH, PoseMethod.REGISTRATION) or (
            method is PoseMethod.AUTO and not all_have_keypoints
        )

    def estimate(self, seen: Observed, camera: CameraModel, depth: DepthView | None = None) -> ObjectPose:
        """One detection's pose, in the colour camera's optical frame.

        Args:
            seen: the detection.
            camera: of the colour image.
            depth: what belongs to it, where there is any.

        Raises:
            FrameError: it has no pose; the reason names why.
        """
        x_min, y_min, x_max, y_max = seen.box
        if not (x_min < camera.width and y_min < camera.height and x_max > 0 and y_max > 0):
            raise FrameError(
                'box_outside',
                f'{seen.label}: the box {seen.box.round(1).tolist()} lies outside the image of '
                f'{camera.width}x{camera.height}; do the detections belong to it?',
            )
        found = self._by_class.get(seen.label, self._default).estimate(self._trimmed(seen), camera, depth)
        return self._origins.placed(found)

    def _trimmed(self, seen: Observed) -> Observed:
        """With the keypoints that its object has: a row is as long as the object with most of them needs."""
        points, row = self._points.get(seen.label), seen.keypoints
        if points is None or row is None or len(row) != self._row or len(points) == self._row:
            return seen
        return replace(seen, keypoints=row[: len(points)])


def _what_is_missing(card: AnyCard) -> str:
    """Why no class has known keypoints, and what to add."""
    if card.keypoints is None:
        return 'has no keypoints; add `keypoints: {count: ..., model: cuboid8}` if the detector gives them'
    if not card.objects:
        return 'has no objects; add `objects: {<class>: {size: [x, y, z] in metres}}`'
    names = ', '.join(list(card.objects)[:4]) + (', ...' if len(card.objects) > 4 else '')
    if card.keypoints.model == 'cuboid8':
        meshes = (
            '; a mesh does not say which cuboid they are the corners of'
            if any(spec.mesh for spec in card.objects.values())
            else ''
        )
        return (
            f'has keypoints that are the corners of a cuboid, but no size for {names}{meshes}; add '
            '`size: [x, y, z]` in metres to each'
        )
    return (
        f'has {card.keypoints.count} keypoints, but does not say where they are on {names}; add `keypoints: '
        '[[x, y, z], ...]` in metres to each, or `keypoints: {model: cuboid8}` if they are the corners of its cuboid'
    )


def _without_card(method: PoseMethod, settings: PoseSettings) -> Method:
    if method not in (PoseMethod.AUTO, PoseMethod.DEPTH):
        raise ConfigError(
            f'parameter method: {method.value} needs the objects of a model card, or of a card of objects alone, but '
            'neither model nor model_card is given; set one of them, or use method: depth'
        )
    return DepthMethod({}, settings.depth)
