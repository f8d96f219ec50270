# SPDX-License-Identifier: Apache-2.0
"""Parameters of the fusion node."""

from __future__ import annotations

import re
from dataclasses import dataclass

from isaac_inference.errors import ConfigError
from isaac_inference.ops.fusion import FusionSettings
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import RESULTS, QosParameters
from isaac_inference.ros.runtime.transforms import TransformLibrary

_FUSION = FusionSettings()
_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*')


@dataclass(frozen=True)
class FusionParameters(NodeParameters):
    """Parameters of the fusion node."""

    streams: tuple[str, ...] = param(
        (), 'Names of the cameras: the poses of each come on `<name>/<poses>`, below the namespace of this node.'
    )
    poses: str = param(
        'pose/detections_3d',
        'Topic of the poses below the name of a camera: those of its pose node, each frame measured for itself. Those '
        'of a track node are smoothed, so their errors last for many frames, which a covariance cannot say.',
    )
    target_frame: str = param('', 'Frame of the fused poses, such as base_link: one that all cameras have a way to.')
    model: str = param('', 'Path of the ONNX model, for its class names and symmetries; empty accepts any class.')
    model_card: str = param(
        '', 'Path of its YAML card; empty looks beside the model. Without a model, a card of objects.'
    )
    slop_s: float = param(
        0.05,
        'Largest difference of stamps of what is fused, and never more than the period of the fastest camera; cameras '
        'without a common trigger need about their period.',
        unit='s',
        minimum=0.0,
        maximum=1.0,
    )
    wait_s: float = param(
        0.15,
        'How long a moment waits for the camera that takes longest; one of which nothing came for three moments is not '
        'waited for.',
        unit='s',
        minimum=0.0,
        maximum=10.0,
    )
    extrinsic_sigma_m: float = param(
        _FUSION.extrinsic_sigma_m,
        "Standard deviation of each camera's position in target_frame, along each axis, as its calibration has it.",
        unit='m',
        minimum=0.0,
        maximum=1.0,
    )
    extrinsic_sigma_rad: float = param(
        _FUSION.extrinsic_sigma_rad,
        "Standard deviation of each camera's rotation, about each axis: 0.002 is 2 mm at 1 m.",
        unit='rad',
        minimum=0.0,
        maximum=1.0,
    )
    speed: float = param(
        _FUSION.speed,
        'Standard deviation of how fast objects move, for what cameras without a common trigger see; of an object that '
        'was seen some times its own speed counts.',
        unit='m/s',
        minimum=0.0,
        maximum=100.0,
    )
    turn_speed: float = param(
        _FUSION.turn_speed,
        'Standard deviation of how fast objects turn.',
        unit='rad/s',
        minimum=0.0,
        maximum=100.0,
    )
    position_noise: float = param(
        0.01, 'Standard deviation of a position that comes without covariance.', unit='m', minimum=1e-6
    )
    rotation_noise: float = param(
        0.1, 'Standard deviation of a rotation that comes without covariance.', unit='rad', minimum=1e-6
    )
    gate: float = param(
        _FUSION.gate,
        'Poses further apart are not of one object, or one of them is wrong.',
        unit='standard deviations',
        minimum=1.0,
    )
    ambiguity: float = param(
        _FUSION.ambiguity,
        'By how much clearer than any other it must be which of two equal neighbours a camera sees, or that is an '
        'entry of its own.',
        unit='squared standard deviations',
        minimum=0.0,
    )
    majority: float = param(
        _FUSION.majority,
        'Share of the votes, each of the information of its camera, above which poses are believed that others '
        'contradict.',
        minimum=0.5,
        maximum=1.0,
    )
    correlated: bool = param(
        _FUSION.correlated,
        'Whether the errors of several streams may be the same, as of two models on one camera: then many of them are '
        'no surer than the best.',
    )
    max_disagreement: float = param(
        _FUSION.max_disagreement,
        'Two cameras that see the same objects further apart than this are not calibrated to each other.',
        unit='m',
        minimum=0.001,
        maximum=0.3,
    )
    takeover_hits: int = param(
        _FUSION.takeover_hits,
        'Refused in so many frames in a row, the former pose of an object is forgotten.',
        minimum=1,
        maximum=100,
    )
    max_age_s: float = param(_FUSION.max_age_s, 'How long the id of an unseen object is kept.', unit='s', minimum=0.01)
    transform_wait_s: float = param(0.1, 'Longest wait for a transform.', unit='s', minimum=0.0, maximum=10.0)
    transform_source: TransformLibrary = param(
        TransformLibrary.AUTO, 'Library that keeps the transforms; auto takes tf2_ros where it is installed.'
    )
    publish_tf: bool = param(True, 'Send `<tf_prefix>/<class>_<id>` to /tf.', live=True)
    tf_prefix: str = param('fused', 'What the frames of objects begin with, before a slash; empty: nothing.')
    input_qos: QosParameters = group(RESULTS, 'Subscriptions to the poses.')
    output_qos: QosParameters = group(RESULTS, 'Publishers of the fused poses.')

    def check(self) -> None:
        """Raises ConfigError: streams or frame cannot be used; all that is wrong is said."""
        problems, names = [], [name.strip('/') for name in self.streams]
        if not names:
            problems.append('parameter streams: got none, expected the names of the cameras, such as [front, left]')
        if twice := sorted({name for name in names if names.count(name) > 1}):
            problems.append(
                f'parameter streams: {", ".join(twice)} comes twice, and would count twice; name each camera once'
            )
        if odd := [name for name in self.streams if not _NAME.fullmatch(name.strip('/'))]:
            problems.append(
                f'parameter streams: got {", ".join(map(repr, odd))}, expected names of letters, digits and _ that '
                'begin with a letter, with / between their parts'
            )
        if not self.target_frame.strip('/'):
            problems.append(
                'parameter target_frame: got none, expected the frame of the fused poses, one that all cameras have a '
                'way to, such as base_link'
            )
        if problems:
            raise ConfigError('\n'.join(problems))

    def settings(self) -> FusionSettings:
        """Those of the ops that are parameters here."""
        return FusionSettings(
            **{name: getattr(self, name) for name in FusionSettings.__dataclass_fields__ if hasattr(self, name)}
        )
