# SPDX-License-Identifier: Apache-2.0
"""Models for graphs of several, and the plans of launch arguments and of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.keypoints.dots import write_dots
from support.onnx_models import ultralytics_metadata, write_model
from support.onnx_models.color_classes import write_class_colors

from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, LaunchPlan, launch_plan

DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}
Plan = Callable[..., LaunchPlan]


@pytest.fixture(scope='session')
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cups and plates take the same tensors, wide others; lanes is a segmentation, pose for crops of people."""
    folder = tmp_path_factory.mktemp('models')
    for name, wh in (('cups', (64, 64)), ('plates', (64, 64)), ('wide', (96, 64))):
        metadata = ultralytics_metadata([f'{name}_a', f'{name}_b'], imgsz=wh[::-1])
        own = {'input_name': 'pixels'} if name == 'plates' else {}
        write_model(folder / f'{name}.onnx', 'yolov8', classes=2, input_wh=wh, metadata=metadata, **own)
    write_class_colors(folder / 'lanes.onnx', ['rest', 'lane', 'road', 'sky'], (64, 64))
    write_dots(folder / 'pose.onnx')
    return folder


@pytest.fixture
def plan() -> Plan:
    """The plan of launch arguments."""

    def planned(pushed: str = '', **given: str) -> LaunchPlan:
        return launch_plan({**DEFAULTS, **{name: str(value) for name, value in given.items()}}, pushed)

    return planned


@pytest.fixture
def of_file(plan: Plan, tmp_path: Path, models: Path) -> Callable[..., LaunchPlan]:
    """The plan of a file of pipelines, whose models may be named without their folder."""

    def planned(pipelines: list[dict[str, Any]], cameras: Any = ('front', 'left'), **given: str) -> LaunchPlan:
        content = {
            'cameras': cameras if isinstance(cameras, dict) else {name: {} for name in cameras},
            'pipelines': [
                {
                    **pipeline,
                    'model': pipeline['model'] if pipeline['model'] == 'demo' else str(models / pipeline['model']),
                }
                for pipeline in pipelines
            ],
        }
        path = tmp_path / 'pipelines.yaml'
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return plan(pipelines=str(path), **given)

    return planned
