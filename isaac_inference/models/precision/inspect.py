# SPDX-License-Identifier: Apache-2.0
"""The precision of a model file, from its graph and from its record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.models.precision.graph import load_graph
from isaac_inference.models.precision.layers import weighted_layers
from isaac_inference.models.precision.qdq import quantized_layers
from isaac_inference.models.precision.record import PrecisionRecord, read_record
from isaac_inference.models.precision.sparsity import sparse_layers


@dataclass(frozen=True)
class FilePrecision:
    """The precision of one file.

    Attributes:
        kind: 'fp32', 'fp16' (weights mostly float16, no Q/DQ), or 'int8' (has Q/DQ, from a conversion or training).
        layers: how many layers have weights.
        half_layers: those with float16 weights.
        int8_layers: those on int8 values.
        sparse_layers: those with 2:4 sparse weights.
        has_half: a tensor of the file is float16, so that a builder needs float16 kernels.
        record: what `isaac-inference convert` wrote; None for other files.
        size: bytes, external weights included.
    """

    kind: str
    layers: int
    half_layers: int
    int8_layers: int
    sparse_layers: int
    has_half: bool
    record: PrecisionRecord | None
    size: int

    def describe(self) -> str:
        """One line for people."""
        parts = [f'{self.kind}: {self.layers} layers with weights']
        for count, what in (
            (self.int8_layers, 'int8'),
            (self.half_layers, 'float16'),
            (self.sparse_layers, '2:4 sparse'),
        ):
            if count:
                parts.append(f'{count} {what}')
        return ', '.join(parts)


def inspect_precision(path: str | Path) -> FilePrecision:
    """Look at a file's graph and record.

    Raises:
        ModelError: no usable ONNX file.
    """
    from onnx import TensorProto

    file = read_model_file(path)
    model = load_graph(path)
    graph = model.graph
    kinds = {item.name: item.data_type for item in graph.initializer}
    layers = weighted_layers(graph)
    half = sum(kinds[layer.weight] == TensorProto.FLOAT16 for layer in layers)
    has_qdq = any(node.op_type == 'DequantizeLinear' for node in graph.node)
    casts = any(
        attribute.name == 'to' and attribute.i == TensorProto.FLOAT16
        for node in graph.node
        if node.op_type == 'Cast'
        for attribute in node.attribute
    )
    is_half = 2 * half > len(layers) or (not layers and TensorProto.FLOAT16 in kinds.values())
    return FilePrecision(
        'int8' if has_qdq else 'fp16' if is_half else 'fp32',
        len(layers),
        half,
        len(set(quantized_layers(graph)) & {layer.node for layer in layers}),
        len(sparse_layers(graph)),
        casts or TensorProto.FLOAT16 in kinds.values(),
        read_record(file.metadata, file.path.name),
        sum(item.stat().st_size for item in (file.path, *file.external_files)),
    )
