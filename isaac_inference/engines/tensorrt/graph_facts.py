# SPDX-License-Identifier: Apache-2.0
"""What an ONNX graph says about its number types and operators, as far as a builder has to be told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isaac_inference.models.onnx.external_weights import read_proto

_QUANTIZE = frozenset({'QuantizeLinear', 'DequantizeLinear'})
_NO_ARITHMETIC = _QUANTIZE | {'Cast', 'CastLike', 'Constant', 'ConstantOfShape', 'Shape', 'Size', 'Identity'}
_SELECTS = frozenset({'TopK', 'NonMaxSuppression', 'EfficientNMS_TRT', 'BatchedNMS_TRT', 'BatchedNMSDynamic_TRT'})


@dataclass(frozen=True)
class GraphFacts:
    """Facts about one graph.

    Attributes:
        float16: it holds float16 weights or casts to float16.
        quantized: it holds QuantizeLinear or DequantizeLinear.
        float32_nodes: names of the nodes that compute in float32, of a graph that also holds float16.
        selects: its outputs are picked by their score (TopK, NMS), so that their order is open where scores tie.
        operators: operator of each node of the main graph, in its order.
        names: name of each node of the main graph, in its order.
    """

    float16: bool = False
    quantized: bool = False
    float32_nodes: frozenset[str] = frozenset()
    selects: bool = False
    operators: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def graph_facts(path: Path) -> GraphFacts:
    """Read the facts of an ONNX file; its external weights are not read. Raises ModelError for an unreadable file."""
    import onnx

    model = read_proto(path)
    nodes = list(_nodes(model.graph))
    kinds = {node.op_type for node in nodes}
    half = onnx.TensorProto.FLOAT16
    float16 = any(item.type.tensor_type.elem_type == half for item in (*model.graph.input, *model.graph.output)) or any(
        tensor.data_type == half for tensor in _tensors(model.graph, nodes)
    )
    float16 = float16 or any(
        node.op_type == 'Cast' and attribute.name == 'to' and attribute.i == half
        for node in nodes
        for attribute in node.attribute
    )
    return GraphFacts(
        float16=float16,
        quantized=bool(kinds & _QUANTIZE),
        float32_nodes=_float32_nodes(model) if float16 else frozenset(),
        selects=bool(kinds & _SELECTS),
        operators=tuple(node.op_type for node in model.graph.node),
        names=tuple(node.name for node in model.graph.node),
    )


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes, those of subgraphs (If, Loop) too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField('g'):
                yield from _nodes(attribute.g)


def _tensors(graph: Any, nodes: list[Any]) -> Iterator[Any]:
    """Initializers of the main graph, and constants of all nodes."""
    yield from graph.initializer
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField('t'):
                yield attribute.t


def _float32_nodes(model: Any) -> frozenset[str]:
    """Names of the main graph's nodes whose results are all float32, but for those that compute nothing."""
    import onnx

    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, ValueError):  # a hint only: without it more runs in float16
        return frozenset()
    types = {item.name: item.type.tensor_type.elem_type for item in (*graph.value_info, *graph.output)}
    float32 = onnx.TensorProto.FLOAT
    return frozenset(
        node.name
        for node in graph.node
        if node.name and node.op_type not in _NO_ARITHMETIC and all(types.get(name) == float32 for name in node.output)
    )
