# SPDX-License-Identifier: Apache-2.0
"""Objects over time: stable ids for boxes, smooth keypoints and poses. NumPy only; stamps are in seconds."""

from isaac_inference.ops.tracking.mask_association import SeenMasks
from isaac_inference.ops.tracking.mirror import MirrorSettings, TwoPoseFilter
from isaac_inference.ops.tracking.one_euro import KeypointSmoother, OneEuroSettings
from isaac_inference.ops.tracking.pose_filter import PoseFilter, SmoothPose
from isaac_inference.ops.tracking.pose_filter_settings import PoseFilterSettings
from isaac_inference.ops.tracking.tracker import Tracker, TrackerSettings

__all__ = [
    'KeypointSmoother',
    'MirrorSettings',
    'OneEuroSettings',
    'PoseFilter',
    'PoseFilterSettings',
    'SeenMasks',
    'SmoothPose',
    'Tracker',
    'TrackerSettings',
    'TwoPoseFilter',
]
