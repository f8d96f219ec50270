# SPDX-License-Identifier: Apache-2.0
"""Parameters of the stereo node."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from isaac_inference.ops.geometry.calibration import ImageRectified
from isaac_inference.ops.stereo.settings import MOST, MatchMode, StereoSettings
from isaac_inference.ros.nodes.shared.image_input import ImageParameters
from isaac_inference.ros.nodes.shared.network_link import NetworkParameters
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import RESULTS, QosParameters
from isaac_inference.ros.runtime.transforms import TransformLibrary
from isaac_inference.stages.depth.stereo import StereoNetworkSettings

_DEFAULT = StereoSettings()
_NETWORK = StereoNetworkSettings()


@dataclass(frozen=True)
class MatchingParameters:
    """How the images of a pair are matched."""

    disparities: int = param(
        _DEFAULT.disparities,
        'How many disparities are searched, from infinity on; the more, the nearer may things be, and the longer it '
        "takes. 0 is a fifth of the image's width. Rounded up to a multiple of 16.",
        unit='px',
        minimum=0,
        maximum=MOST,
    )
    block: int = param(_DEFAULT.block, 'Side of the window that is compared, odd.', unit='px', minimum=1, maximum=21)
    mode: MatchMode = param(
        _DEFAULT.mode, 'Along how many paths costs are summed: 3, 4 or 8; 4 take three times as long as 3.'
    )
    smoothness: float = param(
        _DEFAULT.smoothness,
        'Factor on the penalties for steps in depth: more closes gaps on plain surfaces and loses thin things.',
        minimum=0.05,
        maximum=50.0,
    )
    uniqueness: int = param(
        _DEFAULT.uniqueness, 'By how much the best match must beat the next.', unit='%', minimum=0, maximum=100
    )
    speckle_size: int = param(
        _DEFAULT.speckle_size, 'Islands of fewer pixels are dropped; 0 keeps all.', unit='px', minimum=0
    )
    speckle_range: float = param(
        _DEFAULT.speckle_range, "A larger step of disparity is an island's shore.", unit='px', minimum=0.1
    )
    max_difference: float = param(
        _DEFAULT.max_difference,
        'By how much the match of the right image may differ from that of the left one; below 0 it is not asked, which '
        'halves the time and leaves wrong depth beside near edges.',
        unit='px',
        minimum=-1.0,
    )
    min_correlation: float = param(
        _DEFAULT.min_correlation,
        'Matches around which the two images correlate less are dropped: on plain surfaces, of which both see only '
        'noise, matches are wrong though both sides agree. -1 keeps them.',
        minimum=-1.0,
        maximum=1.0,
    )
    min_confidence: float = param(
        _DEFAULT.min_confidence, 'Matches of less confidence are dropped.', minimum=0.0, maximum=1.0
    )
    fill: bool = param(
        _DEFAULT.fill, 'Pixels without a match get the farther one beside them: for looking at, not for measuring.'
    )

    def settings(self) -> StereoSettings:
        """What the matcher takes.

        Raises:
            ConfigError: as `StereoSettings`.
        """
        return StereoSettings(**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})


@dataclass(frozen=True)
class StereoNetworkParameters:
    """What of a network's disparities is kept."""

    min_confidence: float = param(
        _NETWORK.min_confidence,
        'Pixels of less confidence are unknown, where the network says how sure it is.',
        minimum=0.0,
        maximum=1.0,
    )
    drop_hidden: bool = param(
        _NETWORK.drop_hidden,
        'Pixels are unknown that the right image does not show, by the disparities around: those are guessed.',
    )
    wait_s: float = param(
        5.0, 'How long the inference node may take for a pair.', unit='s', minimum=0.05, maximum=600.0
    )

    def settings(self) -> StereoNetworkSettings:
        """What the stage takes."""
        return StereoNetworkSettings(self.min_confidence, self.drop_hidden)


@dataclass(frozen=True)
class StereoParameters(ImageParameters, NetworkParameters, NodeParameters):
    """Parameters of the stereo node."""

    image_rectified: ImageRectified = param(
        ImageRectified.AUTO,
        "Whether the images follow CameraInfo's P (true), or K and D (false), so that they are rectified here; auto "
        'goes by CameraInfo and by the names of the topics, and says so.',
    )
    matching: MatchingParameters = group(MatchingParameters(), 'Without a model.')
    network: StereoNetworkParameters = group(StereoNetworkParameters(), 'With a model.')
    max_depth: float = param(0.0, 'Farther depth is unknown; 0 is no limit.', unit='m', minimum=0.0)
    stamp_tolerance_s: float = param(
        0.002, 'The stamps of the two images of a pair may differ by so much.', unit='s', minimum=0.0, maximum=1.0
    )
    wait_s: float = param(0.2, 'How long a left image waits for its right one.', unit='s', minimum=0.0, maximum=60.0)
    check_period_s: float = param(
        2.0,
        'How often features of both images are compared, to find that they are swapped, not rectified, or of different '
        'moments; 0 never does.',
        unit='s',
        minimum=0.0,
        maximum=86400.0,
    )
    check_tf: bool = param(
        True, 'Refuse pairs whose frames are elsewhere in /tf than P of the right CameraInfo says, where /tf has them.'
    )
    transform_source: TransformLibrary = param(
        TransformLibrary.AUTO, 'Library that keeps the transforms; auto takes tf2_ros where it is installed.'
    )
    image_qos: QosParameters = group(QosParameters(), 'Subscriptions to the images and their CameraInfo.')
    depth_qos: QosParameters = group(RESULTS, 'Publishers of depth and disparity.')
