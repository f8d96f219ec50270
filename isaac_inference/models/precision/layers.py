# SPDX-License-Identifier: Apache-2.0
"""Which nodes of a graph carry weights, which are its first and last, and what follows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WEIGHTED = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')
_CHANNEL_AXIS = {'Conv': 0, 'ConvTranspose': 1, 'MatMul': 1}  # Gemm: by transB


@dataclass(frozen=True)
class Layer:
    """One node whose second input is a weight of the file.

    Attributes:
        node: its name.
        op: its operator.
        weight: the initializer's name.
        shape: the weight's.
        output_axis: the axis of the weight that is the layer's output channels.
        groups: of a convolution; 1 for others.
        is_first: nothing with weights comes before it.
        is_last: nothing with weights comes after it.
    """

    node: str
    op: str
    weight: str
    shape: tuple[int, ...]
    output_axis: int
    groups: int
    is_first: bool
    is_last: bool

    @property
    def is_depthwise(self) -> bool:
        """A convolution with only one or a few input channels per output channel, one group each."""
        return self.groups > 1 and self.op == 'Conv' and self.shape[1] == 1


def weighted_layers(graph: Any) -> tuple[Layer, ...]:
    """The layers with weights in the order of the graph. A weight may come through Q/DQ."""
    weights = {item.name: tuple(item.dims) for item in graph.initializer}
    origin = _through_quantization(graph)
    found = []
    for node in graph.node:
        if node.op_type in WEIGHTED and len(node.input) > 1:
            weight = origin.get(node.input[1], node.input[1])
            if len(weights.get(weight, ())) > 1:
                found.append((node, weight))
    names = {node.name for node, _ in found}
    before, after = _reached_from(graph, names), _leads_to(graph, names)
    return tuple(
        Layer(
            node.name,
            node.op_type,
            weight,
            weights[weight],
            _output_axis(node, len(weights[weight])),
            _attribute(node, 'group', 1),
            node.name not in before,
            node.name not in after,
        )
        for node, weight in found
    )


def tail_nodes(graph: Any) -> frozenset[str]:
    """Names of the nodes after the last layers with weights, such as box decoding.

    They come after a layer with weights, and lead to none.
    """
    names = {layer.node for layer in weighted_layers(graph)}
    before, after = _reached_from(graph, names), _leads_to(graph, names)
    return frozenset(before - after - names)


def _reached_from(graph: Any, names: set[str]) -> set[str]:
    """Nodes that come after one of `names`."""
    reached: set[str] = set()
    tensors: set[str] = set()
    for node in graph.node:
        if tensors.intersection(node.input):
            reached.add(node.name)
        if node.name in names or node.name in reached:
            tensors.update(node.output)
    return reached


def _leads_to(graph: Any, names: set[str]) -> set[str]:
    """Nodes that come before one of `names`."""
    leading: set[str] = set()
    tensors: set[str] = set()
    for node in reversed(graph.node):
        if tensors.intersection(node.output):
            leading.add(node.name)
        if node.name in names or node.name in leading:
            tensors.update(node.input)
    return leading


def _through_quantization(graph: Any) -> dict[str, str]:
    """Output of a Q/DQ node -> the tensor that went into the first of them."""
    origin: dict[str, str] = {}
    for node in graph.node:
        if node.op_type in ('QuantizeLinear', 'DequantizeLinear'):
            origin[node.output[0]] = origin.get(node.input[0], node.input[0])
    return origin


def _output_axis(node: Any, rank: int) -> int:
    if node.op_type == 'Gemm':
        return 0 if _attribute(node, 'transB', 0) else 1
    return rank - 1 if node.op_type == 'MatMul' else _CHANNEL_AXIS[node.op_type]


def _attribute(node: Any, name: str, default: int) -> int:
    return next((int(item.i) for item in node.attribute if item.name == name), default)
