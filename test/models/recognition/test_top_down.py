# SPDX-License-Identifier: Apache-2.0
"""Networks for the keypoints of one person: which files are such, what is assumed, and what only a card can say."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from support.onnx_models.constant import write_constant

from isaac_inference.errors import ModelError
from isaac_inference.models import Task, card_rows, read_card
from isaac_inference.models.card.skeletons.published import SKELETONS
from isaac_inference.models.card.tasks import KeypointForm, PointUnit, TopDownKeypointsSpec
from isaac_inference.ops.keypoints.decode_heatmaps import HeatmapGrid
from isaac_inference.stages.keypoints.decoder import TopDownDecoder

WH = (48, 64)
RNG = np.random.default_rng(7)


def card_of(folder, outputs, card='', *, shape=(1, 3, WH[1], WH[0]), dtype='float32', **more):
    path = write_constant(folder / 'm.onnx', outputs, image=('images', dtype, shape), **more)
    path.with_suffix('.yaml').write_text(card)
    return read_card(path)


def assumed(card):
    return {item.field: item.value for item in card.assumptions if item.field != 'preprocess'}


def error_of(folder, *args, **more):
    with pytest.raises(ModelError) as error:
        card_of(folder, *args, **more)
    return str(error.value)


def lines_of(text):
    """The lines for the card that an error says were tried."""
    return re.findall(r'`([^`]+)`  \(tried', text)


def check_lines(folder, outputs, **more):
    """Each line that the error gives, in a card, makes one that is read; the cards."""
    lines = lines_of(error_of(folder, outputs, **more))
    assert lines
    return {line: card_of(folder, outputs, line, **more) for line in lines}


def points(count, *, scale=(1.0, 1.0), columns=3, seed=1):
    """(count, columns): x, y within `scale`, and confidences."""
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0.1, 0.9, (count, columns)).astype(np.float32)
    rows[:, :2] *= scale
    return rows


def movenet():
    return {'Identity:0': points(17)[None, None]}


def blazepose(flag=0.9, names=('Identity', 'Identity_1', 'Identity_2', 'Identity_3', 'Identity_4')):
    rows = points(39, scale=(256, 256), columns=5)
    rows[:, 3:] = 3.0
    shapes = [(1, 195), (1, 1), (1, 256, 256, 1), (1, 64, 64, 39), (1, 117)]
    values = [rows.reshape(1, 195), np.array([[flag]]), *(np.zeros(shape) for shape in shapes[2:])]
    return {name: value.astype(np.float32) for name, value in zip(names, values, strict=True)}


def simcc(count=17, ratio=2.0, names=('simcc_x', 'simcc_y'), wh=WH):
    return {
        name: RNG.uniform(0, 0.9, (1, count, round(size * ratio))).astype(np.float32)
        for name, size in zip(names, wh, strict=True)
    }


def heatmaps(count=17, stride=4, name='heatmaps', wh=WH):
    maps = RNG.uniform(0, 0.9, (1, count, -(-wh[1] // stride), -(-wh[0] // stride))).astype(np.float32)
    return {name: maps}


NHWC = {'shape': (1, 192, 192, 3), 'dtype': 'int32', 'producer': 'tf2onnx'}
BLAZE = {'shape': (1, 256, 256, 3), 'producer': 'tf2onnx'}


@pytest.mark.parametrize('size', [192, 256])
def test_movenet_for_one_person(tmp_path, size):
    card = card_of(tmp_path, movenet(), **{**NHWC, 'shape': (1, size, size, 3)})
    assert isinstance(card.spec, TopDownKeypointsSpec) and card.task is Task.TOP_DOWN_KEYPOINTS
    spec = card.spec
    assert (spec.form, spec.columns, spec.unit) == (KeypointForm.POINTS, ('y', 'x', 'confidence'), PointUnit.FRACTION)
    assert (spec.keypoints.count, spec.keypoints.dims) == (17, 3) and spec.keypoints.skeleton == SKELETONS['coco17']
    image = card.image
    assert (image.wh, image.layout, image.tensor.dtype) == ((size, size), 'NHWC', 'int32')
    prepared = image.preprocess
    assert (prepared.color, prepared.scale, prepared.fit, prepared.pad_value) == ('rgb', 1.0, 'letterbox', 0)
    assert not card.assumptions and not card.notes and card.labels == ()
    assert not [row for row in card_rows(card) if not row[2] and row[0] != 'path']


def test_blazepose(tmp_path):
    card = card_of(tmp_path, blazepose(), **BLAZE)
    spec = card.spec
    assert dict(spec.roles) == {'keypoints': 'Identity', 'presence': 'Identity_1'}
    assert [item.name for item in card.used_outputs] == ['Identity', 'Identity_1']
    assert (spec.unit, spec.extra, spec.activation) == (PointUnit.PIXELS, 6, 'sigmoid')
    assert (spec.presence_activation, spec.min_presence) == ('none', 0.5)
    assert spec.keypoints.skeleton == SKELETONS['blazepose33'] and spec.keypoints.count == 33
    assert card.image.convention == 'mediapipe' and not card.assumptions
    rows = {name: (value, source) for name, value, source in card_rows(card)}
    assert rows['keypoints.columns'][0] == '[x, y, other, confidence, confidence]'
    assert all(source for name, (_, source) in rows.items() if name != 'path')


def test_blazepose_without_its_maps(tmp_path):
    outputs = {name: value for name, value in blazepose().items() if name in ('Identity', 'Identity_1', 'Identity_4')}
    assert card_of(tmp_path, outputs, **BLAZE).spec.keypoints.count == 33


def test_blazepose_by_other_names_with_a_flag_that_is_a_logit(tmp_path):
    names = ('ld_3d', 'output_poseflag', 'output_segmentation', 'output_heatmap', 'world_3d')
    card = card_of(tmp_path, blazepose(-3.0, names), 'keypoints: {min_presence: 0.7}', **BLAZE)
    assert dict(card.spec.roles) == {'keypoints': 'ld_3d', 'presence': 'output_poseflag'}
    assert (card.spec.presence_activation, card.spec.min_presence) == ('sigmoid', 0.7)
    assert card.sources['keypoints.min_presence'] == 'card m.yaml'


@pytest.mark.parametrize(
    ('names', 'roles'),
    [
        (('simcc_x', 'simcc_y'), {'x': 'simcc_x', 'y': 'simcc_y'}),
        (('output', '794'), {'x': 'output', 'y': '794'}),  # by their lengths
    ],
)
@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize(('count', 'skeleton'), [(17, 'coco17'), (26, 'halpe26'), (133, 'wholebody133'), (15, None)])
def test_simcc(tmp_path, names, roles, reverse, count, skeleton):
    outputs = simcc(count, names=names)
    card = card_of(tmp_path, dict(reversed(outputs.items())) if reverse else outputs)
    spec = card.spec
    assert (spec.form, dict(spec.roles), spec.keypoints.count) == (KeypointForm.SIMCC, roles, count)
    assert spec.keypoints.skeleton == (SKELETONS[skeleton] if skeleton else None)
    assert assumed(card) == ({'keypoints.skeleton': skeleton} if skeleton else {})
    prepared = card.image.preprocess
    assert (prepared.mean, prepared.fit, prepared.pad_value) == ((0.485, 0.456, 0.406), 'letterbox', 0)
    assert not [row for row in card_rows(card) if not row[2] and row[0] != 'path']


@pytest.mark.parametrize('ratio', [1.0, 1.3, 2.0, 3.0])
def test_simcc_of_any_split_ratio(tmp_path, ratio):
    assert card_of(tmp_path, simcc(ratio=ratio, names=('a', 'b'))).spec.form is KeypointForm.SIMCC


def test_simcc_whose_axes_are_open_is_known_by_one_run(tmp_path):
    outputs = simcc()
    declared = {'simcc_x': ('batch', None, None), 'simcc_y': ('batch', None, None)}
    card = card_of(tmp_path, outputs, declared=declared, shape=('batch', 3, WH[1], WH[0]))
    assert card.spec.keypoints.count == 17 and card.dynamic_batch


def test_simcc_of_a_square_input_needs_names_or_a_line(tmp_path):
    square = {'shape': (1, 3, 64, 64)}
    outputs = simcc(names=('a', 'b'), wh=(64, 64))
    cards = check_lines(tmp_path, outputs, **square)
    assert [dict(card.spec.roles) for card in cards.values()] == [{'x': 'a', 'y': 'b'}, {'x': 'b', 'y': 'a'}]
    assert card_of(tmp_path, simcc(wh=(64, 64)), **square).spec.roles['x'] == 'simcc_x'


@pytest.mark.parametrize('name', ['heatmaps', 'output_heatmap', 'keypoints', 'kpt_maps'])
@pytest.mark.parametrize('stride', [2, 4, 8])
def test_heatmaps_by_the_name_of_their_output(tmp_path, name, stride):
    wh = (52, 60)  # of which 8 is no divisor
    card = card_of(tmp_path, heatmaps(21, stride, name, wh), shape=(1, 3, wh[1], wh[0]))
    assert (card.spec.form, dict(card.spec.roles)) == (KeypointForm.HEATMAPS, {'heatmaps': name})
    assert card.spec.keypoints.count == 21 and card.spec.layout == 'NCHW'
    assert assumed(card) == {'keypoints.skeleton': 'hand21', 'keypoints.grid': 'scaled'}


def test_heatmaps_by_names_in_the_graph(tmp_path):
    path = write_constant(tmp_path / 'm.onnx', heatmaps(name='output'), image=('images', 'float32', (1, 3, *WH[::-1])))
    with pytest.raises(ModelError, match="heat maps of COCO's 17 keypoints look the same"):
        read_card(path)
    model = onnx.load(str(path))
    model.graph.node[0].name = 'backbone/keypoint_head/final_layer/Conv'
    onnx.save(model, str(path))
    assert read_card(path).spec.form is KeypointForm.HEATMAPS


def test_as_many_maps_as_pascal_voc_has_classes_are_classes_whatever_the_graph_s_names(tmp_path):
    image = ('images', 'float32', (1, 3, *WH[::-1]))
    path = write_constant(tmp_path / 'm.onnx', heatmaps(21, name='output'), image=image)
    model = onnx.load(str(path))
    model.graph.node[0].name = 'deconv_layers/0'
    onnx.save(model, str(path))
    assert read_card(path).task is Task.SEMANTIC_SEGMENTATION


def test_a_vision_transformer_s_heatmaps_are_taken_for_vitpose_s(tmp_path):
    image = ('images', 'float32', (1, 3, *WH[::-1]))
    path = write_constant(tmp_path / 'm.onnx', heatmaps(), image=image)
    model = onnx.load(str(path))
    model.graph.node[0].name = '/backbone/patch_embeddings/projection/Conv'
    onnx.save(model, str(path))
    card = read_card(path)
    assert card.spec.grid is HeatmapGrid.CORNERS and assumed(card)['keypoints.grid'] == 'corners'
    lines = [line for item in card.assumptions if item.field == 'keypoints.grid' for line, _ in item.alternatives]
    assert lines == ['keypoints: {grid: scaled}', 'keypoints: {grid: cells}']
    for line in lines:
        path.with_suffix('.yaml').write_text(line)
        assert not assumed(read_card(path)).get('keypoints.grid')


def test_heatmaps_that_may_be_classes_need_a_line(tmp_path):
    cards = check_lines(tmp_path, heatmaps(name='output'))
    assert {line: card.task for line, card in cards.items()} == {
        'task: semantic_segmentation': Task.SEMANTIC_SEGMENTATION,
        'task: top_down_keypoints': Task.TOP_DOWN_KEYPOINTS,
    }
    for line in ('keypoints: {skeleton: coco17, grid: corners}', 'outputs: {heatmaps: output}'):
        assert card_of(tmp_path, heatmaps(name='output'), line).task is Task.TOP_DOWN_KEYPOINTS


def test_what_a_card_says_of_heatmaps(tmp_path):
    maps = {'heatmaps': np.ascontiguousarray(heatmaps()['heatmaps'].transpose(0, 2, 3, 1)) * 9}
    content = 'activation: sigmoid\nkeypoints: {skeleton: coco17, grid: corners}'
    card = card_of(tmp_path, maps, content)
    assert (card.spec.layout, card.spec.activation, card.spec.grid) == ('NHWC', 'sigmoid', HeatmapGrid.CORNERS)
    assert assumed(card) == {} and card.sources['keypoints'] == card.sources['activation'] == 'card m.yaml'
    assert TopDownDecoder(card).decode(maps).shape == (1, 17, 3)


def test_skeletons_of_a_card_go_before_those_assumed(tmp_path):
    own = '{names: [a, b, c, d, e], edges: [[a, b]], left: [d], right: [e]}'
    card = card_of(tmp_path, simcc(5), f'keypoints: {{skeleton: {own}}}')
    assert card.spec.keypoints.skeleton.names == ('a', 'b', 'c', 'd', 'e') and not assumed(card)


def landmarks(count=9, columns=2, scale=WH):
    rows = points(count, scale=scale, columns=columns)
    return {'marks': rows.reshape(1, -1), 'there': np.array([[0.7]], np.float32)}


def test_a_row_of_numbers_and_a_flag_need_a_line(tmp_path):
    cards = check_lines(tmp_path, landmarks())
    line = '{keypoints: {columns: [x, y]}, outputs: {keypoints: marks, presence: there}}'
    spec = cards[line].spec
    assert (spec.keypoints.count, spec.keypoints.dims, spec.unit) == (9, 2, PointUnit.PIXELS)
    assert spec.presence_activation == 'none' and spec.keypoints.skeleton is None
    found = TopDownDecoder(cards[line]).decode(landmarks())
    np.testing.assert_allclose(found[0, :, :2], landmarks()['marks'].reshape(9, 2), rtol=1e-5)
    np.testing.assert_allclose(found[0, :, 2], 0.7, rtol=1e-5)


@pytest.mark.parametrize(('scale', 'unit'), [(WH, PointUnit.PIXELS), ((1, 1), PointUnit.FRACTION)])
def test_a_table_of_points_needs_the_order_of_its_columns(tmp_path, scale, unit):
    outputs = {'out': points(17, scale=scale)[None]}
    cards = check_lines(tmp_path, outputs)
    orders = {card.spec.columns for card in cards.values()}
    assert orders == {('x', 'y', 'confidence'), ('y', 'x', 'confidence'), ('x', 'y', 'other')}
    assert {card.spec.unit for card in cards.values()} == {unit}
    assert all(assumed(card) == {'keypoints.skeleton': 'coco17'} for card in cards.values())


def test_an_output_that_may_be_the_presence_is_named(tmp_path):
    content = 'keypoints: {columns: [x, y]}'
    card = card_of(tmp_path, landmarks(), content)
    assert 'presence' not in card.spec.roles and '`outputs: {presence: there}`' in card.notes[0]
    card = card_of(tmp_path, landmarks(), f'{content}\noutputs: {{presence: there}}')
    assert card.spec.roles['presence'] == 'there' and not card.notes


def test_two_numbers_for_each_point_need_none_once_the_task_is_known(tmp_path):
    card = card_of(tmp_path, {'out': points(21, scale=WH, columns=2)[None]}, 'task: top_down_keypoints')
    assert card.spec.columns == ('x', 'y') and card.spec.keypoints.count == 21


def test_confidences_that_are_logits(tmp_path):
    rows = points(17, scale=WH)
    rows[:, 2] = np.linspace(-4, 6, 17)
    card = card_of(tmp_path, {'out': rows[None]}, 'keypoints: {columns: [x, y, confidence]}')
    assert card.spec.activation == 'sigmoid' and 'one run' in card.sources['activation']


COLUMNS = 'keypoints: {columns: [x, y, confidence]'


@pytest.mark.parametrize(
    ('outputs', 'content', 'says'),
    [
        (movenet, 'keypoints: {skeleton: blazepose33}', r'expected 99 values for each image: 33 keypoints of 3'),
        (movenet, 'keypoints: {count: 13}', r'got shape \[1, 1, 17, 3\], expected 39 values .*13 keypoints of 3'),
        (movenet, 'keypoints: {skeleton: coco17, count: 18}', 'got 17 names, but keypoints.count is 18'),
        (movenet, 'keypoints: {grid: corners}', 'keypoints.grid: no effect on points keypoints of a top-down'),
        (movenet, 'keypoints: {dims: 2}', 'keypoints.dims: no effect on points keypoints of a top-down network'),
        (movenet, 'keypoints: {min_presence: 0.3}', 'min_presence: no output says whether anybody is there'),
        (movenet, 'activation: softmax', 'activation: got softmax, but points keypoints have none or sigmoid'),
        (movenet, 'labels: [person]', 'labels: no effect on a model for top_down_keypoints'),
        (movenet, 'decoder: yolov8_pose\nkeypoints: {count: 17}', 'decoder: no effect on a model for top_down_keyp'),
        (movenet, 'task: keypoints\nkeypoints: {count: 17, unit: px}', r'keypoints.unit: no effect .* for keypoints'),
        (movenet, 'keypoints: {columns: [y, x]}', r'has 51 numbers for each image, which are no points of 2 \(y, x\)'),
        (movenet, 'keypoints: {columns: [x, z]}', r'keypoints.columns: got .*expected a list with x and y once each'),
        (movenet, 'keypoints: {form: dots}', "keypoints.form: got 'dots', expected one of points, simcc, heatmaps"),
        (movenet, 'keypoints: {min_presence: 2}', 'keypoints.min_presence: got 2, expected a number from 0 to 1'),
        (movenet, 'keypoints: {skeleton: {names: [a], edges: [[a, b]]}}', "'b' is none of them"),
        (movenet, 'outputs: {keypoints: points}', r"outputs.keypoints: m.onnx has no output 'points'; its outputs are"),
        (simcc, 'keypoints: {split_ratio: 3}', '96 and 128 bins for an input of 48 x 64 px, .* expected 3 for each px'),
        (simcc, 'outputs: {x: simcc_y, y: simcc_x}', '128 and 96 bins for an input of 48 x 64 px'),
        (simcc, 'outputs: {x: simcc_x, heatmaps: simcc_y}', 'simcc keypoints .* have no role heatmaps'),
        (simcc, 'keypoints: {skeleton: halpe26}', r'simcc_x .*\[1, 17, 96\], expected 3 axes, .* the 26 keypoints'),
        (simcc, 'output_layout: NHWC', 'output_layout: no effect on simcc keypoints'),
        (heatmaps, 'keypoints: {skeleton: mpii16}', r'\[1, 17, 16, 12\], expected 4 axes, of which number 2 has'),
        (heatmaps, 'keypoints: {columns: [x, y], form: heatmaps}', 'keypoints.columns: no effect on heatmaps'),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_when_configuring(tmp_path, outputs, content, says):
    more = NHWC if outputs is movenet else {}
    assert re.search(says, error_of(tmp_path, outputs(), content, **more))


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    text = error_of(tmp_path, simcc(), 'keypoints: {skeleton: halpe26}\npreprocess: {fit: stretch, pad_value: 3}')
    assert '2 problems' in text and 'has no effect with fit stretch' in text and 'the 26 keypoints' in text
    text = error_of(tmp_path, simcc(), 'keypoints: {skeleton: halpe26}')
    assert 'simcc_x' in text and 'simcc_y' in text
    text = error_of(tmp_path, simcc(), 'outputs: {x: one, y: other}')
    assert "no output 'one'" in text and "no output 'other'" in text


def test_boxes_and_scores_are_no_histograms(tmp_path):
    outputs = {'a': RNG.uniform(0, 40, (1, 17, 4)), 'b': RNG.uniform(0, 1, (1, 17, 80))}
    card = card_of(tmp_path, {name: value.astype(np.float32) for name, value in outputs.items()})
    assert card.task is Task.DETECTION and card.detection.decoder == 'detr'


@pytest.mark.parametrize(
    'outputs',
    [
        {'a': np.zeros((1, 17, 96), np.float32), 'b': np.zeros((1, 18, 128), np.float32)},
        {'a': np.zeros((1, 17, 96), np.float32), 'b': np.zeros((1, 17, 100), np.float32)},
        {'heatmaps': np.zeros((1, 17, 16, 12), np.float32), 'offsets': np.zeros((1, 34, 16, 12), np.float32)},
        {'out': np.zeros((1, 195), np.float32), 'flag': np.zeros((1, 1), np.float32)},  # 195 classes and anything
        {'out': np.zeros((1, 1000), np.float32)},
        {'marks': np.ones((1, 18, 10), np.float32), 'scores': np.ones((1, 18, 2), np.float32)},
    ],
)
def test_what_may_be_anything_else_is_not_taken_for_keypoints(tmp_path, outputs):
    text = error_of(tmp_path, outputs)
    assert 'fit no known detector' in text and 'keypoints: {columns' not in text


def multipose():
    rows = np.zeros((1, 6, 56), np.float32)
    rows[0, 0] = 0.5
    rows[0, 0, 51:] = (0.25, 0.25, 0.75, 0.75, 0.9)
    return {'output_0': rows}


MULTI = {'shape': (1, None, None, 3), 'dtype': 'int32', 'producer': 'tf2onnx'}


def test_movenet_for_several_people(tmp_path):
    card = card_of(tmp_path, multipose(), **MULTI)
    assert (card.task, card.detection.decoder, card.labels) == (Task.KEYPOINTS, 'movenet_multipose', ('person',))
    assert (card.keypoints.count, card.keypoints.dims) == (17, 3)
    assert card.keypoints.skeleton == SKELETONS['coco17']
    assert card.image.wh == (256, 256) and card.image.preprocess.scale == 1.0 and card.image.dynamic_size
    assert not card.notes and [item.field for item in card.assumptions if item.field == 'input_size']


@pytest.mark.parametrize(
    ('content', 'says'),
    [
        ('input_size: [320, 200]', r'input_size: got \[320, 200\] \(w, h\), expected multiples of 32'),
        ('labels: [person, dog]', r'2 names \(person, dog\), but the outputs .* have 1 classes'),
        ('keypoints: {count: 8}', r'has 56 columns, but box, score and 8 keypoints of 3 values need .*expected 29'),
        ('keypoints: {skeleton: halpe26}', r'56 columns, but box, score and 26 keypoints'),
    ],
)
def test_what_movenet_for_several_people_cannot_be(tmp_path, content, says):
    assert re.search(says, error_of(tmp_path, multipose(), content, **MULTI))
    assert card_of(tmp_path, multipose(), 'input_size: [320, 192]', **MULTI).image.wh == (320, 192)


def test_yolo_pose_of_persons_has_coco_s_skeleton_unless_a_card_says_another(tmp_path):
    rows = np.zeros((1, 56, 126), np.float32)
    content = 'labels: [person]\nkeypoints: {count: 17}'
    card = card_of(tmp_path, {'output0': rows}, content, shape=(1, 3, 64, 96))
    assert card.keypoints.skeleton == SKELETONS['coco17']
    names = ', '.join(f'p{index}' for index in range(17))
    content = f'labels: [person]\nkeypoints: {{skeleton: {{names: [{names}]}}}}'
    card = card_of(tmp_path, {'output0': rows}, content, shape=(1, 3, 64, 96))
    assert card.keypoints.skeleton.names[0] == 'p0'
