# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the pipeline's output against ground truth; arrays in, figures out, no ROS."""

from isaac_inference.evaluation.accuracy.evaluate import EvaluationSettings, evaluate
from isaac_inference.evaluation.accuracy.frame_record import Boxes, FrameRecord, Poses
from isaac_inference.evaluation.accuracy.pose_errors import ObjectGeometry
from isaac_inference.evaluation.accuracy.result import EvaluationResult

__all__ = ['Boxes', 'EvaluationResult', 'EvaluationSettings', 'FrameRecord', 'ObjectGeometry', 'Poses', 'evaluate']
