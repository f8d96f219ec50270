# SPDX-License-Identifier: Apache-2.0
"""A class for each pixel: which outputs are such, how scores become probabilities, and what the classes are called."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models.constant import write_constant
from support.paths import DATA

from isaac_inference.errors import ModelError
from isaac_inference.models import Task, card_rows, read_card
from isaac_inference.models.card.labels import SHIPPED
from isaac_inference.models.card.tasks import ClassForm, SemanticSegmentationSpec

WH = (128, 96)
REAL = DATA / 'models'
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason='no shared/data')
RNG = np.random.default_rng(5)


def cells(stride=1, wh=WH):
    """(rows, columns) of a map."""
    return -(-wh[1] // stride), -(-wh[0] // stride)


def scores(channels, stride=1, layout='NCHW', wh=WH, unit=False):
    rows, columns = cells(stride, wh)
    numbers = RNG.normal(0, 3, (1, channels, rows, columns)).astype(np.float32)
    if unit:
        numbers = np.exp(numbers) / np.exp(numbers).sum(axis=1, keepdims=True)
    return numbers if layout == 'NCHW' else np.ascontiguousarray(numbers.transpose(0, 2, 3, 1))


def card_of(folder, outputs, card='', layout='NCHW', wh=WH, **more):
    shape = (1, 3, wh[1], wh[0]) if layout == 'NCHW' else (1, wh[1], wh[0], 3)
    path = write_constant(folder / 'm.onnx', outputs, image=('images', 'float32', shape), **more)
    if card:
        path.with_suffix('.yaml').write_text(card)
    return read_card(path)


def network(path, channels, tail=(), names=('images', 'output'), kind='float32', wh=WH, stride=1, casts=None):
    """A convolution, and a chain of nodes (type, attributes) behind it."""
    rows, columns = cells(stride, wh)
    weights = RNG.normal(0, 0.2, (channels, 3, 3, 3)).astype(np.float32)
    constants = [numpy_helper.from_array(weights, 'weights')]
    nodes = [helper.make_node('Conv', [names[0], 'weights'], ['raw'], pads=[1] * 4, strides=[stride] * 2)]
    name, shape = 'raw', [1, channels, rows, columns]
    for index, (op, attributes) in enumerate(tail):
        nodes.append(helper.make_node(op, [name], [f'step_{index}'], **attributes))
        name = f'step_{index}'
        if op == 'ArgMax':
            shape = [1, 1, rows, columns] if attributes.get('keepdims', 1) else [1, rows, columns]
            kind = 'int64'
        elif op == 'Cast':
            kind = 'float32' if attributes['to'] == TensorProto.FLOAT else 'int32'
    nodes.append(helper.make_node('Identity', [name], [names[1]]))
    element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    graph = helper.make_graph(
        nodes,
        'net',
        [helper.make_tensor_value_info(names[0], TensorProto.FLOAT, [1, 3, wh[1], wh[0]])],
        [helper.make_tensor_value_info(names[1], element, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8, producer_name='pytorch')
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize('channels, stride', [*itertools.product((2, 5, 18, 81, 171), (1, 2, 4, 8))])
@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('of_image', ['NCHW', 'NHWC'])
def test_scores_of_any_layout_and_stride(tmp_path, channels, stride, layout, of_image):
    card = card_of(tmp_path, {'output': scores(channels, stride, layout)}, layout=of_image)
    assert type(card.spec) is SemanticSegmentationSpec and card.task is Task.SEMANTIC_SEGMENTATION
    assert (card.spec.form, card.spec.layout, card.spec.activation) == (ClassForm.SCORES, layout, 'softmax')
    assert dict(card.spec.roles) == {'scores': 'output'} and card.class_count == channels
    assert card.sources['task'] == 'the outputs' and card.image.preprocess.fit == 'stretch'


@pytest.mark.parametrize('wh', [(257, 257), (513, 385), (2048, 1024), (97, 61)])
@pytest.mark.parametrize('stride', [4, 8])
def test_sizes_that_a_stride_does_not_divide(tmp_path, wh, stride):
    assert card_of(tmp_path, {'output': scores(21, stride, wh=wh)}, wh=wh).task is Task.SEMANTIC_SEGMENTATION


@pytest.mark.parametrize('dtype', ['int64', 'int32', 'uint8'])
@pytest.mark.parametrize('shape', [(1, *WH[::-1]), (1, 1, *WH[::-1]), (1, *WH[::-1], 1), (1, 48, 64)])
def test_class_ids_are_known_by_their_type(tmp_path, dtype, shape):
    ids = RNG.integers(0, 4, shape).astype(dtype)
    card = card_of(tmp_path, {'output': ids}, 'labels: [road, car, sky, tree]')
    assert (card.spec.form, card.spec.activation) == (ClassForm.CLASSES, 'none')
    assert dict(card.spec.roles) == {'classes': 'output'}
    assert card.labels == ('road', 'car', 'sky', 'tree')


def test_class_ids_alone_do_not_say_how_many_classes_there_are(tmp_path):
    with pytest.raises(ModelError, match=r'do not show how many classes(.|\n)*`labels: \[first name') as error:
        card_of(tmp_path, {'output': np.zeros((1, *WH[::-1]), np.int64)})
    for line in (part.split('`')[1] for part in str(error.value).split('\n') if 'labels: ' in part and '[' not in part):
        (tmp_path / 'm.yaml').write_text(line)
        assert read_card(tmp_path / 'm.onnx').class_count > 0


@pytest.mark.parametrize(
    'tail, form, activation',
    [
        ([], 'scores', 'softmax'),
        ([('Softmax', {'axis': 1})], 'scores', 'none'),
        ([('Sigmoid', {})], 'scores', 'none'),
        ([('ArgMax', {'axis': 1})], 'classes', 'none'),
        ([('ArgMax', {'axis': 1, 'keepdims': 0})], 'classes', 'none'),
        ([('ArgMax', {'axis': 1}), ('Cast', {'to': TensorProto.FLOAT})], 'classes', 'none'),
        ([('ArgMax', {'axis': 1}), ('Cast', {'to': TensorProto.INT32})], 'classes', 'none'),
    ],
)
@pytest.mark.parametrize('channels, labels', [(19, 'cityscapes19'), (21, 'voc21'), (150, 'ade150')])
def test_the_graph_s_end_says_what_the_numbers_are(tmp_path, tail, form, activation, channels, labels):
    card = read_card(network(tmp_path / 'm.onnx', channels, tail, stride=4))
    assert (card.spec.form.value, card.spec.activation) == (form, activation)
    assert card.labels == SHIPPED[labels]
    (assumed,) = [item for item in card.assumptions if item.field == 'labels']
    assert assumed.value == labels and 'assumed' in card.sources['labels']


def test_without_a_known_graph_probabilities_are_known_by_their_sum(tmp_path):
    assert card_of(tmp_path, {'output': scores(5, unit=True)}).spec.activation == 'none'


@pytest.mark.parametrize('name', ['mask', 'seg_out', 'alpha', 'pha'])
@pytest.mark.parametrize('shape', [(1, 1, *WH[::-1]), (1, *WH[::-1]), (1, *WH[::-1], 1), (1, 1, 48, 64)])
@pytest.mark.parametrize('low, high, activation', [(0, 1, 'none'), (-4, 4, 'sigmoid')])
def test_one_channel_is_one_class_against_the_rest(tmp_path, name, shape, low, high, activation):
    card = card_of(tmp_path, {name: RNG.uniform(low, high, shape).astype(np.float32)})
    assert card.spec.form is ClassForm.SCORES and card.spec.activation == activation
    assert card.labels == ('foreground',) and any('foreground' in note for note in card.notes)
    for labels in (['person'], ['rest', 'person']):
        card.path.with_suffix('.yaml').write_text(f'labels: {labels}')
        assert list(read_card(card.path).labels) == labels
    card.path.with_suffix('.yaml').write_text('labels: [a, b, c]')
    with pytest.raises(ModelError, match='labels: 3 names'):
        read_card(card.path)


def test_a_sigmoid_at_the_end_of_one_channel_is_assumed_to_be_a_mask(tmp_path):
    card = read_card(network(tmp_path / 'm.onnx', 1, [('Sigmoid', {})]))
    assert card.task is Task.SEMANTIC_SEGMENTATION and card.spec.activation == 'none'
    (assumed,) = [item for item in card.assumptions if item.field == 'task']
    assert assumed.alternatives[0][0] == 'task: mono_depth'


def test_auxiliary_outputs_are_left_out_and_others_are_named(tmp_path):
    outputs = {'aux': scores(21), 'out': scores(21)}
    card = card_of(tmp_path, outputs)
    assert card.spec.roles['scores'] == 'out' and any('aux' in note for note in card.notes)
    card = card_of(tmp_path, {'low': scores(21, 8), 'high': scores(21)})
    assert card.spec.roles['scores'] == 'high'
    card = card_of(tmp_path, {'low': scores(21, 8), 'high': scores(21)}, 'outputs: {scores: low}')
    assert card.spec.roles['scores'] == 'low' and card.sources['roles.scores'] == 'card m.yaml'


def test_scores_are_read_before_class_ids_of_the_same_network(tmp_path):
    outputs = {'pred': np.zeros((1, *WH[::-1]), np.int64), 'logits': scores(19, 4)}
    card = card_of(tmp_path, outputs)
    assert card.spec.roles == {'scores': 'logits'}
    card = card_of(tmp_path, outputs, 'outputs: {classes: pred}\nlabels: cityscapes19\n')
    assert card.spec.roles == {'classes': 'pred'} and card.class_count == 19


def test_an_open_size_is_known_by_one_run(tmp_path):
    card = card_of(tmp_path, {'logits': scores(19, 4)}, declared={'logits': ('batch', 19, 'height', 'width')})
    assert card.spec.layout == 'NCHW' and card.class_count == 19
    card = card_of(tmp_path, {'logits': scores(19, 4)}, declared={'logits': (None, None, None, None)})
    assert card.class_count == 19


def test_square_maps_of_as_many_channels_are_unclear(tmp_path):
    wh = (64, 64)
    with pytest.raises(ModelError, match=r'which axis of output(.|\n)*`output_layout: NCHW`  \(tried') as error:
        card_of(tmp_path, {'output': scores(64, wh=wh)}, wh=wh)
    assert '`output_layout: NHWC`  (tried' in str(error.value)
    for layout in ('NCHW', 'NHWC'):
        (tmp_path / 'm.yaml').write_text(f'output_layout: {layout}')
        card = read_card(tmp_path / 'm.onnx')
        assert card.spec.layout == layout and card.sources['output_layout'] == 'card m.yaml'


@pytest.mark.parametrize(
    ('channels', 'stride', 'says'), [(3, 1, 'pictures'), (17, 4, 'heat maps of COCO'), (133, 4, 'heat maps of whole')]
)
def test_what_looks_like_something_else_needs_a_line_that_works(tmp_path, channels, stride, says):
    with pytest.raises(ModelError, match=f'{says}.*look the same(.|\n)*`task: semantic_segmentation`  .tried'):
        card_of(tmp_path, {'output': scores(channels, stride)})
    (tmp_path / 'm.yaml').write_text('task: semantic_segmentation')
    assert read_card(tmp_path / 'm.onnx').class_count == channels
    (tmp_path / 'm.yaml').write_text(f'labels: {[f"n{index}" for index in range(channels)]}')
    assert read_card(tmp_path / 'm.onnx').task is Task.SEMANTIC_SEGMENTATION
    (tmp_path / 'm.yaml').unlink()
    assert card_of(tmp_path, {'logits': scores(channels, stride)}).task is Task.SEMANTIC_SEGMENTATION


@pytest.mark.parametrize(
    'outputs',
    [
        {'heatmaps': scores(17, 4), 'tags': scores(17, 4)},
        {'flow': scores(2)},
        {'normals': scores(3)},
        {'hidden_state': scores(32, 8)},
        {'output': scores(21, 16)},  # a stride that is none of a segmentation's
        {'output': scores(21, 2)[..., :-1]},
        {'output': scores(1001, 8)},
        {'classes': np.zeros((1, 1000), np.float32)},
        {'a': scores(21), 'b': np.zeros((1, 10), np.float32)},
    ],
)
def test_other_maps_are_not_taken_for_classes(tmp_path, outputs):
    with pytest.raises(ModelError, match='fit no known detector'):
        card_of(tmp_path, outputs)


@pytest.mark.parametrize(
    'card, says',
    [
        ('labels: [a, b]', r'labels: 2 names \(a, b\), but the outputs of m.onnx have 5 classes'),
        ('activation: relu', "activation: got 'relu', expected one of none, sigmoid, softmax"),
        ('output_layout: NHWC', r'output_layout: got NHWC, but the output output: .* has its rows and columns as NCHW'),
        ('outputs: {scores: boxes}', r"outputs.scores: m.onnx has no output 'boxes'; its outputs are: output"),
        ('{activation: softmax, decoder: yolov8}', r'card m.yaml: decoder: no effect on a model for semantic_segm'),
        ('objects: {class_1: {size: [1, 1, 1]}}', r'objects: no effect on a model for semantic_segmentation'),
        ('task: detection', 'fit no known detector'),
        ('{task: detection, activation: softmax}', r'activation: no effect on a model for detection \(card m.yaml\)'),
        ('masks: {channels: 4}', 'fit no known detector'),
    ],
)
def test_what_a_card_says_wrongly_is_said(tmp_path, card, says):
    with pytest.raises(ModelError, match=says):
        card_of(tmp_path, {'output': scores(5)}, card)


def test_a_segmentation_without_a_map_is_an_error(tmp_path):
    rows = np.zeros((1, 7, 252), np.float32)
    rows[0, :5, 5] = 40, 30, 20, 24, 0.9
    said = 'task: semantic_segmentation\n'
    with pytest.raises(ModelError, match=r'no output .* has a class for each pixel of an input of 128 x 96'):
        card_of(tmp_path, {'output0': rows}, said)


def test_what_was_found_is_shown(tmp_path):
    rows = card_rows(card_of(tmp_path, {'output': scores(5)}, 'labels: [a, b, c, d, e]'))
    assert ('task', 'semantic_segmentation', 'the outputs') in rows
    assert ('activation', 'softmax', 'the numbers of one run are no probabilities') in rows
    assert ('output_layout', 'NCHW', 'shape of output') in rows and (
        'roles.scores',
        'output',
        'shape of output',
    ) in rows
    assert not [row for row in rows if not row[2] and row[0] not in ('path', 'note')]


@needs_data
@pytest.mark.parametrize(
    'name, roles, layout, activation, classes, prepared',
    [
        ('deeplabv3_mnv2_voc_257', {'scores': 'ResizeBilinear_3'}, 'NHWC', 'softmax', 21, ('rgb', 1 / 255, 0.5)),
        ('road_segmentation_adas_0001', {'scores': 'tf.identity'}, 'NHWC', 'none', 4, ('bgr', 1.0, 0.0)),
        ('selfie_segmentation_256', {'scores': 'activation_10'}, 'NHWC', 'none', 1, ('rgb', 1 / 255, 0.0)),
    ],
)
def test_published_networks_need_no_card(name, roles, layout, activation, classes, prepared):
    card = read_card(REAL / f'{name}.onnx')
    assert dict(card.spec.roles) == roles and (card.spec.layout, card.spec.activation) == (layout, activation)
    spec = card.image.preprocess
    assert card.class_count == classes and (spec.color, spec.scale, spec.mean[0]) == prepared and spec.fit == 'stretch'
    assert [item.field for item in card.assumptions if item.field == 'preprocess']
