# SPDX-License-Identifier: Apache-2.0
"""What an ONNX graph does behind its last weights: move values around, squash them, or compute boxes from them.

A raw grid output is put together from convolutions by concatenating and transposing. Where the exporter has decoded
the boxes, sums, products or exponentials follow the last convolution; where it has made scores, a sigmoid or a softmax
does; where it has picked boxes, TopK or NonMaxSuppression.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from isaac_inference.models.onnx.graph_constants import constant_tensors

_MOVING = frozenset(
    {
        'Cast',
        'Concat',
        'DequantizeLinear',
        'Expand',
        'Flatten',
        'Gather',
        'Identity',
        'QuantizeLinear',
        'Reshape',
        'ScatterND',
        'Slice',
        'Split',
        'Squeeze',
        'Tile',
        'Transpose',
        'Unsqueeze',
    }
)
_DATA_INPUTS = {'Concat': None, 'ScatterND': (0, 2)}  # None: all; every other moving node: its first
_ARITHMETIC = frozenset({'Add', 'Div', 'Exp', 'Mul', 'Pow', 'Sub'})
_WEIGHTED = frozenset({'Conv', 'ConvInteger', 'ConvTranspose', 'Gemm', 'MatMul', 'MatMulInteger', 'QLinearConv'})
_PICKING = frozenset({'ArgMax', 'BatchedNMS_TRT', 'EfficientNMS_TRT', 'NonMaxSuppression', 'TopK'})
_MOST_BINS = 33  # of a distribution that is turned into a distance by a product with 0, 1, 2, ...
_MOST_NODES = 4000


@dataclass(frozen=True)
class Tail:
    """How one output is computed behind the network's last weights.

    Attributes:
        ops: types of the nodes between the last weights and the output.
        widths: channels of these last convolutions or matrix products, rising, each once: a YOLOX head ends in 1, 4
            and as many as there are classes.
        last: types of the last nodes that do more than move values, at most one for each part that is concatenated.
        is_constant: it does not depend on any input, as anchors do not.
    """

    ops: frozenset[str] = frozenset()
    widths: tuple[int, ...] = ()
    last: frozenset[str] = frozenset()
    is_constant: bool = False

    @property
    def is_known(self) -> bool:
        """False for a graph in which no weights lead to the output, so that nothing can be said of it."""
        return bool(self.widths)

    @property
    def is_computed(self) -> bool:
        """Sums, products or exponentials come last, as where boxes are decoded in the graph."""
        return bool(self.last & _ARITHMETIC)

    @property
    def picks(self) -> bool:
        """The graph picks boxes or classes: by TopK, ArgMax or NMS."""
        return bool(self.ops & _PICKING)


def output_tails(graph: Any) -> dict[str, Tail]:
    """The tail of each output of an `onnx.GraphProto`, by its name."""
    producer = {name: node for node in graph.node for name in node.output}
    tensors = constant_tensors(graph)
    weights = {name: _Weight(tuple(item.dims), _counts_up(item)) for name, item in tensors.items()}
    seen = _behind_inputs(graph, set(tensors))
    return {item.name: _tail(item.name, producer, weights, item.name not in seen) for item in graph.output}


def _behind_inputs(graph: Any, constants: set[str]) -> set[str]:
    """The values that depend on an input; the nodes of a graph stand in the order in which they are computed."""
    seen = {item.name for item in graph.input} - constants
    for node in graph.node:
        inner = any(item.HasField('g') for item in node.attribute)  # a branch or loop body may use anything
        if inner or any(name in seen for name in node.input):
            seen.update(node.output)
    return seen


class _Weight(NamedTuple):
    """The shape of a constant, and whether it is 0, 1, 2, ...: the product with it is the mean of a distribution."""

    shape: tuple[int, ...]
    counts_up: bool


def _counts_up(tensor: Any) -> bool:
    """True for 0, 1, 2, ... to at most `_MOST_BINS`."""
    from onnx import TensorProto, numpy_helper

    count = math.prod(tensor.dims)
    if not 1 < count <= _MOST_BINS or tensor.data_location == TensorProto.EXTERNAL:
        return False
    values = numpy_helper.to_array(tensor).reshape(-1)
    return bool(values.dtype.kind in 'fiu' and np.allclose(values.astype(np.float64), np.arange(count), atol=0.01))


def _tail(output: str, producer: Mapping[str, Any], weights: Mapping[str, _Weight], is_constant: bool) -> Tail:
    """Walk back from an output to the last weights on each way."""
    ops: set[str] = set()
    widths: set[int] = set()

    def visit(node: Any) -> list[str]:
        weight = _weight(node, producer, weights) if node.op_type in _WEIGHTED else None
        width = None if weight is None else _width(node, weight)
        if width is not None:
            widths.add(width)
            return []
        ops.add(node.op_type)
        return list(node.input)

    _walk(output, producer, visit)
    last: set[str] = set()

    def visit_last(node: Any) -> list[str]:
        if node.op_type in _MOVING:
            which = _DATA_INPUTS.get(node.op_type, (0,))
            return list(node.input) if which is None else [node.input[index] for index in which]
        last.add(node.op_type)
        return []

    _walk(output, producer, visit_last)
    return Tail(frozenset(ops), tuple(sorted(widths)), frozenset(last), is_constant)


def _walk(start: str, producer: Mapping[str, Any], visit: Callable[[Any], list[str]]) -> None:
    """Call `visit` once for each node behind a value; it returns the values to go on with."""
    todo = [start]
    seen: set[int] = set()
    while todo and len(seen) < _MOST_NODES:
        node = producer.get(todo.pop())
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        todo.extend(name for name in visit(node) if name)


def _weight(node: Any, producer: Mapping[str, Any], weights: Mapping[str, _Weight]) -> _Weight | None:
    """A node's weights, also where they are dequantised or transposed first; None if it has none."""
    index = 3 if node.op_type == 'QLinearConv' else 1
    names = [node.input[index]] if index < len(node.input) else []
    if node.op_type == 'MatMul':  # the weights of a layer are usually the second factor
        names.append(node.input[0])
    for name in names:
        for _ in range(4):
            if name in weights:
                return weights[name]
            source = producer.get(name)
            if source is None or source.op_type not in ('DequantizeLinear', 'Transpose', 'Cast', 'Identity'):
                break
            name = source.input[0]
    return None


def _width(node: Any, weight: _Weight) -> int | None:
    """Channels that a layer with these weights makes; None for what only sums up a distribution."""
    shape = weight.shape
    if weight.counts_up:
        return None
    if node.op_type in ('Conv', 'ConvInteger', 'QLinearConv'):
        return shape[0] if shape else None
    if node.op_type == 'ConvTranspose':
        return shape[1] if len(shape) > 1 else None
    if node.op_type == 'Gemm':
        transposed = any(item.name == 'transB' and item.i for item in node.attribute)
        return shape[0 if transposed else -1] if shape else None
    is_layer = len(shape) > 1 and shape[-2] > 4  # not a product that turns centres into corners
    return shape[-1] if is_layer else None
