# SPDX-License-Identifier: Apache-2.0
"""Parameters of the pose node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isaac_inference.ops.depth.settings import DepthSettings
from isaac_inference.ops.geometry.calibration import ImageRectified, StereoFrame
from isaac_inference.ops.pose.depth_evidence import EvidenceSettings
from isaac_inference.ops.pose.pnp import PnpSettings
from isaac_inference.ops.pose.registration_settings import RegistrationSettings
from isaac_inference.ros.nodes.shared.depth_source import DepthSourceParameters
from isaac_inference.ros.nodes.shared.image_input import ImageParameters
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import AutoSwitch, group, param
from isaac_inference.ros.runtime.topics.qos import RESULTS, QosParameters
from isaac_inference.stages.poses import PoseMethod, PoseSettings

_PNP, _REGISTRATION, _EVIDENCE, _DEPTH = PnpSettings(), RegistrationSettings(), EvidenceSettings(), DepthSettings()


@dataclass(frozen=True)
class PnpParameters:
    """When a pose from keypoints is believed."""

    min_confidence: float = param(
        _PNP.min_confidence, 'Keypoints below this confidence are left out.', minimum=0.0, maximum=1.0
    )
    confidence_power: float = param(
        _PNP.confidence_power,
        "A keypoint's standard deviation is inverse to this power of its confidence; 0 ignores confidences.",
        minimum=0.0,
        maximum=5.0,
    )
    min_inliers: float = param(
        _PNP.min_inliers, "Share of the keypoints' confidence that must agree on a pose.", minimum=0.01, maximum=1.0
    )
    inlier_px: float = param(
        _PNP.inlier_px, 'Largest distance of an inlier from its projection.', unit='px', minimum=0.01, maximum=1000.0
    )
    max_rms_px: float = param(
        _PNP.max_rms_px, 'Largest RMS distance of the inliers.', unit='px', minimum=0.01, maximum=1000.0
    )
    pixel_noise: float = param(
        _PNP.pixel_noise,
        'Minimum standard deviation of a keypoint in the covariance, and in how probable the mirrored pose of a flat '
        'object is.',
        unit='px',
        minimum=0.01,
    )
    tag_noise: float = param(
        _PNP.tag_noise,
        "Minimum standard deviation of the corners of printed tags in the covariance; a tag's two poses are told apart "
        'by it.',
        unit='px',
        minimum=0.01,
        maximum=100.0,
    )
    max_ambiguity: float = param(
        _PNP.max_ambiguity,
        "A flat object's mirrored pose must fit worse by this ratio; 1 lets all pass.",
        minimum=0.0,
        maximum=1.0,
    )
    max_distance: float = param(
        _PNP.max_distance, 'An object further away has no pose.', unit='m', minimum=0.1, maximum=1000.0
    )


@dataclass(frozen=True)
class RegistrationParameters:
    """When a registered pose is believed."""

    noise: float = param(
        _REGISTRATION.noise, 'Standard deviation of a depth point at 1 m.', unit='m', minimum=0.0001, maximum=0.1
    )
    distance: float = param(
        _REGISTRATION.distance, 'Depth this close counts as the surface.', unit='m', minimum=0.0005, maximum=0.5
    )
    misalignment_px: float = param(
        _REGISTRATION.misalignment_px,
        "Standard deviation of depth's shift against the colour image, for the covariance.",
        unit='px',
        minimum=0.0,
        maximum=100.0,
    )
    min_fitness: float = param(
        _REGISTRATION.min_fitness, 'Share of the visible surface that depth must confirm.', minimum=0.0, maximum=1.0
    )
    max_rmse: float = param(
        _REGISTRATION.max_rmse, 'Largest RMS distance of the confirmed surface.', unit='m', minimum=0.0001, maximum=0.5
    )
    min_support: float = param(
        _REGISTRATION.min_support,
        'Share of the visible side, occluded parts included, that must be confirmed; objects hidden more are refused.',
        minimum=0.0,
        maximum=1.0,
    )
    max_overhang: float = param(
        _REGISTRATION.max_overhang,
        'Depth points past the edges of the model, over those on it; more means that the object is larger.',
        minimum=0.0,
        maximum=100.0,
    )
    max_shift: float = param(
        _REGISTRATION.max_shift,
        'How far depth may move the pose from keypoints.',
        unit='diameters',
        minimum=0.0,
        maximum=10.0,
    )
    max_turn_deg: float = param(
        _REGISTRATION.max_turn_deg,
        'How far depth may turn the pose from keypoints.',
        unit='deg',
        minimum=0.0,
        maximum=180.0,
    )
    min_explained: float = param(
        _REGISTRATION.min_explained,
        "Without keypoints: share of the object's depth points that must lie on the model.",
        minimum=0.0,
        maximum=1.0,
    )
    min_evidence: float = param(
        _REGISTRATION.min_evidence,
        'Without keypoints: depth must speak against any other pose by this much more; 0 accepts all.',
        unit='squared standard deviations',
        minimum=0.0,
        maximum=10000.0,
    )
    allow_geometric_symmetry: bool = param(
        _REGISTRATION.allow_geometric_symmetry,
        'Without keypoints: take one of the poses that look alike in depth, such as the four of a box.',
    )


@dataclass(frozen=True)
class EvidenceParameters:
    """When depth refutes a pose from keypoints."""

    max_scale_error: float = param(
        _EVIDENCE.max_scale_error,
        'Part of the distance by which depth and the pose from keypoints may differ beside their noise; if the whole '
        'object is seen further off than that, its size or the unit of depth is wrong.',
        minimum=0.005,
        maximum=0.5,
    )


@dataclass(frozen=True)
class DepthParameters:
    """What is believed of poses from depth alone."""

    box_error: float = param(
        _DEPTH.box_error,
        "Standard deviation of a detection box's edge, as a part of the box's side.",
        minimum=0.0,
        maximum=0.5,
    )
    size_error: float = param(
        _DEPTH.size_error, "Standard deviation of the card's sizes, as a part of them.", minimum=0.0, maximum=0.5
    )
    gap: float = param(
        _DEPTH.gap,
        'Two pixels side by side are on one surface up to this difference at 1 m.',
        unit='m',
        minimum=0.001,
        maximum=0.5,
    )
    max_misfit: float = param(
        _DEPTH.max_misfit,
        "Mean square misfit, in standard deviations, up to which what depth shows may be of the card's size.",
        minimum=0.1,
        maximum=100.0,
    )


@dataclass(frozen=True)
class PoseParameters(DepthSourceParameters, ImageParameters, NodeParameters):
    """Parameters of the pose node."""

    model: str = param('', 'Path of the ONNX model that detects; empty: the card alone says what there is to know.')
    model_card: str = param(
        '', 'Path of its YAML card; empty looks beside the model. Without a model, a card of objects or tags.'
    )
    method: PoseMethod = param(
        PoseMethod.AUTO,
        'auto: keypoints where the card allows them, else depth; registration: keypoints refined by shape and depth.',
    )
    target_frame: str = param(
        '', "Frame of the published poses, at the image's stamp; empty leaves them in the camera's optical frame."
    )
    image_rectified: ImageRectified = param(
        ImageRectified.AUTO,
        "Whether the image follows CameraInfo's P (true) or K and D (false); auto goes by names and keypoints, and "
        'says so.',
    )
    depth_rectified: ImageRectified = param(
        ImageRectified.AUTO,
        'Whether depth follows P of depth/camera_info (true) or K and D (false): depth that is registered to the raw '
        'image does the latter, also while the image is rectified; auto goes by names.',
    )
    stereo_frame: StereoFrame = param(
        StereoFrame.AUTO,
        "Whose centre is the origin of the frame that a stereo pair's second camera names; auto: own where its name "
        'has right or infra2 in it, else first.',
    )
    use_masks: AutoSwitch = param(
        AutoSwitch.AUTO,
        'Whether objects are the pixels of "instance_mask" where depth is looked at, instead of the surface in the '
        "middle of their box; auto: if the model's card has masks. With true, a detector of your own must send them.",
    )
    wait_s: float = param(
        0.15, 'How long detections wait for their depth, keypoints or masks.', unit='s', minimum=0.0, maximum=10.0
    )
    depth_error: float = param(
        _DEPTH.depth_error,
        "Standard deviation of the depth camera's scale error, as its data sheet has it: 0.005 is 5 mm at 1 m. Poses "
        'from depth and registration are no surer than that.',
        unit='m/m',
        minimum=0.0,
        maximum=0.2,
    )
    publish_tf: bool = param(True, 'Send `<tf_prefix>/<class>_<id>` of objects that have an id to /tf.')
    tf_prefix: str = param(
        'auto',
        'What the frames of objects begin with, before a slash: auto takes the namespace of the node, so that two '
        'cameras do not give one frame two parents; empty: nothing.',
    )
    publish_empty: bool = param(True, 'Publish empty arrays for a frame without poses.', live=True)
    pnp: PnpParameters = group(PnpParameters(), 'Poses from keypoints.')
    registration: RegistrationParameters = group(RegistrationParameters(), 'Poses from registration.')
    evidence: EvidenceParameters = group(EvidenceParameters(), 'Registration of poses from keypoints.')
    depth: DepthParameters = group(DepthParameters(), 'Poses from depth alone.')
    image_qos: QosParameters = group(QosParameters(), 'Subscriptions to images and camera infos.')
    detections_qos: QosParameters = group(RESULTS, 'Subscriptions to detections, keypoints and masks.')
    poses_qos: QosParameters = group(RESULTS, 'Publishers of the poses.')

    @property
    def depth_tolerance(self) -> float | None:
        """`depth_tolerance_s` as the pairing has it; None where it is measured."""
        return self.depth_tolerance_s or None

    def settings(self) -> PoseSettings:
        """The ops' settings: what is a parameter here, and their own defaults."""
        pnp = PnpSettings(**_values(self.pnp))
        registration = RegistrationSettings(**_values(self.registration), bias=self.depth_error)
        depth = DepthSettings(**_values(self.depth), depth_error=self.depth_error)
        return PoseSettings(pnp, registration, EvidenceSettings(**_values(self.evidence)), depth)


def _values(parameters: Any) -> dict[str, Any]:
    return {name: getattr(parameters, name) for name in parameters.__dataclass_fields__}
