# SPDX-License-Identifier: Apache-2.0
"""A folder with a detector, a detector of any batch, a segmentation and a top-down model, and a file of pipelines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.keypoints.dots import write_dots
from support.onnx_models import ultralytics_metadata, write_model
from support.onnx_models.color_classes import write_class_colors

from isaac_inference.errors import ConfigError
from isaac_inference.serving.pipelines import Setup, read_pipelines

Read = Callable[[Any], Setup]


@pytest.fixture(scope='session')
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('models')
    metadata = ultralytics_metadata(['cup', 'can', 'box'], imgsz=(64, 64))
    write_model(folder / 'cups.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata)
    write_model(folder / 'many.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata, dynamic='batch')
    write_class_colors(folder / 'lanes.onnx', ['rest', 'lane', 'road', 'sky'], (64, 64))
    write_dots(folder / 'pose.onnx')
    return folder


@pytest.fixture
def read(models: Path) -> Read:
    """Reads a file of this content, which lies beside the models."""

    def reads(content: Any) -> Setup:
        path = models / 'pipelines.yaml'
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return read_pipelines(path)

    return reads


@pytest.fixture
def faults(read: Read, models: Path) -> Callable[[Any], list[str]]:
    """What is wrong with a file of this content, a line each, without the file's name, which begins all of them."""

    def found(content: Any) -> list[str]:
        with pytest.raises(ConfigError) as error:
            read(content)
        lines = str(error.value).splitlines()
        begin = f'pipelines {models / "pipelines.yaml"}: '
        assert all(line.startswith(begin) for line in lines), lines
        return [line.removeprefix(begin) for line in lines]

    return found
