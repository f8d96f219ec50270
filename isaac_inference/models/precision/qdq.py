# SPDX-License-Identifier: Apache-2.0
"""Puts QuantizeLinear and DequantizeLinear into a graph, and takes them out of single layers again.

Written so that TensorRT 8.6 to 11 build it as explicit quantisation: int8 with zero points of 0, a pair for each input
of each layer, weights in float32 behind a pair of their own with a scale for each output channel, bias in float32, and
no pair after a layer, so that what follows it can be fused.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.models.precision.graph import drop_unused, sort_nodes

QDQ_OPS = ('QuantizeLinear', 'DequantizeLinear')
QUANTIZED_OPS = ('Conv', 'Gemm', 'MatMul')
"""Operators that int8 makes faster. Others would only lose accuracy, or follow implicitly, as MaxPool does."""
MIN_OPSET = 13  # the first with per-channel scales


def is_quantized(graph: Any) -> bool:
    """True for a graph that has Q/DQ, such as one that was trained with it."""
    return any(node.op_type in QDQ_OPS for node in graph.node)


def insert_qdq(model: Any, nodes: Collection[str], ranges: Mapping[str, float]) -> Any:
    """A copy of a float32 model in which each layer of `nodes` computes on int8 values.

    Args:
        model: an `onnx.ModelProto` of opset 13 or later.
        nodes: names of nodes whose second input is a weight.
        ranges: first input of each of them -> the magnitude that becomes 127.
    """
    copy = type(model)()
    copy.CopyFrom(model)
    if not nodes:
        return copy
    try:
        from onnxruntime.quantization import CalibrationMethod, QuantType
        from onnxruntime.quantization.calibrate import TensorData, TensorsData
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    except ImportError as error:
        raise ConfigError(
            f'int8 needs onnxruntime.quantization, which cannot be imported ({error}); `pip install onnxruntime`'
        ) from error
    least = float(np.finfo(np.float32).tiny) * 127  # a tensor that is always 0 needs a scale too
    data = {
        name: TensorData(lowest=np.float32(-max(value, least)), highest=np.float32(max(value, least)))
        for name, value in ranges.items()
    }
    options = {
        'ActivationSymmetric': True,
        'WeightSymmetric': True,
        'AddQDQPairToWeight': True,
        'DedicatedQDQPair': True,
        'QuantizeBias': False,
        'OpTypesToExcludeOutputQuantization': list(QUANTIZED_OPS),
        'QDQOpTypePerChannelSupportToAxis': {'MatMul': 1},
    }
    producer = (copy.producer_name, copy.producer_version)
    with _without_advice():
        quantizer = QDQQuantizer(
            copy,
            True,  # a scale for each output channel of a weight
            False,  # all 8 bits
            QuantType.QInt8,
            QuantType.QInt8,
            TensorsData(CalibrationMethod.MinMax, data),
            sorted(nodes),
            [],
            list(QUANTIZED_OPS),
            options,
        )
        made = quantizer.quantize_model()
    made = getattr(made, 'model', made)
    made.producer_name, made.producer_version = producer
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    sort_nodes(made.graph)
    # the library gives the dequantised tensor to all its other readers too
    _restore_inputs(made.graph, {node.name for node in made.graph.node if node.op_type not in QDQ_OPS} - set(nodes))
    return made


def float_layers(model: Any, nodes: Collection[str]) -> Any:
    """A copy of a Q/DQ model in which the layers of `nodes` read the values from before their Q/DQ."""
    copy = type(model)()
    copy.CopyFrom(model)
    _restore_inputs(copy.graph, nodes)
    return copy


def quantized_layers(graph: Any) -> tuple[str, ...]:
    """Names of the nodes that read a dequantised value, in the order of the graph."""
    made = {node.output[0] for node in graph.node if node.op_type == 'DequantizeLinear'}
    return tuple(node.name for node in graph.node if node.op_type not in QDQ_OPS and made.intersection(node.input))


def _restore_inputs(graph: Any, nodes: Collection[str]) -> None:
    """Let `nodes` read float tensors, and drop Q/DQ that are no longer needed."""
    source = _origin_of(graph)
    outputs = {item.name for item in graph.output}
    for node in graph.node:
        if node.name in nodes:
            for place, name in enumerate(node.input):
                if name in source and name not in outputs:
                    node.input[place] = source[name]
    drop_unused(graph)


def _origin_of(graph: Any) -> dict[str, str]:
    """Output of a DequantizeLinear -> the float tensor from before its QuantizeLinear."""
    quantized = {node.output[0]: node.input[0] for node in graph.node if node.op_type == 'QuantizeLinear'}
    return {
        node.output[0]: quantized[node.input[0]]
        for node in graph.node
        if node.op_type == 'DequantizeLinear' and node.input[0] in quantized
    }


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Silence the library's hint to optimise the model first, which would hide the user's own layer names."""
    root = logging.getLogger()

    def is_news(record: logging.LogRecord) -> bool:
        return 'pre-processing' not in record.getMessage()

    root.addFilter(is_news)
    try:
        yield
    finally:
        root.removeFilter(is_news)
