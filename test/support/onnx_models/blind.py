# SPDX-License-Identifier: Apache-2.0
"""A detector that does not look at its image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import numpy_helper

from support.onnx_models.graph import WH
from support.onnx_models.write import build_model, save_model, ultralytics_metadata


def constant_model(path: Path, labels: Sequence[str], input_wh: tuple[int, int] = WH) -> Path:
    """A `yolov8` model that takes every image for a white one."""
    metadata = ultralytics_metadata(labels, imgsz=input_wh[::-1])
    model = build_model('yolov8', classes=len(labels), input_wh=input_wh, metadata=metadata)
    lowest = next(node.input[1] for node in model.graph.node if node.op_type == 'Clip')
    for tensor in model.graph.initializer:
        if tensor.name == lowest:
            tensor.CopyFrom(numpy_helper.from_array(np.float32(1.0), lowest))
    return save_model(model, path)
