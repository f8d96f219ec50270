# SPDX-License-Identifier: Apache-2.0
"""What a graph says of itself: how it begins with its image, and how it ends."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from isaac_inference.models.onnx.graph_head import image_entry
from isaac_inference.models.onnx.graph_tail import output_tails

MEAN, STD = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])


def graph(nodes, constants, outputs=('out',)):
    """A graph that takes `x`."""
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    image = helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3, 32, 32])
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    return helper.make_graph(nodes, 'g', [image], infos, tensors)


def node(kind, *inputs, to='out', **attributes):
    return helper.make_node(kind, list(inputs), [to], **attributes)


def conv(image, to='out', weights='w', **attributes):
    return node('Conv', image, weights, to=to, **attributes)


WEIGHTS = np.full((4, 3, 3, 3), 0.1, np.float32)


def channels(values):
    return np.float32(values).reshape(1, 3, 1, 1)


@pytest.mark.parametrize(
    'nodes, constants, unit, swaps',
    [
        ([conv('x')], {}, None, False),
        ([node('Div', 'x', 'k', to='a'), conv('a')], {'k': np.float32(255)}, 1.0, False),
        ([node('Mul', 'x', 'k', to='a'), conv('a')], {'k': np.float32(1 / 255)}, 1.0, False),
        (
            [node('Sub', 'x', 'm', to='a'), node('Div', 'a', 's', to='b'), conv('b')],
            {'m': channels(MEAN), 's': channels(STD)},
            1.0,
            False,
        ),
        (
            [node('Sub', 'x', 'm', to='a'), node('Div', 'a', 's', to='b'), conv('b')],
            {'m': channels(MEAN / 255), 's': channels(STD / 255)},
            1 / 255,
            False,
        ),
        (
            [node('Mul', 'x', 's', to='a'), node('Add', 'a', 'm', to='b'), conv('b')],  # undoes a normalisation
            {'s': channels(STD / 255), 'm': channels(MEAN / 255)},
            None,
            False,
        ),
        (
            [node('Gather', 'x', 'i', to='a', axis=1), node('Div', 'a', 'k', to='b'), conv('b')],
            {'i': np.int64([2, 1, 0]), 'k': np.float32(255)},
            1.0,
            True,
        ),
        (
            [node('Transpose', 'x', to='a', perm=[0, 2, 3, 1]), node('Sub', 'a', 'k', to='c'), conv('c')],
            {'k': np.float32([127.5, 127.5, 127.5])},  # still as large as bytes
            1 / 255,
            False,
        ),
    ],
)
def test_a_graph_that_normalises_itself(nodes, constants, unit, swaps):
    entry = image_entry(graph(nodes, {'w': WEIGHTS, **constants}), 'x')
    assert entry.unit == (pytest.approx(unit) if unit else None) and entry.swaps_channels is swaps


@pytest.mark.parametrize('gain, takes_bytes', [(0.003, True), (0.1, None), (1.0, False)])
def test_the_size_of_the_first_weights_tells_bytes_from_fractions(gain, takes_bytes):
    weights = np.random.default_rng(1).normal(0, gain, (16, 3, 3, 3)).astype(np.float32)
    entry = image_entry(graph([conv('x')], {'w': weights}), 'x')
    assert entry.takes_bytes is takes_bytes
    scaled = image_entry(graph([node('Div', 'x', 'k', to='a'), conv('a')], {'w': weights, 'k': np.float32(255)}), 'x')
    assert scaled.response == pytest.approx(entry.response / 255)


def test_weights_behind_a_focus_are_added_up():
    slices = [node('Slice', 'x', 'b', 'e', to=f's{index}') for index in range(4)]
    nodes = [*slices, node('Concat', *(f's{index}' for index in range(4)), to='f', axis=1), conv('f')]
    weights = np.random.default_rng(1).normal(0, 0.003, (8, 12, 3, 3)).astype(np.float32)
    constants = {'w': weights, 'b': np.int64([0, 0]), 'e': np.int64([16, 16])}
    assert image_entry(graph(nodes, constants), 'x').takes_bytes


def head(width, to, image='x'):
    """A last layer of `width` channels."""
    return conv(image, to=to, weights=f'w{width}')


def weights(*widths):
    return {f'w{width}': np.zeros((width, 3, 1, 1), np.float32) for width in widths}


def test_a_raw_grid_ends_in_three_layers_and_scores():
    nodes = [
        head(4, 'boxes'),
        head(1, 'raw_objects'),
        head(80, 'raw_classes'),
        node('Sigmoid', 'raw_objects', to='objects'),
        node('Sigmoid', 'raw_classes', to='classes'),
        node('Concat', 'boxes', 'objects', 'classes', to='cells', axis=1),
        node('Transpose', 'cells'),
    ]
    tail = output_tails(graph(nodes, weights(4, 1, 80)))['out']
    assert tail.widths == (1, 4, 80) and 'Sigmoid' in tail.ops and not tail.is_computed and not tail.picks


def test_decoding_in_the_graph_is_arithmetic_at_its_end():
    nodes = [
        head(85, 'raw'),
        node('Slice', 'raw', 'b', 'e', to='xy'),
        node('Mul', 'xy', 's', to='px'),
        node('Concat', 'px', 'raw', axis=1),
    ]
    constants = {**weights(85), 'b': np.int64([0]), 'e': np.int64([2]), 's': np.float32([8, 16])}
    tail = output_tails(graph(nodes, constants))['out']
    assert tail.is_computed and tail.widths == (85,)


def test_the_mean_of_a_distribution_is_no_layer():
    nodes = [
        head(64, 'bins'),
        node('Softmax', 'bins', to='p'),
        conv('p', to='mean', weights='count'),
        node('Abs', 'mean'),
    ]
    constants = {**weights(64), 'count': np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1)}
    assert output_tails(graph(nodes, constants))['out'].widths == (64,)
    constants['count'] = np.random.default_rng(1).normal(size=(1, 16, 1, 1)).astype(np.float32)
    assert output_tails(graph(nodes, constants))['out'].widths == (1,)  # objectness with few channels


def test_matrix_products_with_corners_are_no_layer():
    nodes = [head(84, 'rows'), node('MatMul', 'rows', 'turn')]
    assert output_tails(graph(nodes, {**weights(84), 'turn': np.eye(4, dtype=np.float32)}))['out'].widths == (84,)
    layer = np.zeros((256, 91), np.float32)
    assert output_tails(graph([node('MatMul', 'x', 'turn')], {'turn': layer}))['out'].widths == (91,)


def test_layers_with_quantised_weights_are_seen():
    nodes = [
        node('DequantizeLinear', 'q', 'scale', to='w'),
        conv('x', to='raw'),
        node('Sigmoid', 'raw'),
    ]
    constants = {'q': np.zeros((80, 3, 1, 1), np.int8), 'scale': np.float32(1)}
    assert output_tails(graph(nodes, constants))['out'].widths == (80,)


def test_picking_is_seen():
    nodes = [head(80, 'raw'), node('ArgMax', 'raw')]
    assert output_tails(graph(nodes, weights(80)))['out'].picks


def test_a_graph_without_weights_says_nothing():
    tail = output_tails(graph([node('Identity', 'x')], {}))['out']
    assert not tail.is_known and not tail.is_computed
