# SPDX-License-Identifier: Apache-2.0
"""Small networks whose layers are known, and feeds for them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

METADATA = {'isaac_inference.card': 'labels: [cup]', 'author': 'somebody'}


def weight(name, *shape, seed=0, scale=0.3):
    values = np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def model(nodes, weights, outputs=('y',), opset=13, batch=1, inputs=(('x', (8, 6, 6)),), ir=8):
    graph = helper.make_graph(
        nodes,
        'net',
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape]) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        weights,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=ir)
    helper.set_model_props(made, METADATA)
    return onnx.shape_inference.infer_shapes(made)


def conv_net(opset=13, batch=1):
    """first conv -> relu -> depthwise -> pointwise -> relu -> last conv -> times 100."""
    nodes = [
        helper.make_node('Conv', ['x', 'w0', 'b0'], ['c0'], 'first', pads=[1, 1, 1, 1]),
        helper.make_node('Relu', ['c0'], ['r0']),
        helper.make_node('Conv', ['r0', 'w1'], ['c1'], 'depthwise', pads=[1, 1, 1, 1], group=8),
        helper.make_node('Conv', ['c1', 'w2'], ['c2'], 'pointwise'),
        helper.make_node('Relu', ['c2'], ['r2']),
        helper.make_node('Conv', ['r2', 'w3'], ['c3'], 'last'),
        helper.make_node('Mul', ['c3', 'hundred'], ['y'], 'decode'),
    ]
    weights = [
        weight('w0', 8, 8, 3, 3, seed=1),
        weight('b0', 8, seed=2),
        weight('w1', 8, 1, 3, 3, seed=3),
        weight('w2', 16, 8, 1, 1, seed=4),
        weight('w3', 4, 16, 1, 1, seed=5),
        numpy_helper.from_array(np.float32(100), 'hundred'),
    ]
    return model(nodes, weights, opset=opset, batch=batch)


def save(made, path):
    onnx.save(made, str(path))
    return path


def feeds(count=4, shape=(1, 8, 6, 6), seed=9):
    random = np.random.default_rng(seed)
    return [{'x': random.normal(0, 1, shape).astype(np.float32)} for _ in range(count)]


def run(path_or_model, feed):
    import onnxruntime as ort

    given = str(path_or_model) if not hasattr(path_or_model, 'graph') else path_or_model.SerializeToString()
    session = ort.InferenceSession(given, providers=['CPUExecutionProvider'])
    return session.run(None, feed)
