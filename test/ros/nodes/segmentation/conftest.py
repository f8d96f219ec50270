# SPDX-License-Identifier: Apache-2.0
"""A running graph of a segmentation model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from support.onnx_models.color_classes import write_color_classes

from isaac_inference.models import ModelCard


@pytest.fixture(scope='session')
def color_model(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """Tells four colours apart, in 64x64 px."""
    return write_color_classes(tmp_path_factory.mktemp('segmentation') / 'colors.onnx')


@pytest.fixture(scope='module')
def segmenting(make_graph: Callable[..., AbstractContextManager[Any]], color_model: ModelCard) -> Iterator[Any]:
    """Preprocess, inference and segmentation, running; one a test module."""
    with make_graph() as graph:
        for plugin, name in (
            ('Preprocess', 'preprocess'),
            ('Inference', 'inference'),
            ('Segmentation', 'segmentation'),
        ):
            graph.load(f'{plugin}Node', name, model=str(color_model.path))
        graph.probe.wait_active('preprocess', 'inference', 'segmentation')
        yield graph
