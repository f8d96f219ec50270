# SPDX-License-Identifier: Apache-2.0
"""Graphs of real nodes for the tests of nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.onnx_models import ultralytics_metadata, write_model
from support.ros.node_graph import Graph, empty_container

LABELS = ['cup', 'can', 'box']


@pytest.fixture(scope='session')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny detector: cup, can and box on white, nothing on black."""
    metadata = ultralytics_metadata(LABELS, imgsz=(64, 64))
    return write_model(tmp_path_factory.mktemp('model') / 'tiny.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata)


@pytest.fixture(scope='session')
def make_graph(ros: None) -> Callable[..., contextlib.AbstractContextManager[Graph]]:
    """Makes empty graphs; each ends with its `with` block."""
    return empty_container


@pytest.fixture
def empty_graph(make_graph: Callable[..., contextlib.AbstractContextManager[Graph]]) -> Iterator[Graph]:
    with make_graph() as graph:
        yield graph


@pytest.fixture(scope='module')
def graph(make_graph: Callable[..., contextlib.AbstractContextManager[Graph]], model: Path) -> Iterator[Graph]:
    """The whole pipeline, running; one a test module."""
    with make_graph() as made:
        made.load_all(model)
        yield made
