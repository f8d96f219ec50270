# SPDX-License-Identifier: Apache-2.0
"""Several models on several cameras: what a YAML of pipelines says, and what is wrong with it.

setup = read_pipelines('config/pipelines/four_cameras.yaml')
setup.pipelines[0].cameras, setup.camera('front').image
"""

from __future__ import annotations

from isaac_inference.serving.pipelines.check import most_at_once
from isaac_inference.serving.pipelines.fields import is_name
from isaac_inference.serving.pipelines.read import read_pipelines
from isaac_inference.serving.pipelines.spec import (
    DEFAULT_PRIORITY,
    PRIORITIES,
    SIMULATED,
    Added,
    CameraSpec,
    PipelineSpec,
    Setup,
)

__all__ = [
    'DEFAULT_PRIORITY',
    'PRIORITIES',
    'SIMULATED',
    'Added',
    'CameraSpec',
    'PipelineSpec',
    'Setup',
    'is_name',
    'most_at_once',
    'read_pipelines',
]
