# SPDX-License-Identifier: Apache-2.0
"""The tasks that are measured on single simulated frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from isaac_inference.ros.bringup.evaluation.tasks.base import TaskGraph, TaskOptions
from isaac_inference.ros.bringup.evaluation.tasks.completion import CompletionGraph
from isaac_inference.ros.bringup.evaluation.tasks.keypoints import keypoint_graph
from isaac_inference.ros.bringup.evaluation.tasks.masks import MaskGraph
from isaac_inference.ros.bringup.evaluation.tasks.mono_depth import MonoDepthGraph
from isaac_inference.ros.bringup.evaluation.tasks.segmentation import SegmentationGraph
from isaac_inference.ros.bringup.evaluation.tasks.stereo import StereoGraph

TASK_GRAPHS: Mapping[str, Callable[[TaskOptions], TaskGraph[Any, Any]]] = {
    'masks': MaskGraph,
    'segmentation': SegmentationGraph,
    'depth': MonoDepthGraph,
    'stereo': StereoGraph,
    'completion': CompletionGraph,
    'keypoints': keypoint_graph,
}
"""By name; each raises ConfigError for a model that is not for it."""
