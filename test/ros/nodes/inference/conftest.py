# SPDX-License-Identifier: Apache-2.0
"""Several cameras in front of one inference node, over real DDS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support.onnx_models import write_model
from support.ros.node_graph import Graph
from support.ros.streams.cameras import STREAMS, Cameras

from isaac_inference.models import ModelCard, read_card


@pytest.fixture(scope='session')
def open_batch(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """A tiny detector that takes any number of images at once."""
    folder = tmp_path_factory.mktemp('open')
    return read_card(write_model(folder / 'any.onnx', 'yolov8', input_wh=(64, 64), dynamic='batch'))


@pytest.fixture(scope='session')
def one_image(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """The same for one image at once."""
    return read_card(write_model(tmp_path_factory.mktemp('one') / 'one.onnx', 'yolov8', input_wh=(64, 64)))


@pytest.fixture
def cameras(empty_graph: Graph, open_batch: ModelCard) -> Iterator[Callable[..., Cameras]]:
    """Makes the node and its cameras."""
    yield lambda streams=STREAMS, card=open_batch, **parameters: Cameras(empty_graph, card, streams, **parameters)
