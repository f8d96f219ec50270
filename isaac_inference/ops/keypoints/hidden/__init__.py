# SPDX-License-Identifier: Apache-2.0
"""Which joints something hides: of those depth shows another surface, further in front."""

from isaac_inference.ops.keypoints.hidden.around_limbs import LimbView
from isaac_inference.ops.keypoints.hidden.judge import Hidden, SeenJoints, hidden_joints, stature
from isaac_inference.ops.keypoints.hidden.limbs import PlacedJoints
from isaac_inference.ops.keypoints.hidden.others import OnOthers, on_others

__all__ = ['Hidden', 'LimbView', 'OnOthers', 'PlacedJoints', 'SeenJoints', 'hidden_joints', 'on_others', 'stature']
