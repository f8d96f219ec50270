# SPDX-License-Identifier: Apache-2.0
"""From a detection to the object's pose: three methods behind one interface, and the choice between them."""

from isaac_inference.stages.poses.estimator import PoseEstimator, PoseMethod, PoseSettings
from isaac_inference.stages.poses.observation import DepthView, ObjectPose, Observed

__all__ = ['DepthView', 'ObjectPose', 'Observed', 'PoseEstimator', 'PoseMethod', 'PoseSettings']
