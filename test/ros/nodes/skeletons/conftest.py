# SPDX-License-Identifier: Apache-2.0
"""What the tests of the skeletons node stand on: a model whose card says a skeleton, and a graph around the node."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from support.onnx_models import ultralytics_metadata, write_model
from support.people.skeleton_bench import SkeletonBench


@pytest.fixture(scope='module')
def people_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of people with COCO's 17 keypoints."""
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64), task='pose', kpt_shape=[17, 3])
    path = tmp_path_factory.mktemp('people') / 'people.onnx'
    return write_model(path, 'yolov8_pose', classes=1, keypoint_shape=(17, 3), input_wh=(64, 64), metadata=metadata)


@pytest.fixture(scope='module')
def around(make_graph: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    with make_graph() as graph:
        yield graph


@pytest.fixture
def bench(around: Any, people_model: Path) -> Iterator[SkeletonBench]:
    with contextlib.closing(SkeletonBench(around, str(people_model))) as made:
        yield made
