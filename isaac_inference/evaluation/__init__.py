# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the pipeline's output against ground truth; arrays in, figures out, no ROS."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isaac_inference.evaluation.accuracy.evaluate import EvaluationSettings, evaluate
    from isaac_inference.evaluation.accuracy.frame_record import Boxes, FrameRecord, Poses
    from isaac_inference.evaluation.accuracy.pose_errors import ObjectGeometry
    from isaac_inference.evaluation.accuracy.result import EvaluationResult

__all__ = ['Boxes', 'EvaluationResult', 'EvaluationSettings', 'FrameRecord', 'ObjectGeometry', 'Poses', 'evaluate']

_HOMES = {
    'Boxes': 'frame_record',
    'EvaluationResult': 'result',
    'EvaluationSettings': 'evaluate',
    'FrameRecord': 'frame_record',
    'ObjectGeometry': 'pose_errors',
    'Poses': 'frame_record',
    'evaluate': 'evaluate',
}


def __getattr__(name: str) -> Any:
    """Imported when first asked for: accuracy needs SciPy, which takes a second, and a node's probe does not."""
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.accuracy.{_HOMES[name]}'), name)
