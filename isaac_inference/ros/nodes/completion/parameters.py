# SPDX-License-Identifier: Apache-2.0
"""Parameters of the completion node."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from isaac_inference.ops.depth.dense.complete import CompletionSettings
from isaac_inference.ops.geometry.calibration import ImageRectified
from isaac_inference.ros.nodes.shared.image_input import ImageParameters
from isaac_inference.ros.nodes.shared.image_source import DepthTransport
from isaac_inference.ros.nodes.shared.network_link import NetworkParameters
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import RESULTS, QosParameters
from isaac_inference.stages.depth.completion import CompletionNetworkSettings

_FILL = CompletionSettings()
_NETWORK = CompletionNetworkSettings()


@dataclass(frozen=True)
class FillParameters:
    """What is filled without a model."""

    max_reach: int = param(
        _FILL.max_reach,
        'Pixels that are farther from any reading stay unknown: holes are filled that are up to twice as wide.',
        unit='px',
        minimum=1,
        maximum=1000,
    )
    edge: float = param(
        _FILL.edge,
        'Step of colour that is an edge, grey levels: depth hardly spreads across.',
        minimum=0.1,
        maximum=255.0,
    )
    min_support: float = param(
        _FILL.min_support,
        'How alike the colours must be along the way from a reading, or the pixel stays unknown.',
        minimum=0.0,
        maximum=1.0,
    )
    max_spread: float = param(
        _FILL.max_spread,
        'Relative spread of the readings around a pixel, above which it stays unknown: it may be on a near or on a far '
        'surface.',
        minimum=0.0,
        maximum=10.0,
    )
    refill_edges: bool = param(
        _FILL.refill_edges, 'Fill anew what was read at steps of depth, which often lies between both surfaces.'
    )

    def settings(self) -> CompletionSettings:
        """What the op takes."""
        return CompletionSettings(**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})


@dataclass(frozen=True)
class CompletionNetworkParameters:
    """What of a network's depth is kept."""

    keep_measured: bool = param(
        _NETWORK.keep_measured, "The sensor's readings stay as they are; false takes the network's depth there, too."
    )
    refill_edges: bool = param(
        _NETWORK.refill_edges,
        'What was read at steps of depth, which often lies between both surfaces, is filled anew like holes, or '
        'unknown.',
    )
    min_confidence: float = param(
        _NETWORK.min_confidence,
        'Pixels of less confidence are unknown, where the network says how sure it is.',
        minimum=0.0,
        maximum=1.0,
    )
    max_reach: int = param(
        _NETWORK.max_reach,
        'Pixels that are farther from any reading stay unknown; 0 is no limit.',
        unit='px',
        minimum=0,
        maximum=10000,
    )
    max_excess: float = param(
        _NETWORK.max_excess,
        'By how much a filled pixel may be nearer than the nearest, or farther than the farthest reading within the '
        'reach, relative to it; beyond, it stays unknown.',
        minimum=0.0,
    )
    max_disagreement: float = param(
        _NETWORK.max_disagreement,
        'Median relative difference between network and readings above which a frame is dropped.',
        minimum=0.0,
    )
    wait_s: float = param(
        5.0, 'How long the inference node may take for a frame.', unit='s', minimum=0.05, maximum=600.0
    )

    def settings(self) -> CompletionNetworkSettings:
        """What the stage takes."""
        names = [field.name for field in dataclasses.fields(CompletionNetworkSettings)]
        return CompletionNetworkSettings(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class CompletionParameters(ImageParameters, NetworkParameters, NodeParameters):
    """Parameters of the completion node."""

    fill: FillParameters = group(FillParameters(), 'Without a model.')
    network: CompletionNetworkParameters = group(CompletionNetworkParameters(), 'With a model.')
    depth_unit_scale: float = param(
        0.0, 'Metres per unit of depth; 0 goes by the encoding: mm in 16 bit, m in float.', unit='m', minimum=0.0
    )
    depth_tolerance_s: float = param(
        0.0,
        "Largest difference of the stamps of depth and image; 0 is half of the image's own period.",
        unit='s',
        minimum=0.0,
        maximum=1.0,
    )
    wait_s: float = param(0.2, 'How long depth waits for its image.', unit='s', minimum=0.0, maximum=10.0)
    depth_transport: DepthTransport = param(
        DepthTransport.AUTO,
        'How depth comes: Image on "sensor_depth/image", CompressedImage on "sensor_depth/image/compressedDepth" or on '
        '"sensor_depth/image" itself, or the first of these that is published.',
    )
    image_rectified: ImageRectified = param(
        ImageRectified.AUTO,
        "Whether the image follows CameraInfo's P (true) or K and D (false); auto goes by CameraInfo and names.",
    )
    image_qos: QosParameters = group(QosParameters(), 'Subscriptions to depth, image and CameraInfo.')
    depth_qos: QosParameters = group(RESULTS, 'Publishers of depth.')
