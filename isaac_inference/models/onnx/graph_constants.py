# SPDX-License-Identifier: Apache-2.0
"""The constants of an ONNX graph, whether they are initializers or the outputs of Constant nodes."""

from __future__ import annotations

from typing import Any


def constant_tensors(graph: Any) -> dict[str, Any]:
    """Each constant of an `onnx.GraphProto` by the name of its value, as an `onnx.TensorProto`."""
    tensors = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type == 'Constant':
            tensors.update((node.output[0], item.t) for item in node.attribute if item.name == 'value')
    return tensors
