# SPDX-License-Identifier: Apache-2.0
"""Cards of networks with masks, known to the nodes of this process."""

from __future__ import annotations

import pytest
from support.cards import known_to_nodes
from support.onnx_models import masks as model

from isaac_inference.models import ModelCard


@pytest.fixture(scope='module', params=['yolov8', 'crops'])
def mask_card(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """Red, green and blue, by colour and box."""
    return known_to_nodes(model.write_mask_model(tmp_path_factory.mktemp('model') / 'masks.onnx', request.param))
