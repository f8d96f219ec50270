# SPDX-License-Identifier: Apache-2.0
"""Networks for depth: of one image, of a stereo pair, and of an image with a sensor's depth."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models.constant import write_constant
from support.paths import DATA

from isaac_inference.errors import ModelError
from isaac_inference.models import Task, ValueRole, card_rows, read_card
from isaac_inference.models.card.tasks import DepthCompletionSpec, DepthKind, MonoDepthSpec, StereoDepthSpec
from isaac_inference.models.recognition.probe import probe_disparity

WH = (128, 96)
F = 'float32'
REAL = DATA / 'models'
RNG = np.random.default_rng(6)
NCHW, NHWC = (1, 3, WH[1], WH[0]), (1, WH[1], WH[0], 3)


def depth_map(shape=(1, 1, *WH[::-1]), low=0.5, high=8.0):
    return RNG.uniform(low, high, shape).astype(np.float32)


def card_of(folder, outputs, card='', image=('image', F, NCHW), **more):
    path = write_constant(folder / 'm.onnx', outputs, image=image, **more)
    if card:
        path.with_suffix('.yaml').write_text(card)
    return read_card(path)


def network(path, tail=(), output='output', words='', wh=WH):
    """A convolution to one channel, and nodes (type, constant or None) behind it; `words` is in a weight's name."""
    weights = RNG.normal(0, 0.05, (1, 3, 3, 3)).astype(np.float32)
    name = f'{words}.weight'
    constants = [numpy_helper.from_array(weights, name)]
    nodes = [helper.make_node('Conv', ['image', name], ['raw'], pads=[1] * 4)]
    last = 'raw'
    for index, (op, value) in enumerate(tail):
        inputs = [last]
        if value is not None:
            constants.append(numpy_helper.from_array(np.float32(value), f'value_{index}'))
            inputs.append(f'value_{index}')
        nodes.append(helper.make_node(op, inputs, [f'step_{index}']))
        last = f'step_{index}'
    nodes.append(helper.make_node('Identity', [last], [output]))
    graph = helper.make_graph(
        nodes,
        'net',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, wh[1], wh[0]])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, 1, wh[1], wh[0]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8, producer_name='pytorch')
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def assumed(card):
    return {item.field: item for item in card.assumptions}


@pytest.mark.parametrize('name', ['depth', 'predicted_depth', 'disparity', 'disp_0', 'inverse_depth'])
@pytest.mark.parametrize(
    'shape', [(1, 1, 96, 128), (1, 96, 128), (1, 96, 128, 1), (1, 1, 48, 64), (1, 24, 32), (1, 12, 16, 1)]
)
@pytest.mark.parametrize('image', [NCHW, NHWC])
def test_one_number_for_each_pixel_that_is_named_depth(tmp_path, name, shape, image):
    card = card_of(tmp_path, {name: depth_map(shape)}, image=('image', F, image))
    assert type(card.spec) is MonoDepthSpec and card.task is Task.MONO_DEPTH
    assert (dict(card.spec.roles), card.spec.kind) == ({'depth': name}, DepthKind.INVERSE)
    assert (card.spec.scale, card.spec.shift, card.labels) == (None, None, ())
    assert ('depth.kind' in assumed(card)) is name.endswith('depth') or name == 'inverse_depth'
    assert card.image.preprocess.fit == 'stretch' and 'preprocess' in assumed(card)


@pytest.mark.parametrize(
    'tail, words, kind, is_assumed',
    [
        ([('Relu', None)], '', DepthKind.INVERSE, True),
        ([('Softplus', None)], '', DepthKind.INVERSE, True),
        ([('Relu', None)], 'scratch.refinenet1.midas', DepthKind.INVERSE, True),
        ([('Sigmoid', None), ('Mul', 80.0)], '', DepthKind.METRIC, True),
        ([('Sigmoid', None), ('Mul', 20.0)], 'depth_head', DepthKind.METRIC, True),
        ([('Relu', None)], 'zoedepth.attractors', DepthKind.METRIC, False),
    ],
)
def test_the_graph_says_what_it_can_of_depth(tmp_path, tail, words, kind, is_assumed):
    card = read_card(network(tmp_path / 'm.onnx', tail, words=words))
    assert card.task is Task.MONO_DEPTH and card.spec.kind is kind
    assert ('depth.kind' in assumed(card)) is is_assumed
    if kind is DepthKind.METRIC:
        assert (card.spec.scale, card.spec.shift) == (1.0, 0.0)
    lines = [line for line, _ in assumed(card)['depth.kind'].alternatives] if is_assumed else []
    for line in lines:
        card.path.with_suffix('.yaml').write_text(line)
        other = read_card(card.path)
        assert other.spec.kind is not kind and other.sources['depth.kind'] == 'card m.yaml'
        assert 'depth.kind' not in assumed(other)


def test_depth_with_its_confidence_is_relative(tmp_path):
    outputs = {'depth': depth_map(), 'depth_conf': depth_map(), 'extrinsics': np.ones((1, 1, 3, 4), np.float32)}
    card = card_of(tmp_path, outputs)
    assert card.spec.kind is DepthKind.RELATIVE and card.spec.roles == {'depth': 'depth'}
    assert 'depth.kind' in assumed(card)


def test_of_several_scales_the_finest_is_read(tmp_path):
    outputs = {f'disp_{index}': depth_map((1, 1, 96 >> index, 128 >> index)) for index in (3, 2, 1, 0)}
    card = card_of(tmp_path, outputs)
    assert card.spec.roles == {'depth': 'disp_0'} and any('disp_2' in note for note in card.notes)


@pytest.mark.parametrize('tail', [[], [('Mul', 2.0)]])
def test_one_number_that_may_be_anything_is_an_error_with_lines_that_work(tmp_path, tail):
    path = network(tmp_path / 'm.onnx', tail)
    with pytest.raises(ModelError, match='may be a mask or depth') as error:
        read_card(path)
    tasks = {'task: semantic_segmentation': Task.SEMANTIC_SEGMENTATION, 'task: mono_depth': Task.MONO_DEPTH}
    for line, task in tasks.items():
        assert f'`{line}`  (tried' in str(error.value)
        path.with_suffix('.yaml').write_text(line)
        assert read_card(path).task is task


@pytest.mark.parametrize(
    'said, kind, scale, shift',
    [
        ('{kind: metric}', 'metric', 1.0, 0.0),
        ('{kind: metric, unit: mm}', 'metric', 0.001, 0.0),
        ('{kind: metric, unit: cm}', 'metric', 0.01, 0.0),
        ('{kind: metric, scale: 80}', 'metric', 80.0, 0.0),
        ('{kind: metric, scale: 10, shift: 0.1}', 'metric', 10.0, 0.1),
        ('{kind: relative}', 'relative', None, None),
        ('{kind: relative, scale: 2.5, shift: -0.5}', 'relative', 2.5, -0.5),
        ('{kind: inverse, scale: 0.001, shift: 0.02}', 'inverse', 0.001, 0.02),
    ],
)
def test_a_card_says_what_the_numbers_mean(tmp_path, said, kind, scale, shift):
    card = card_of(tmp_path, {'output': depth_map()}, f'depth: {said}')
    assert card.task is Task.MONO_DEPTH and card.sources['task'] == 'depth of card m.yaml'
    assert (card.spec.kind.value, card.spec.scale, card.spec.shift) == (kind, scale, shift)


@pytest.mark.parametrize(
    'said, says',
    [
        ('depth: {kind: inverted}', r"depth.kind: got 'inverted', expected one of metric, relative, inverse"),
        ('depth: {kind: metric, scale: 0}', 'depth.scale: got 0, expected a number that is not 0'),
        ('depth: {kind: metric, scale: 1, unit: m}', 'got scale 1 .* and unit m, which say the same; remove one'),
        ('depth: {kind: inverse, unit: mm}', 'depth.unit: got mm, but the depth is inverse, which has no unit'),
        ('depth: {kind: inverse, scale: 2}', 'got scale alone; inverse depth needs both'),
        ('depth: {kind: relative, shift: 2}', 'got shift alone; relative depth needs both'),
        ('depth: {unit: inch}', "depth.unit: got 'inch', expected one of m, cm, mm"),
        ('{depth: {kind: metric}, labels: [a]}', 'labels: no effect on a model for mono_depth'),
        ('{depth: {kind: metric}, outputs: {depth: x}}', "outputs.depth: m.onnx has no output 'x'"),
        ('{task: mono_depth, disparity: {scale: 1}}', 'disparity: no effect on a model for mono_depth'),
    ],
)
def test_what_a_card_says_wrongly_of_depth_is_said(tmp_path, said, says):
    with pytest.raises(ModelError, match=says):
        card_of(tmp_path, {'output': depth_map()}, said)


def test_a_line_that_gives_metres_below_zero_is_not_advised(tmp_path):
    path = write_constant(tmp_path / 'm.onnx', {'output': depth_map(low=-3, high=3)}, image=('image', F, NCHW))
    with pytest.raises(ModelError, match='may be a mask or depth'):
        read_card(path)
    path.with_suffix('.yaml').write_text('{task: mono_depth, depth: {kind: inverse}}')
    assert read_card(path).task is Task.MONO_DEPTH


def test_depth_of_another_size_than_the_image_is_an_error(tmp_path):
    with pytest.raises(ModelError, match=r'no output \(depth: .* has one number for each pixel of an input of 128 '):
        card_of(tmp_path, {'depth': depth_map((1, 1, 90, 128))}, 'task: mono_depth')


def patch_network(path):
    """A convolution over patches of 14 px and its depth, as large as the patches that fit into the image."""
    name = 'backbone.dinov2.patch_embed.weight'
    constants = [
        numpy_helper.from_array(RNG.normal(0, 0.05, (1, 3, 14, 14)).astype(np.float32), name),
        numpy_helper.from_array(np.float32([1, 1, 14, 14]), 'scales'),
        numpy_helper.from_array(np.int64([1]), 'axis'),
    ]
    nodes = [
        helper.make_node('Conv', ['image', name], ['patches'], strides=[14, 14]),
        helper.make_node('Resize', ['patches', '', 'scales'], ['large'], mode='nearest'),
        helper.make_node('Relu', ['large'], ['positive']),
        helper.make_node('Squeeze', ['positive', 'axis'], ['predicted_depth']),
    ]
    graph = helper.make_graph(
        nodes,
        'net',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, ['batch', 3, 'height', 'width'])],
        [helper.make_tensor_value_info('predicted_depth', TensorProto.FLOAT, ['batch', 'rows', 'columns'])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8, producer_name='pytorch')
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize('card', ['', 'task: mono_depth', 'depth: {kind: metric}'])
def test_a_patch_network_of_any_size_has_one_that_its_patches_divide(tmp_path, card):
    """As Depth Anything: of an image of 640 px it would give 630, which is no map of it."""
    path = patch_network(tmp_path / 'm.onnx')
    path.with_suffix('.yaml').write_text(card)
    found = read_card(path)
    assert found.task is Task.MONO_DEPTH and found.image.wh == (518, 518) and 'input_size' in assumed(found)
    path.with_suffix('.yaml').write_text(f'{card}\ninput_size: [280, 210]')
    assert read_card(path).image.wh == (280, 210)


@pytest.mark.skipif(not REAL.is_dir(), reason='no shared/data')
def test_tcmonodepth_takes_bytes_and_is_inverse():
    card = read_card(REAL / 'tcmonodepth_small_192x320.onnx')
    spec = card.image.preprocess
    assert card.task is Task.MONO_DEPTH and card.spec.kind is DepthKind.INVERSE
    assert (spec.scale, spec.mean, spec.std, spec.color) == (1.0, (0.0,) * 3, (1.0,) * 3, 'rgb')
    assert 'the graph normalises by itself' in card.sources['preprocess.scale'] and card.image.wh == (320, 192)


# --- stereo


def pair_network(path, scale=1.0, names=('left', 'right'), six='', nhwc=False, shape=None, wh=WH, output='disparity'):
    """Gives the shift of the pair that recognition runs it on, times `scale`; it looks at both images."""
    width, height = wh
    inputs = [six] if six else list(names)
    channels = 6 if six else 3
    dims = [1, height, width, channels] if nhwc else [1, channels, height, width]
    shape = list(shape or (1, 1, height, width))
    value = np.full(shape, probe_disparity(width) * scale, np.float32)
    value += RNG.uniform(-0.1, 0.1, shape).astype(np.float32) * abs(scale)
    constants = [numpy_helper.from_array(value, 'value'), numpy_helper.from_array(np.float32(1e-6), 'small')]
    nodes = [helper.make_node('ReduceMean', [name], [f'mean_{name}'], keepdims=0) for name in inputs]
    nodes += [
        helper.make_node('Sum', [f'mean_{name}' for name in inputs], ['seen']),
        helper.make_node('Mul', ['seen', 'small'], ['little']),
        helper.make_node('Add', ['value', 'little'], [output]),
    ]
    graph = helper.make_graph(
        nodes,
        'pair',
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8, producer_name='pytorch')
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize('names', [('left', 'right'), ('right', 'left'), ('img_L', 'img_R'), ('imgl', 'imgr')])
@pytest.mark.parametrize('shape', [(1, 1, 96, 128), (1, 96, 128), (1, 96, 128, 1), (1, 1, 24, 32)])
@pytest.mark.parametrize('nhwc', [False, True])
def test_a_stereo_network_is_known_by_its_two_images(tmp_path, names, shape, nhwc):
    card = read_card(pair_network(tmp_path / 'm.onnx', names=names, shape=shape, nhwc=nhwc))
    assert card.spec == StereoDepthSpec({'disparity': 'disparity'}, 1.0) and card.task is Task.STEREO_DEPTH
    left = next(name for name in names if 'l' in name.lower().removeprefix('img_')[:4] and 'r' not in name.lower()[-1:])
    sides = {image.role: image.tensor.name for image in card.images}
    assert set(sides) == {'left', 'right'} and (sides['left'] == left or 'right' not in names)
    assert card.images[0].preprocess == card.images[1].preprocess and card.images[0].layout == card.images[1].layout
    assert 'images' not in assumed(card) and 'disparity.scale' not in assumed(card)
    assert card.sources['disparity.scale'].startswith('one run on a pair shifted by')


@pytest.mark.parametrize('nhwc', [False, True])
def test_six_channels_are_a_pair(tmp_path, nhwc):
    card = read_card(pair_network(tmp_path / 'm.onnx', six='input', nhwc=nhwc))
    (image,) = card.images
    assert (image.role, image.channels, image.wh) == ('pair', 6, WH) and card.spec.scale == 1.0


@pytest.mark.parametrize('scale', [1.0, -1.0, 1 / 128, -1 / 128])
def test_the_unit_of_disparities_is_found_by_a_run(tmp_path, scale):
    card = read_card(pair_network(tmp_path / 'm.onnx', scale))
    assert card.spec.scale == pytest.approx(1 / scale) and 'disparity.scale' not in assumed(card)


def test_what_a_run_does_not_show_is_assumed(tmp_path):
    path = pair_network(tmp_path / 'm.onnx', 37.0, names=('a', 'b'))
    card = read_card(path)
    assert card.spec.scale == 1.0 and {'disparity.scale', 'images'} <= set(assumed(card))
    (line, _), *_ = assumed(card)['images'].alternatives
    path.with_suffix('.yaml').write_text(f'{line}\ndisparity: {{scale: -1}}\n')
    card = read_card(path)
    assert [image.tensor.name for image in card.images] == ['b', 'a'] and card.spec.scale == -1.0
    assert not {'disparity.scale', 'images'} & set(assumed(card))


def test_an_order_that_a_run_confirms_is_not_assumed(tmp_path):
    card = read_card(pair_network(tmp_path / 'm.onnx', names=('a', 'b')))
    assert [image.tensor.name for image in card.images] == ['a', 'b'] and 'images' not in assumed(card)


@pytest.mark.parametrize(
    'said, says',
    [
        ('images: {left: x, right: right}', "images: m.onnx has no input 'x'; its inputs are: left, right"),
        ('images: {left: left, right: left}', "images: got 'left' for both sides"),
        ('disparity: {scale: 0}', 'disparity.scale: got 0, expected a number that is not 0'),
        ('depth: {kind: metric}', r'depth: no effect on a model for stereo_depth \(the inputs\)'),
        ('outputs: {disparity: x}', "outputs.disparity: m.onnx has no output 'x'"),
    ],
)
def test_what_a_card_says_wrongly_of_a_pair_is_said(tmp_path, said, says):
    path = pair_network(tmp_path / 'm.onnx')
    path.with_suffix('.yaml').write_text(said)
    with pytest.raises(ModelError, match=says):
        read_card(path)


def test_two_images_and_no_disparity_are_unclear(tmp_path):
    """As optical flow has: two numbers for each pixel."""
    path = pair_network(tmp_path / 'm.onnx', names=('a', 'b'), shape=(1, 2, *WH[::-1]))
    with pytest.raises(ModelError, match='2 inputs could take the image'):
        read_card(path)
    path.with_suffix('.yaml').write_text('task: stereo_depth')
    with pytest.raises(ModelError, match='no output .* has one number for each pixel'):
        read_card(path)


def test_a_pair_for_a_single_image_is_an_error(tmp_path):
    with pytest.raises(ModelError, match='a stereo network takes two images of 3 channels, or one of 6; there are 1'):
        card_of(tmp_path, {'disparity': depth_map()}, 'task: stereo_depth')


# --- completion


SPARSE = ('sparse', F, (1, 1, 96, 128))


@pytest.mark.parametrize('name', ['depth', 'sparse_depth', 'lidar', 'd'])
@pytest.mark.parametrize('image, shape', [(NCHW, (1, 1, 96, 128)), (NHWC, (1, 96, 128, 1))])
@pytest.mark.parametrize('output', [(1, 1, 96, 128), (1, 96, 128)])
def test_an_image_and_a_depth_image_are_completion(tmp_path, name, image, shape, output):
    card = card_of(tmp_path, {'dense': depth_map(output)}, image=('image', F, image), beside=[(name, F, shape)])
    assert card.spec == DepthCompletionSpec({'depth': 'dense'}, 1.0) and card.task is Task.DEPTH_COMPLETION
    assert card.value_input(ValueRole.DEPTH).name == name and card.image.tensor.name == 'image'
    assert assumed(card)['depth.unit'].alternatives[0][0] == 'depth: {unit: mm}'


@pytest.mark.parametrize('said, scale', [('unit: mm', 0.001), ('unit: m', 1.0), ('scale: 0.00390625', 1 / 256)])
def test_a_card_gives_the_unit_of_depths(tmp_path, said, scale):
    card = card_of(tmp_path, {'dense': depth_map()}, f'depth: {{{said}}}', beside=[SPARSE])
    assert card.spec.scale == scale and card.task is Task.DEPTH_COMPLETION and 'depth.unit' not in assumed(card)


@pytest.mark.parametrize(
    'said, beside, says',
    [
        ('depth: {kind: metric}', [SPARSE], 'depth.kind: no effect on depth completion'),
        ('depth: {shift: 1}', [SPARSE], 'depth.shift: no effect on depth completion'),
        ('depth: {scale: 1, unit: m}', [SPARSE], 'which say the same'),
        ('task: depth_completion', [], "no input takes the sensor's depth"),
        ('value_inputs: {depth: x}', [SPARSE], "value_inputs.depth: m.onnx has no input 'x'"),
        ('', [('mask', F, (1, 1, 96, 128))], 'besides the image the model needs mask'),
        ('', [('depth', 'int64', (1, 1, 96, 128))], 'besides the image the model needs depth'),
        ('', [('sparse', F, (1, 1, 48, 64))], 'besides the image the model needs sparse'),
    ],
)
def test_what_is_wrong_with_a_completion_is_said(tmp_path, said, beside, says):
    with pytest.raises(ModelError, match=says):
        card_of(tmp_path, {'dense': depth_map()}, said, beside=beside)


def test_a_detector_that_needs_depth_is_refused_as_before(tmp_path):
    table = np.zeros((1, 7, 252), np.float32)
    with pytest.raises(ModelError, match='besides the image the model needs sparse'):
        card_of(tmp_path, {'output0': table}, 'labels: [a, b, c]', beside=[SPARSE])


@pytest.mark.parametrize('kind', ['mono', 'stereo', 'completion'])
def test_what_was_found_is_shown(tmp_path, kind):
    if kind == 'stereo':
        card = read_card(pair_network(tmp_path / 'm.onnx'))
    else:
        card = card_of(tmp_path, {'depth': depth_map()}, beside=[SPARSE] if kind == 'completion' else ())
    rows = card_rows(card)
    shown = {
        'mono': ('depth.kind', 'inverse'),
        'stereo': ('disparity.scale', '1'),
        'completion': ('depth.scale', '1'),
    }[kind]
    assert shown in [row[:2] for row in rows]
    assert not [row for row in rows if not row[2] and row[0] not in ('path', 'note')]


def test_every_layout_of_every_size(tmp_path):
    """Hundreds of shapes of one number for each pixel: each is recognised, or is refused."""
    for width, height in itertools.product((64, 97, 160, 257), (48, 61, 129)):
        for stride, kind in itertools.product((1, 2, 3, 4, 8), (0, 1, 2)):
            rows, columns = -(-height // stride), -(-width // stride)
            if stride == 3 and kind == 1:
                continue  # a table of any size may be a detector's
            shape = ((1, 1, rows, columns), (1, rows, columns), (1, rows, columns, 1))[kind]
            path = write_constant(
                tmp_path / f'{width}_{height}_{stride}_{kind}.onnx',
                {'depth': depth_map(shape)},
                image=('image', F, (1, 3, height, width)),
            )
            if stride == 3:
                with pytest.raises(ModelError, match='fit no known detector'):
                    read_card(path)
            else:
                assert read_card(path).task is Task.MONO_DEPTH, shape
