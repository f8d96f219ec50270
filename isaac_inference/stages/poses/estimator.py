# SPDX-License-Identifier: Apache-2.0
"""Which method serves which detection."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.pose.pnp import PnpSettings
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.stages.poses.by_depth import DepthMethod
from isaac_inference.stages.poses.by_keypoints import KeypointMethod, model_points
from isaac_inference.stages.poses.by_registration import RegistrationMethod
from isaac_inference.stages.poses.observation import DepthView, Method, ObjectPose, Observed


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
    depth: DepthSettings = field(default_factory=DepthSettings)


class PoseEstimator:
    """Poses for the detections of one model.

    `uses_keypoints` and `uses_depth` say what it will ask for.
    """

    _default: Method

    def __init__(
        self, card: ModelCard | None, method: PoseMethod = PoseMethod.AUTO, settings: PoseSettings | None = None
    ) -> None:
        """Prepare.

        Args:
            card: of the model that detects; None for detections of any origin, which depth alone can serve.
            method: how.
            settings: what a pose must satisfy.

        Raises:
            ConfigError: the card doesn't say what the method needs.
            ModelError: a mesh that can't be used.
        """
        self.uses_keypoints, self.uses_depth = False, True
        self._by_class: dict[str, Method] = {}
        settings = settings or PoseSettings()
        if card is None:
            self._default = _without_card(method, settings)
            return
        keypoints = KeypointMethod(card, settings.pnp)
        by_keypoints = sorted(model_points(card)) if card.keypoints is not None else []
        if method is PoseMethod.KEYPOINTS and not by_keypoints:
            raise ConfigError(
                f'parameter method: keypoints needs a model with keypoints and objects of known size, and the card of '
                f'{card.name} has {"no objects" if card.keypoints else "no keypoints"}; add them to the card, or use '
                'method: depth'
            )
        self._default = DepthMethod(card.objects, settings.depth)
        if method is PoseMethod.KEYPOINTS:
            self._default = keypoints
        elif method is PoseMethod.REGISTRATION:
            self._default = RegistrationMethod(card, keypoints, settings.registration)
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
        return self._by_class.get(seen.label, self._default).estimate(seen, camera, depth)


def _without_card(method: PoseMethod, settings: PoseSettings) -> Method:
    if method not in (PoseMethod.AUTO, PoseMethod.DEPTH):
        raise ConfigError(
            f'parameter method: {method.value} needs the objects of a model card, but no model is given; set model, '
            'or use method: depth'
        )
    return DepthMethod({}, settings.depth)
