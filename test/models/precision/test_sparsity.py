# SPDX-License-Identifier: Apache-2.0
"""2:4 sparsity: which values go, which layers stay dense."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.precision_nets import conv_net, feeds, model, run, save, weight

from isaac_inference.errors import ConfigError
from isaac_inference.models.precision import inspect_precision, prune_2_4, to_float16
from isaac_inference.models.precision.sparsity import is_2_4, prune


def test_the_two_larger_of_four_stay():
    row = np.array([[1.0, -4.0, 3.0, 2.0, 5.0, 5.0, 5.0, 0.0]], np.float32)
    assert prune(row, 1).tolist() == [[0.0, -4.0, 3.0, 0.0, 5.0, 5.0, 0.0, 0.0]]
    assert is_2_4(prune(row, 1), 1) and not is_2_4(row, 1) and not is_2_4(np.zeros((1, 6)), 1)


@pytest.mark.parametrize('axis', [0, 1])
def test_the_pattern_runs_along_the_given_axis(axis):
    values = np.random.default_rng(0).normal(size=(8, 12, 3, 3)).astype(np.float32)
    sparse = prune(values, axis)
    rows = np.moveaxis(sparse, axis, -1).reshape(-1, 4)
    assert (np.count_nonzero(rows, axis=1) == 2).all()
    assert np.array_equal(sparse[sparse != 0], values[sparse != 0])


def test_first_last_and_depthwise_layers_stay_dense(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    report = prune_2_4(source, tmp_path / 'b.onnx')
    assert [layer.node for layer in report.layers] == ['pointwise']
    assert report.left == ('first', 'depthwise', 'last')
    assert 0.1 < report.layers[0].error < 0.6
    assert report.sparse_share == pytest.approx(128 / (576 + 72 + 128 + 64))
    found = inspect_precision(tmp_path / 'b.onnx')
    assert (found.kind, found.sparse_layers, found.record.sparsity) == ('fp32', 1, '2:4')
    assert np.isfinite(run(tmp_path / 'b.onnx', feeds(1)[0])[0]).all()


def test_matrices_are_sparse_along_their_inputs(tmp_path):
    nodes = [
        helper.make_node('Flatten', ['x'], ['f'], 'flat'),
        helper.make_node('MatMul', ['f', 'm0'], ['a'], 'first'),
        helper.make_node('Gemm', ['a', 'm1'], ['b'], 'plain'),
        helper.make_node('Gemm', ['b', 'm2'], ['c'], 'turned', transB=1),
        helper.make_node('MatMul', ['c', 'm3'], ['y'], 'last'),
    ]
    weights = [weight('m0', 288, 8), weight('m1', 8, 12), weight('m2', 16, 12), weight('m3', 16, 4)]
    source = save(model(nodes, weights), tmp_path / 'a.onnx')
    report = prune_2_4(source, tmp_path / 'b.onnx')
    assert [layer.node for layer in report.layers] == ['plain', 'turned']
    made = {item.name: numpy_helper.to_array(item) for item in onnx.load(tmp_path / 'b.onnx').graph.initializer}
    assert is_2_4(made['m1'], 0) and is_2_4(made['m2'], 1)


def test_sparsity_outlives_a_conversion_and_names_the_first_source(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    prune_2_4(source, tmp_path / 'b.onnx')
    to_float16(tmp_path / 'b.onnx', tmp_path / 'c.onnx')
    found = inspect_precision(tmp_path / 'c.onnx')
    assert (found.kind, found.sparse_layers, found.record.sparsity) == ('fp16', 1, '2:4')
    assert found.record.source_sha256 == inspect_precision(tmp_path / 'b.onnx').record.source_sha256
    with pytest.raises(ConfigError, match='which is not modified'):
        prune_2_4(source, source)
