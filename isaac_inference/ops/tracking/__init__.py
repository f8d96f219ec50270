# SPDX-License-Identifier: Apache-2.0
"""Objects over time: stable ids for boxes, smooth poses. NumPy only; stamps are in seconds."""

from isaac_inference.ops.tracking.mirror import MirrorSettings, TwoPoseFilter
from isaac_inference.ops.tracking.pose_filter import PoseFilter, SmoothPose
from isaac_inference.ops.tracking.pose_filter_settings import PoseFilterSettings
from isaac_inference.ops.tracking.tracker import Tracker, TrackerSettings

__all__ = [
    'MirrorSettings',
    'PoseFilter',
    'PoseFilterSettings',
    'SmoothPose',
    'Tracker',
    'TrackerSettings',
    'TwoPoseFilter',
]
