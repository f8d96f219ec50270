# SPDX-License-Identifier: Apache-2.0
"""How good the pipeline's answers are against a known truth; arrays in, figures out, no ROS."""

from isaac_inference.evaluation.accuracy.evaluate import EvaluationSettings, evaluate
from isaac_inference.evaluation.accuracy.frame_record import Boxes, FrameRecord, Poses
from isaac_inference.evaluation.accuracy.pose_errors import ObjectGeometry
from isaac_inference.evaluation.accuracy.result import EvaluationResult

__all__ = ['Boxes', 'EvaluationResult', 'EvaluationSettings', 'FrameRecord', 'ObjectGeometry', 'Poses', 'evaluate']
