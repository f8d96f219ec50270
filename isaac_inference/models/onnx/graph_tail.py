# SPDX-License-Identifier: Apache-2.0
"""What the last steps of an ONNX graph do: move values around, or compute with them.

A raw grid output is put together from convolutions by concatenating and transposing. Where the exporter has
decoded the boxes already, sums, products or exponentials come after the last convolution.
"""

from __future__ import annotations

from typing import Any

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


def arithmetic_outputs(graph: Any) -> frozenset[str]:
    """Names of the outputs of an `onnx.GraphProto` that are computed by arithmetic, with only moving nodes after it."""
    producer = {name: node for node in graph.node for name in node.output}
    return frozenset(item.name for item in graph.output if _is_computed(item.name, producer))


def _is_computed(output: str, producer: dict[str, Any]) -> bool:
    """Walk back from one output through all moving nodes, until the first that compute."""
    todo, seen = [output], set()
    while todo:
        name = todo.pop()
        node = producer.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type in _ARITHMETIC:
            return True
        if node.op_type in _MOVING:
            which = _DATA_INPUTS.get(node.op_type, (0,))
            todo.extend(node.input if which is None else [node.input[index] for index in which])
    return False
