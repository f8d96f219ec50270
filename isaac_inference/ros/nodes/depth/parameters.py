# SPDX-License-Identifier: Apache-2.0
"""Parameters of the depth node."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum

from isaac_inference.ops.depth.dense.scale_shift import FitSettings
from isaac_inference.ops.geometry.calibration import ImageRectified
from isaac_inference.ros.nodes.shared.image_source import DepthTransport
from isaac_inference.ros.nodes.shared.model_node import ModelParameters
from isaac_inference.ros.runtime.parameters.schema import group, param
from isaac_inference.ros.runtime.topics.qos import RESULTS, QosParameters
from isaac_inference.ros.runtime.transforms import TransformLibrary

_FIT = FitSettings()


class Align(str, Enum):
    """What makes metres of a network's numbers."""

    NONE = 'none'
    DEPTH = 'depth'
    GROUND = 'ground'
    CARD = 'card'


@dataclass(frozen=True)
class FitParameters:
    """When scale and shift are believed."""

    tolerance: float = param(
        _FIT.tolerance,
        'By how much of itself the depth of a pixel that agrees may be off.',
        minimum=0.001,
        maximum=1.0,
    )
    min_points: int = param(_FIT.min_points, 'Known depths that it takes.', minimum=3, maximum=1000000)
    min_inliers: float = param(_FIT.min_inliers, 'Part of them that must agree.', minimum=0.01, maximum=1.0)
    max_relative: float = param(
        _FIT.max_relative,
        'Largest median error of those that agree, as a part of the depth.',
        minimum=0.001,
        maximum=1.0,
    )

    def settings(self) -> FitSettings:
        """What the fit takes."""
        return FitSettings(**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})


@dataclass(frozen=True)
class DepthParameters(ModelParameters):
    """Parameters of the depth node."""

    align: Align = param(
        Align.NONE,
        'What makes metres of a network whose numbers are none: "depth" fits scale and shift to a sensor\'s depth on '
        '"align_depth", "ground" to the height of the camera over the ground by /tf, "card" takes those of the card; '
        '"none" publishes "depth/relative" alone. A metric network needs none of them.',
    )
    fit: FitParameters = group(FitParameters(), '')
    smoothing: float = param(
        0.3,
        'Share of each new scale and shift in their running mean; 1 takes each as it is.',
        minimum=0.01,
        maximum=1.0,
        live=True,
    )
    max_depth: float = param(0.0, 'Farther depth is unknown; 0 is no limit.', unit='m', minimum=0.0, live=True)
    ground_frame: str = param('base_footprint', 'Frame whose z points up and whose z = 0 is the ground.')
    ground_range: float = param(8.0, 'Ground that is farther is not fitted to.', unit='m', minimum=0.5, maximum=1000.0)
    ground_share: float = param(
        0.3,
        'Part of what the ground would fill of the image that must be ground: the rest may be things that stand on it.',
        minimum=0.05,
        maximum=1.0,
    )
    depth_tolerance_s: float = param(
        0.0,
        "Largest difference of the stamps of image and align_depth; 0 is half of depth's own period.",
        unit='s',
        minimum=0.0,
        maximum=1.0,
    )
    wait_s: float = param(0.2, 'How long a frame waits for its align_depth.', unit='s', minimum=0.0, maximum=10.0)
    transform_wait_s: float = param(
        0.1, 'Longest wait for a transform, with align "ground".', unit='s', minimum=0.0, maximum=10.0
    )
    transform_source: TransformLibrary = param(
        TransformLibrary.AUTO, 'Library that keeps the transforms; auto takes tf2_ros where it is installed.'
    )
    depth_transport: DepthTransport = param(
        DepthTransport.AUTO,
        'How align_depth comes: Image on "align_depth", CompressedImage on "align_depth/compressedDepth" or on '
        '"align_depth" itself, or the first of these that is published.',
    )
    image_rectified: ImageRectified = param(
        ImageRectified.AUTO,
        "Whether the image follows CameraInfo's P (true) or K and D (false); auto goes by CameraInfo and names.",
    )
    flat_frames: int = param(
        30,
        'After so many frames in a row with nothing but one and the same gradient diagnostics warn; 0 never warns.',
        unit='frames',
        minimum=0,
        maximum=100000,
    )
    source_size: tuple[int, ...] = param(
        (0, 0),
        'Image width and height, for tensors from a preprocessor that sends no letterbox; 0, 0 drops such frames.',
        unit='px',
        minimum=0,
    )
    tensor_qos: QosParameters = group(QosParameters(), 'Subscription to the tensors.')
    image_qos: QosParameters = group(QosParameters(), 'Subscriptions to CameraInfo and align_depth.')
    depth_qos: QosParameters = group(RESULTS, 'Publishers of depth.')
