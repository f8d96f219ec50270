# SPDX-License-Identifier: Apache-2.0
"""Float16 by casting: what stays float32, where casts stand, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import KINDS, write_model, write_model_of_links
from support.paths import YOLOX_NANO
from support.precision_nets import METADATA, conv_net, feeds, model, run, save, weight

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.models import read_card
from isaac_inference.models.demo import demo_model
from isaac_inference.models.precision import DEFAULT_KEEP, inspect_precision, to_float16
from isaac_inference.models.precision.graph import load_graph

NEEDS = {'normalized_boxes': 'decoder_options: {normalized: true}\n'}


def kinds_of(made):
    """Element type of each tensor, by ONNX's own inference."""
    inferred = onnx.shape_inference.infer_shapes(made, strict_mode=True).graph
    types = {item.name: item.type.tensor_type.elem_type for item in (*inferred.value_info, *inferred.output)}
    types.update({item.name: item.data_type for item in inferred.initializer})
    return types


def ops(made):
    return [node.op_type for node in made.graph.node]


def test_weights_become_half_and_the_decoding_stays_float(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    report = to_float16(source, tmp_path / 'b.onnx', feeds=feeds())
    made = onnx.load(tmp_path / 'b.onnx')
    types = kinds_of(made)
    assert {types[name] for name in ('w0', 'b0', 'w1', 'w2', 'w3')} == {TensorProto.FLOAT16}
    assert types['hundred'] == TensorProto.FLOAT, 'pixels are computed in float32'
    assert ops(made).count('Cast') == report.casts == 2
    assert report.float_ops == {'Mul': 1} and report.half_nodes == 6
    assert (made.ir_version, made.opset_import[0].version) == (8, 13)
    for feed in feeds():
        np.testing.assert_allclose(run(tmp_path / 'b.onnx', feed)[0], run(source, feed)[0], rtol=0.02, atol=0.5)


def test_metadata_stays_and_the_record_is_added(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    to_float16(source, tmp_path / 'b.onnx')
    props = {item.key: item.value for item in onnx.load(tmp_path / 'b.onnx').metadata_props}
    assert METADATA.items() <= props.items()
    found = inspect_precision(tmp_path / 'b.onnx')
    assert (found.kind, found.layers, found.half_layers) == ('fp16', 4, 4)
    assert found.record.precision == 'fp16' and len(found.record.source_sha256) == 64
    assert inspect_precision(source).kind == 'fp32' and inspect_precision(source).record is None


def test_inputs_and_outputs_become_half_when_asked(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    to_float16(source, tmp_path / 'b.onnx', io_types='float16')
    feed = feeds(1)[0]
    (got,) = run(tmp_path / 'b.onnx', {'x': feed['x'].astype(np.float16)})
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, run(source, feed)[0], rtol=0.02, atol=0.5)
    with pytest.raises(ConfigError, match='io-types'):
        to_float16(source, tmp_path / 'c.onnx', io_types='int8')


def test_the_scales_of_a_resize_stay_float(tmp_path):
    nodes = [
        helper.make_node('Resize', ['x', '', 'scales'], ['r'], 'resize', mode='nearest'),
        helper.make_node('Conv', ['r', 'w'], ['y'], 'conv'),
    ]
    scales = numpy_helper.from_array(np.array([1, 1, 1 / 3, 1 / 3], np.float32), 'scales')
    source = save(model(nodes, [scales, weight('w', 4, 8, 1, 1)]), tmp_path / 'a.onnx')
    to_float16(source, tmp_path / 'b.onnx')
    types = kinds_of(onnx.load(tmp_path / 'b.onnx'))
    assert types['scales'] == TensorProto.FLOAT and types['r'] == TensorProto.FLOAT16
    assert run(tmp_path / 'b.onnx', feeds(1)[0])[0].shape == run(source, feeds(1)[0])[0].shape


def test_one_cast_serves_all_readers_and_neighbours_in_float_need_none(tmp_path):
    nodes = [
        helper.make_node('Conv', ['x', 'w'], ['c'], 'conv'),
        helper.make_node('Exp', ['c'], ['e'], 'exp'),
        helper.make_node('Log', ['e'], ['l'], 'log'),
        helper.make_node('Softplus', ['c'], ['s'], 'softplus'),
        helper.make_node('Add', ['l', 's'], ['a'], 'add'),
        helper.make_node('Conv', ['a', 'w'], ['y'], 'conv2'),
    ]
    source = save(model(nodes, [weight('w', 8, 8, 1, 1)]), tmp_path / 'a.onnx')
    to_float16(source, tmp_path / 'b.onnx')
    made = onnx.load(tmp_path / 'b.onnx')
    # x, c once for both readers, l and s towards the sum, y
    assert ops(made).count('Cast') == 5
    np.testing.assert_allclose(run(tmp_path / 'b.onnx', feeds(1)[0])[0], run(source, feeds(1)[0])[0], atol=0.05)


def test_a_weight_read_by_both_sides_is_kept_in_both_types(tmp_path):
    nodes = [
        helper.make_node('Conv', ['x', 'w'], ['c'], 'conv'),
        helper.make_node('Add', ['c', 'v'], ['d'], 'half'),
        helper.make_node('Conv', ['d', 'w'], ['e'], 'conv2'),
        helper.make_node('Add', ['e', 'v'], ['y'], 'decode'),
    ]
    source = save(model(nodes, [weight('w', 8, 8, 1, 1), weight('v', 1, 8, 1, 1)]), tmp_path / 'a.onnx')
    to_float16(source, tmp_path / 'b.onnx')
    types = kinds_of(onnx.load(tmp_path / 'b.onnx'))
    assert sorted(kind for name, kind in types.items() if name.startswith('v')) == [
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
    ]


def test_an_inner_graph_stays_float_with_what_it_takes_from_outside(tmp_path):
    def branch(name, op):
        out = helper.make_tensor_value_info(f'{name}_out', TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, ['c'], [f'{name}_out'], name)], name, [], [out])

    nodes = [
        helper.make_node('Conv', ['x', 'w'], ['c'], 'conv'),
        helper.make_node(
            'If', ['yes'], ['i'], 'if', then_branch=branch('then', 'Neg'), else_branch=branch('else', 'Abs')
        ),
        helper.make_node('Conv', ['i', 'w'], ['y'], 'conv2'),
    ]
    yes = numpy_helper.from_array(np.array(True), 'yes')
    source = save(model(nodes, [weight('w', 8, 8, 1, 1), yes]), tmp_path / 'a.onnx')
    to_float16(source, tmp_path / 'b.onnx')
    np.testing.assert_allclose(run(tmp_path / 'b.onnx', feeds(1)[0])[0], run(source, feeds(1)[0])[0], atol=0.05)


def test_an_output_that_others_read_keeps_its_name_and_type(tmp_path):
    nodes = [
        helper.make_node('Conv', ['x', 'w'], ['features'], 'conv'),
        helper.make_node('Conv', ['features', 'w'], ['y'], 'conv2'),
    ]
    source = save(model(nodes, [weight('w', 8, 8, 1, 1)], outputs=('features', 'y')), tmp_path / 'a.onnx')
    to_float16(source, tmp_path / 'b.onnx')
    got = run(tmp_path / 'b.onnx', feeds(1)[0])
    assert [value.dtype for value in got] == [np.float32, np.float32]
    np.testing.assert_allclose(got[0], run(source, feeds(1)[0])[0], atol=0.05)


def test_weights_that_half_cannot_hold_are_counted(tmp_path):
    values = np.array([1e5, -1e6, 1.0, 1e-6, 1e-9, np.inf, 0.0, 2.0], np.float32).reshape(1, 8, 1, 1)
    nodes = [helper.make_node('Conv', ['x', 'w'], ['y'], 'conv')]
    source = save(model(nodes, [numpy_helper.from_array(values, 'w')]), tmp_path / 'a.onnx')
    report = to_float16(source, tmp_path / 'b.onnx')
    (loss,) = report.losses
    assert (loss.name, loss.clamped, loss.subnormal, loss.flushed, loss.size) == ('w', 2, 1, 1, 8)
    (made,) = onnx.load(tmp_path / 'b.onnx').graph.initializer
    half = numpy_helper.to_array(made).ravel()
    assert half[0] == 65504 and half[1] == -65504 and np.isinf(half[5])


def overflowing():
    nodes = [
        helper.make_node('Conv', ['x', 'w'], ['c'], 'conv'),
        helper.make_node('Mul', ['c', 'many'], ['m'], 'large'),
        helper.make_node('Div', ['m', 'many'], ['d'], 'small'),
        helper.make_node('Conv', ['d', 'w'], ['y'], 'conv2'),
    ]
    many = numpy_helper.from_array(np.float32(60000), 'many')
    return model(nodes, [weight('w', 8, 8, 1, 1), many])


def test_what_leaves_the_range_is_refused_with_what_to_keep(tmp_path):
    source = save(overflowing(), tmp_path / 'a.onnx')
    with pytest.raises(ModelError, match=r'outputs y would be.*m reaches .*--keep Mul.*large,small'):
        to_float16(source, tmp_path / 'b.onnx', feeds=feeds())
    assert not (tmp_path / 'b.onnx').exists()
    to_float16(source, tmp_path / 'b.onnx', keep_ops=DEFAULT_KEEP | {'large', 'small'}, feeds=feeds())
    np.testing.assert_allclose(run(tmp_path / 'b.onnx', feeds(1)[0])[0], run(source, feeds(1)[0])[0], atol=0.05)


def test_names_to_keep_are_operators_nodes_or_patterns(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    report = to_float16(source, tmp_path / 'b.onnx', keep_ops=DEFAULT_KEEP | {'depth*'})
    assert report.float_ops == {'Mul': 1, 'Conv': 1}
    for wrong in ('Relo', '*nothing*'):
        with pytest.raises(ConfigError, match='no operator or node'):
            to_float16(source, tmp_path / 'c.onnx', keep_ops=DEFAULT_KEEP | {wrong})


def test_the_source_is_never_overwritten_and_half_is_not_halved_again(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    with pytest.raises(ConfigError, match='which is not modified'):
        to_float16(source, source)
    link = tmp_path / 'link.onnx'
    link.symlink_to(source)
    with pytest.raises(ConfigError, match='which is not modified'):
        to_float16(source, link)
    to_float16(source, tmp_path / 'b.onnx', keep_ops=())
    nodes = [helper.make_node('Relu', ['x'], ['y'])]
    with pytest.raises(ModelError, match='no float32 weights'):
        to_float16(save(model(nodes, []), tmp_path / 'c.onnx'), tmp_path / 'd.onnx')


def test_open_dimensions_stay_open(tmp_path):
    source = save(conv_net(batch='n'), tmp_path / 'a.onnx')
    to_float16(source, tmp_path / 'b.onnx', feeds=feeds())
    feed = feeds(1, (3, 8, 6, 6))[0]
    np.testing.assert_allclose(run(tmp_path / 'b.onnx', feed)[0], run(source, feed)[0], rtol=0.02, atol=0.5)


def test_weights_beside_the_model_are_read(tmp_path):
    source = write_model(tmp_path / 'a.onnx', 'yolov8', external_data=True)
    to_float16(source, tmp_path / 'sub' / 'b.onnx')
    assert read_card(tmp_path / 'sub' / 'b.onnx').detection.decoder == 'yolov8'


def test_weights_behind_links_are_read(tmp_path):
    plain = write_model(tmp_path / 'model.onnx', 'yolov8')
    source = write_model_of_links(tmp_path)
    assert load_graph(source) == load_graph(plain)
    to_float16(source, tmp_path / 'b.onnx')
    assert read_card(tmp_path / 'b.onnx').detection.decoder == 'yolov8'


def test_weights_that_end_too_early_are_named(tmp_path):
    source = write_model(tmp_path / 'a.onnx', 'yolov8', external_data=True)
    weights = tmp_path / 'a.onnx.data'
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(
        ModelError, match=r"weights '.*' are bytes \d+ to \d+ of 'a.onnx.data', which has \d+; download"
    ):
        load_graph(source)


@pytest.mark.parametrize('kind', sorted(KINDS))
@pytest.mark.parametrize('io_types', ['float32', 'float16'])
def test_every_family_still_runs_and_has_the_same_card(tmp_path, kind, io_types):
    source = write_model(tmp_path / 'a.onnx', kind)
    for name in 'ab':
        (tmp_path / f'{name}.yaml').write_text(f'labels: [cup, can, box]\n{NEEDS.get(kind, "")}')
    to_float16(source, tmp_path / 'b.onnx', io_types=io_types)
    before, after = read_card(source), read_card(tmp_path / 'b.onnx')
    assert (before.detection.decoder, before.labels, before.image.preprocess, before.spec.roles) == (
        after.detection.decoder,
        after.labels,
        after.image.preprocess,
        after.spec.roles,
    )
    assert after.image.tensor.dtype == io_types
    feed = {before.image.tensor.name: np.full(before.image.shape(), 0.5, np.float32)}
    if before.size_input is not None:
        feed[before.size_input.name] = np.array([before.image.wh], before.size_input.dtype)
    half = {name: value.astype(io_types) if value.dtype == np.float32 else value for name, value in feed.items()}
    for first, second in zip(run(source, feed), run(tmp_path / 'b.onnx', half), strict=True):
        np.testing.assert_allclose(second.astype(np.float64), first.astype(np.float64), rtol=0.02, atol=0.02)


def test_the_demo_model_loads_and_keeps_its_card(tmp_path):
    source = demo_model()
    report = to_float16(source, tmp_path / 'demo.onnx')
    # Floor: the cells in which corners are looked up, so their positions are not rounded to float16
    assert {'TopK', 'Floor', 'Exp'} <= set(report.float_ops) and report.half_nodes > 90
    before, after = read_card(source), read_card(tmp_path / 'demo.onnx')
    assert (before.labels, before.detection.decoder, before.keypoints, before.masks) == (
        after.labels,
        after.detection.decoder,
        after.keypoints,
        after.masks,
    )
    feed = {'images': np.random.default_rng(0).random(before.image.shape(), np.float32)}
    rows, prototypes = run(tmp_path / 'demo.onnx', feed)
    assert np.isfinite(rows).all() and np.isfinite(prototypes).all()


@pytest.mark.skipif(not YOLOX_NANO.is_file(), reason=f'no YOLOX_NANO-nano at {YOLOX_NANO}')
def test_a_real_detector_keeps_its_outputs(tmp_path):
    report = to_float16(YOLOX_NANO, tmp_path / 'half.onnx')
    assert report.clamped == 0 and report.casts <= 10
    assert (tmp_path / 'half.onnx').stat().st_size < 0.55 * YOLOX_NANO.stat().st_size
    feed = {'images': np.random.default_rng(0).uniform(0, 255, (1, 3, 416, 416)).astype(np.float32)}
    (before,), (after,) = run(YOLOX_NANO, feed), run(tmp_path / 'half.onnx', feed)
    assert np.linalg.norm(after - before) < 0.05 * np.linalg.norm(before)
