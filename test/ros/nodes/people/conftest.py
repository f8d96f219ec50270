# SPDX-License-Identifier: Apache-2.0
"""A tiny top-down model, and the second half of the chain on it: image and detections in, keypoints out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from support.keypoints.dots import write_dots
from support.keypoints.people import People

from isaac_inference.models import ModelCard


@pytest.fixture(scope='session')
def dots(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """Finds a red, a green and a blue dot; any number of images at once."""
    return write_dots(tmp_path_factory.mktemp('dots') / 'dots.onnx')


@pytest.fixture(scope='module')
def people(make_graph: Callable[..., AbstractContextManager[Any]], dots: ModelCard) -> Iterator[People]:
    with make_graph() as graph:
        yield People(graph, dots)


@pytest.fixture(scope='session')
def one_at_a_time(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """The same, for one image at once."""
    return write_dots(tmp_path_factory.mktemp('dots') / 'one.onnx', batch=1)
