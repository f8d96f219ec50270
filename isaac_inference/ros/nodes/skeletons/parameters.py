# SPDX-License-Identifier: Apache-2.0
"""Parameters of the skeletons node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.calibration import ImageRectified
from isaac_inference.ops.keypoints.joints import JointSettings
from isaac_inference.ros.nodes.shared.depth_source import DepthSourceParameters
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import AutoSwitch, group, param
from isaac_inference.ros.runtime.topics.qos import RESULTS, QosParameters

_JOINTS = JointSettings()


@dataclass(frozen=True)
class JointParameters:
    """When joints are believed, and how sure they are."""

    min_confidence: float = param(
        _JOINTS.min_confidence, 'Keypoints below this confidence are left out.', minimum=0.0, maximum=1.0
    )
    pixel_noise: float = param(
        _JOINTS.pixel_noise, 'Least standard deviation of a keypoint.', unit='px', minimum=0.01, maximum=100.0
    )
    keypoint_error: float = param(
        _JOINTS.keypoint_error,
        "Standard deviation of a keypoint as a part of its box's diagonal; it adds to pixel_noise.",
        minimum=0.0,
        maximum=0.5,
    )
    depth_noise: float = param(
        _JOINTS.depth_noise, 'Standard deviation of depth at 1 m.', unit='m', minimum=0.0001, maximum=0.1
    )
    depth_error: float = param(
        _JOINTS.depth_error,
        "Standard deviation of the depth camera's scale error, as its data sheet has it: 0.005 is 5 mm at 1 m.",
        unit='m/m',
        minimum=0.0,
        maximum=0.2,
    )
    thickness_error: float = param(
        _JOINTS.thickness_error,
        'Standard deviation of how far joints lie behind the skin, as a part of that.',
        minimum=0.0,
        maximum=2.0,
    )
    gap: float = param(
        _JOINTS.gap,
        'Two readings of depth are on one surface up to this difference at 1 m.',
        unit='m',
        minimum=0.005,
        maximum=0.5,
    )
    min_bone: float = param(
        _JOINTS.min_bone,
        'A bone is too short below this part of the length that it should have by the stature.',
        minimum=0.0,
        maximum=1.0,
    )
    max_bone: float = param(
        _JOINTS.max_bone,
        'A bone is too long above this multiple of the length that it should have by the stature.',
        minimum=1.0,
        maximum=10.0,
    )
    min_height: float = param(
        _JOINTS.min_height,
        'Whoever is shorter by their bones is no person, or depth is wrong.',
        unit='m',
        minimum=0.0,
        maximum=10.0,
    )
    max_height: float = param(
        _JOINTS.max_height,
        'Whoever is taller by their bones is no person, or depth is wrong.',
        unit='m',
        minimum=0.1,
        maximum=100.0,
    )
    max_distance: float = param(
        _JOINTS.max_distance, 'People further away have no joints in space.', unit='m', minimum=0.1, maximum=1000.0
    )
    min_joints: int = param(
        _JOINTS.min_joints, 'Whoever has fewer joints that fit each other has none in space.', minimum=1, maximum=1000
    )
    max_hidden: float = param(
        _JOINTS.max_hidden,
        'Probability that something hides a joint, so that depth shows that, above which it is left out.',
        minimum=0.0,
        maximum=1.0,
    )


@dataclass(frozen=True)
class SkeletonsParameters(DepthSourceParameters, NodeParameters):
    """Parameters of the skeletons node."""

    model: str = param('', 'Path of the ONNX model that finds the keypoints; its card says which skeleton they are.')
    model_card: str = param(
        '',
        'Path of its YAML card; empty looks beside the model. Without a model, a card with keypoints.skeleton, for '
        'keypoints of any origin.',
    )
    classes: tuple[str, ...] = param((), 'Names of the classes that are looked at; empty takes all.', live=True)
    use_depth: AutoSwitch = param(
        AutoSwitch.AUTO, 'Whether joints are brought into space; auto: while somebody publishes depth.'
    )
    joint_depths: tuple[str, ...] = param(
        (),
        'How far joints lie behind the skin, each "joint: metres", with or without a side, where it is not the usual: '
        'wrist 0.025, ankle and elbow 0.035, knee and shoulder 0.05, hip 0.09. "all: 0" gives the surface itself.',
    )
    hri: AutoSwitch = param(
        AutoSwitch.AUTO,
        'Whether people who have an id are published as REP 155 says, which takes the package hri_msgs; auto: where it '
        'is installed.',
    )
    bodies_topic: str = param('/humans/bodies', 'What the topics of REP 155 begin with.')
    image_rectified: ImageRectified = param(
        ImageRectified.AUTO, "Whether the image follows CameraInfo's P (true) or K and D (false); auto goes by names."
    )
    depth_rectified: ImageRectified = param(
        ImageRectified.AUTO,
        'Whether depth follows P of depth/camera_info (true) or K and D (false); auto goes by names.',
    )
    wait_s: float = param(
        0.15, 'How long detections wait for their keypoints, and then for depth.', unit='s', minimum=0.0, maximum=10.0
    )
    joints: JointParameters = group(JointParameters(), 'Joints in space.')
    image_qos: QosParameters = group(QosParameters(), 'Subscriptions to depth and camera infos.')
    detections_qos: QosParameters = group(RESULTS, 'Subscriptions to detections and keypoints.')
    skeletons_qos: QosParameters = group(RESULTS, 'Publishers of joints, markers and skeletons.')

    def settings(self) -> JointSettings:
        """The ops' settings."""
        return JointSettings(**{field.name: getattr(self.joints, field.name) for field in fields(self.joints)})

    def depths(self) -> Mapping[str, float]:
        """`joint_depths` by name.

        Raises:
            ConfigError: one is not "joint: metres".
        """
        found = {}
        for text in self.joint_depths:
            name, _, number = text.rpartition(':')
            try:
                metres = float(number)
            except ValueError:
                metres = math.nan
            if not name.strip() or not 0.0 <= metres <= 0.5:
                raise ConfigError(
                    f'parameter joint_depths: got {text!r}, expected "joint: metres" from 0 to 0.5, such as '
                    '"wrist: 0.02"'
                )
            found[name.strip()] = metres
        return found
