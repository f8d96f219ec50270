# SPDX-License-Identifier: Apache-2.0
"""Models whose outputs do not depend on their image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

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


def fixed_model(path: Path, predictions: np.ndarray, input_wh: tuple[int, int] = (640, 640)) -> Path:
    """A model with one float32 output, `output`, that is always `predictions`."""
    nodes = [
        helper.make_node('ReduceMean', ['images'], ['mean'], keepdims=0),
        helper.make_node('Mul', ['mean', 'zero'], ['nothing']),
        helper.make_node('Add', ['predictions', 'nothing'], ['output']),
    ]
    constants = [
        numpy_helper.from_array(np.float32(0), 'zero'),
        numpy_helper.from_array(predictions.astype(np.float32), 'predictions'),
    ]
    image = helper.make_tensor_value_info('images', TensorProto.FLOAT, [1, 3, *input_wh[::-1]])
    output = helper.make_tensor_value_info('output', TensorProto.FLOAT, list(predictions.shape))
    graph = helper.make_graph(nodes, 'fixed', [image], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.save(model, str(path))
    return path
