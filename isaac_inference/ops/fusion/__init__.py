# SPDX-License-Identifier: Apache-2.0
"""Several cameras' poses of the same objects become one each: association, vote, combination by covariance, numbers."""

from isaac_inference.ops.fusion.fuser import Fuser, Round
from isaac_inference.ops.fusion.settings import FusionSettings
from isaac_inference.ops.fusion.sighting import CameraView, Fused, Refusal, Sighting, checked_covariance

__all__ = ['CameraView', 'Fused', 'Fuser', 'FusionSettings', 'Refusal', 'Round', 'Sighting', 'checked_covariance']
