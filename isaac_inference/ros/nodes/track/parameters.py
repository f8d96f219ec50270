# SPDX-License-Identifier: Apache-2.0
"""Parameters of the track node."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from isaac_inference.ops.tracking import (
    MirrorSettings,
    OneEuroSettings,
    PoseFilterSettings,
    TrackerSettings,
)
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import AutoSwitch, group, param
from isaac_inference.ros.runtime.topics.qos import RESULTS, QosParameters

_BOXES, _POSES, _MIRROR, _EURO = (  # their defaults are ours
    TrackerSettings(),
    PoseFilterSettings(),
    MirrorSettings(),
    OneEuroSettings(),
)


class Association(str, Enum):
    """By what a detection finds its track."""

    BOXES = 'boxes'
    MASKS = 'masks'


@dataclass(frozen=True)
class OneEuroParameters:
    """How much keypoints are smoothed."""

    min_cutoff: float = param(
        _EURO.min_cutoff,
        'Cutoff frequency of the filter for a keypoint at rest; a lower one takes more jitter away, and lags more.',
        unit='Hz',
        minimum=0.001,
        maximum=1000.0,
    )
    beta: float = param(
        _EURO.beta,
        'By how much a speed of one box size a second raises it; a higher one lags less in motion.',
        unit='Hz s/size',
        minimum=0.0,
        maximum=1000.0,
    )
    derivative_cutoff: float = param(
        _EURO.derivative_cutoff, 'Cutoff frequency of that speed.', unit='Hz', minimum=0.001, maximum=1000.0
    )
    min_confidence: float = param(
        _EURO.min_confidence,
        'A keypoint below this confidence is passed as it came, and says nothing about those to come.',
        minimum=0.0,
        maximum=1.0,
    )
    max_gap_s: float = param(
        _EURO.max_gap_s,
        'A keypoint that was unsure, or whose object was unseen, for longer starts anew.',
        unit='s',
        minimum=0.001,
        maximum=10.0,
    )

    def settings(self) -> OneEuroSettings:
        """The filter's own."""
        return OneEuroSettings(**{name: getattr(self, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True)
class TrackParameters(NodeParameters):
    """Parameters of the track node."""

    model: str = param('', 'Path of the ONNX model, for its class names and symmetries; empty accepts any class.')
    model_card: str = param(
        '', 'Path of its YAML card; empty looks beside the model. Without a model, a card of objects.'
    )
    boxes: bool = param(
        True,
        'Give ids to `detections`; false for a graph that has only `detections_3d`, which then come with ids and '
        'whose silence is STALE.',
    )
    publish_tentative: bool = param(
        True,
        'Publish detections that have no id yet, with an empty one; false leaves them out, and their rows of '
        '`~/keypoints` and `~/instance_mask` too.',
        live=True,
    )
    association: Association = param(
        Association.BOXES,
        'By what a detection finds its track: boxes, or boxes and `instance_mask` together, which is better where '
        'objects crowd, and takes a model with masks.',
    )
    wait_s: float = param(
        0.15, 'How long detections wait for masks, with association masks.', unit='s', minimum=0.0, maximum=10.0
    )
    smooth_keypoints: AutoSwitch = param(
        AutoSwitch.AUTO,
        'Whether `~/keypoints` are smoothed; auto: but for objects whose poses are made of them, by the card, as those '
        "need each frame's own noise.",
        live=True,
    )
    publish_tf: bool = param(True, 'Publish the smooth poses on /tf, as <tf_prefix>/<class>_<id>.', live=True)
    tf_prefix: str = param(
        'auto',
        'What the frames of objects begin with, before a slash: auto takes the namespace of the node, so that two '
        'cameras do not give one frame two parents; empty: nothing.',
    )
    predict_s: float = param(
        0.0,
        'How long a missing pose is filled in by prediction, with a falling score; 0 fills in nothing.',
        unit='s',
        minimum=0.0,
        maximum=2.0,
        live=True,
    )
    max_gap_s: float = param(
        2.0, 'After a longer gap between frames all tracks start from scratch.', unit='s', minimum=0.01
    )
    high_score: float = param(
        _BOXES.high_score, 'Minimum score of a detection that begins a track.', minimum=0.0, maximum=1.0
    )
    low_score: float = param(
        _BOXES.low_score, 'Minimum score of a detection that continues a track.', minimum=0.0, maximum=1.0
    )
    confirm_hits: int = param(_BOXES.confirm_hits, 'Detections before a track gets its id.', minimum=1, maximum=100)
    min_iou: float = param(
        _BOXES.min_iou, 'Minimum IoU of a detection with the predicted box of its track.', minimum=0.01, maximum=1.0
    )
    max_age_s: float = param(_BOXES.max_age_s, 'How long the id of an unseen object is kept.', unit='s', minimum=0.0)
    position_noise: float = param(
        _POSES.position_noise, 'Standard deviation of a position without covariance.', unit='m', minimum=1e-6
    )
    rotation_noise: float = param(
        _POSES.rotation_noise, 'Standard deviation of a rotation without covariance.', unit='rad', minimum=1e-6
    )
    outlier_gate: float = param(
        _POSES.gate, 'A pose further off its prediction is an outlier.', unit='standard deviations', minimum=1.0
    )
    takeover_hits: int = param(
        _POSES.takeover_hits,
        'Consecutive consistent outliers that replace the pose of a track.',
        minimum=1,
        maximum=100,
    )
    max_second_probability: float = param(
        _MIRROR.max_probability,
        'Of the mirrored pose of a flat object, such as a single tag, up to which the other one is published; 0.5 '
        'publishes all.',
        minimum=0.00001,
        maximum=0.5,
    )
    one_euro: OneEuroParameters = group(OneEuroParameters(), 'Smoothing of keypoints.')
    input_qos: QosParameters = group(RESULTS, 'Subscriptions to the detections, keypoints and masks.')
    output_qos: QosParameters = group(RESULTS, 'Publishers of the tracked detections, keypoints, masks and poses.')

    def tracker_settings(self) -> TrackerSettings:
        """Of the tracker of boxes."""
        names = ('high_score', 'low_score', 'confirm_hits', 'min_iou', 'max_age_s')
        return TrackerSettings(**{name: getattr(self, name) for name in names})

    def pose_settings(self) -> PoseFilterSettings:
        """Of the filter of poses."""
        return PoseFilterSettings(
            position_noise=self.position_noise,
            rotation_noise=self.rotation_noise,
            gate=self.outlier_gate,
            takeover_hits=self.takeover_hits,
        )

    def mirror_settings(self) -> MirrorSettings:
        """Of which of two poses is believed."""
        return MirrorSettings(max_probability=self.max_second_probability)
