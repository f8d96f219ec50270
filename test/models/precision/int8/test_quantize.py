# SPDX-License-Identifier: Apache-2.0
"""Int8 by Q/DQ: ranges, what is quantised and what stays, and that doing it again gives the same file."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.paths import DATA
from support.precision_nets import METADATA, conv_net, feeds, model, run, save, weight

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.evaluation.agreement.boxes import ImageAgreement, agreement
from isaac_inference.models import read_card
from isaac_inference.models.precision import (
    CalibrationCache,
    CalibrationOptions,
    SweepOptions,
    calibrate,
    inspect_precision,
    quantize,
    quantize_mixed,
    to_float16,
)
from isaac_inference.models.precision.graph import load_graph
from isaac_inference.models.precision.int8.calibrate import tensor_ranges
from isaac_inference.models.precision.int8.calibration_cache import CalibrationKey
from isaac_inference.models.precision.int8.thresholds import threshold
from isaac_inference.models.precision.qdq import QDQ_OPS
from isaac_inference.stages import Postprocessor, Preprocessor

YOLOX = DATA / 'models' / 'yolox_nano.onnx'
NO_CACHE = CalibrationOptions(cache=None)


def initializers(made):
    return {item.name: numpy_helper.to_array(item) for item in made.graph.initializer}


def test_ranges_are_the_largest_magnitudes(tmp_path):
    made = load_graph(save(conv_net(), tmp_path / 'a.onnx'))
    images = feeds()
    ranges = tensor_ranges(made, ['x', 'r2'], images, method='minmax')
    assert ranges['x'] == pytest.approx(max(np.abs(feed['x']).max() for feed in images))
    whole = tensor_ranges(made, ['x', 'r2'], images, method='percentile', percentile=100.0)
    assert whole == pytest.approx(ranges)
    less = tensor_ranges(made, ['x', 'r2'], images, method='percentile', percentile=90.0)
    magnitudes = np.abs(np.concatenate([feed['x'].ravel() for feed in images]))
    assert less['x'] == pytest.approx(np.percentile(magnitudes, 90), rel=0.01)
    entropy = tensor_ranges(made, ['x'], images, method='entropy')
    assert 0 < entropy['x'] <= ranges['x']


def test_entropy_cuts_off_a_lonely_outlier_and_keeps_an_even_spread():
    lonely = (1e6 * np.exp(-0.5 * (np.arange(2048) / 150) ** 2)).astype(np.int64)
    lonely[-1] = 1
    assert threshold(lonely, 2048.0, 'minmax') == 2048.0
    assert 300 < threshold(lonely, 2048.0, 'entropy') < 1200
    even = np.full(2048, 100)
    assert threshold(even, 2048.0, 'entropy') > 1900


@pytest.mark.parametrize(('method', 'percentile'), [('median', 99.0), ('percentile', 20.0), ('percentile', 101.0)])
def test_unknown_methods_are_refused(tmp_path, method, percentile):
    source = save(conv_net(), tmp_path / 'a.onnx')
    with pytest.raises(ConfigError, match='expected'):
        quantize(source, tmp_path / 'b.onnx', feeds(), options=CalibrationOptions(method, percentile, cache=None))


def test_depthwise_and_last_layers_stay_float_and_scales_are_symmetric(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    report = quantize(source, tmp_path / 'b.onnx', feeds(), options=NO_CACHE)
    assert report.quantized == ('first', 'pointwise') and report.kept == ('depthwise', 'last') and report.images == 4
    made = onnx.load(tmp_path / 'b.onnx')
    values = initializers(made)
    quantizers = [node for node in made.graph.node if node.op_type == 'QuantizeLinear']
    assert len(quantizers) == 4, 'a pair for the input and one for the weight of each layer'
    assert all(values[node.input[2]].dtype == np.int8 and not values[node.input[2]].any() for node in quantizers)
    by_tensor = {node.input[0]: values[node.input[1]] for node in quantizers}
    assert by_tensor['w0'].shape == (8,) and by_tensor['w2'].shape == (16,)
    np.testing.assert_allclose(by_tensor['w2'], np.abs(values['w2']).max(axis=(1, 2, 3)) / 127, rtol=1e-5)
    assert values['b0'].dtype == np.float32, 'bias is no int8'
    assert not any(node.op_type not in QDQ_OPS and node.name not in report.quantized and
                   any('Dequantize' in name for name in node.input) for node in made.graph.node)  # fmt: skip
    for feed in feeds():
        before, after = run(source, feed)[0], run(tmp_path / 'b.onnx', feed)[0]
        assert np.linalg.norm(after - before) < 0.05 * np.linalg.norm(before)


def test_the_record_says_what_was_done(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    quantize(source, tmp_path / 'b.onnx', feeds(), options=CalibrationOptions('percentile', 99.9, None))
    found = inspect_precision(tmp_path / 'b.onnx')
    assert (found.kind, found.layers, found.int8_layers) == ('int8', 4, 2)
    record = found.record
    assert (record.precision, record.method, record.percentile) == ('int8', 'percentile', 99.9)
    assert record.calibration_images == 4 and len(record.calibration_sha256) == 64
    assert record.kept == ('depthwise', 'last')
    props = {item.key: item.value for item in onnx.load(tmp_path / 'b.onnx').metadata_props}
    assert METADATA.items() <= props.items()


def test_an_old_opset_is_raised_as_far_as_needed(tmp_path):
    source = save(conv_net(opset=11), tmp_path / 'a.onnx')
    quantize(source, tmp_path / 'b.onnx', feeds(), options=NO_CACHE)
    assert onnx.load(tmp_path / 'b.onnx').opset_import[0].version == 13


def test_the_same_images_give_the_same_file_from_the_cache_or_not(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    options = CalibrationOptions('entropy', cache=CalibrationCache(tmp_path / 'cache'))
    seen = [quantize(source, tmp_path / f'{n}.onnx', feeds(), options=options).from_cache for n in range(2)]
    assert seen == [False, True]
    quantize(source, tmp_path / '2.onnx', feeds(), options=CalibrationOptions('entropy', cache=None))
    assert len({(tmp_path / f'{n}.onnx').read_bytes() for n in range(3)}) == 1
    assert not quantize(source, tmp_path / '3.onnx', feeds(seed=3), options=options).from_cache, 'other images'


def test_a_damaged_cache_entry_is_no_entry(tmp_path):
    cache, key = CalibrationCache(tmp_path), CalibrationKey('a' * 64, 'b' * 64, 'minmax')
    assert cache.find(key, ['x']) is None
    path = cache.store(key, {'x': 1.5, 'y': 2.0})
    assert cache.find(key, ['x']) == {'x': 1.5}
    assert cache.find(key, ['x', 'z']) is None
    for content in ('', '{}', path.read_text()[:-20], path.read_text().replace('1.5', 'NaN')):
        path.write_text(content)
        assert cache.find(key, ['x']) is None


def test_what_has_qdq_already_is_refused_but_becomes_half(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    quantize(source, tmp_path / 'b.onnx', feeds(), options=NO_CACHE)
    with pytest.raises(ModelError, match='already has Q/DQ'):
        quantize(tmp_path / 'b.onnx', tmp_path / 'c.onnx', feeds(), options=NO_CACHE)
    to_float16(tmp_path / 'b.onnx', tmp_path / 'c.onnx')
    found = inspect_precision(tmp_path / 'c.onnx')
    assert (found.kind, found.int8_layers, found.half_layers) == ('int8', 2, 2)
    before, after = run(tmp_path / 'b.onnx', feeds(1)[0])[0], run(tmp_path / 'c.onnx', feeds(1)[0])[0]
    assert np.linalg.norm(after - before) < 0.03 * np.linalg.norm(before)


def test_no_images_or_no_layers_are_refused(tmp_path):
    source = save(conv_net(), tmp_path / 'a.onnx')
    with pytest.raises(ModelError, match='no image arrived'):
        quantize(source, tmp_path / 'b.onnx', [], options=NO_CACHE)
    with pytest.raises(ModelError, match='no layer can become int8'):
        quantize(source, tmp_path / 'b.onnx', feeds(), options=NO_CACHE, keep=['Conv'])
    with pytest.raises(ConfigError, match="no operator or node 'Konv'; did you mean 'Conv'"):
        quantize(source, tmp_path / 'b.onnx', feeds(), options=NO_CACHE, keep=['Konv'])
    broken = [{'x': np.full((1, 8, 6, 6), np.nan, np.float32)}]
    with pytest.raises(ModelError, match='not finite on the calibration images'):
        quantize(source, tmp_path / 'b.onnx', broken, options=NO_CACHE)
    assert not (tmp_path / 'b.onnx').exists()


def test_batch_normalisation_that_was_not_folded_is_refused(tmp_path):
    nodes = [
        helper.make_node('Conv', ['x', 'w'], ['c'], 'conv'),
        helper.make_node('BatchNormalization', ['c', 's', 's', 's', 'v'], ['n'], 'norm'),
        helper.make_node('Conv', ['n', 'w'], ['y'], 'last'),
    ]
    ones = numpy_helper.from_array(np.ones(8, np.float32), 'v')
    source = save(model(nodes, [weight('w', 8, 8, 1, 1), weight('s', 8), ones]), tmp_path / 'a.onnx')
    with pytest.raises(ModelError, match='norm .BatchNormalization. is not folded'):
        quantize(source, tmp_path / 'b.onnx', feeds(), options=NO_CACHE)


def test_matrix_products_have_a_scale_a_column(tmp_path):
    nodes = [
        helper.make_node('Conv', ['x', 'w'], ['c'], 'conv'),
        helper.make_node('MatMul', ['c', 'm'], ['d'], 'product'),
        helper.make_node('Conv', ['d', 'w'], ['y'], 'last'),
    ]
    source = save(model(nodes, [weight('w', 8, 8, 1, 1), weight('m', 6, 10, seed=2)]), tmp_path / 'a.onnx')
    quantize(source, tmp_path / 'b.onnx', feeds(), options=NO_CACHE)
    made = onnx.load(tmp_path / 'b.onnx')
    node = next(node for node in made.graph.node if node.op_type == 'QuantizeLinear' and node.input[0] == 'm')
    assert initializers(made)[node.input[1]].shape == (10,)


def test_a_sweep_keeps_the_layer_that_int8_spoils(tmp_path):
    made = conv_net()
    for item in made.graph.initializer:  # one channel is a thousand times the others: a scale a tensor can't hold both
        if item.name == 'w0':
            values = numpy_helper.to_array(item).copy()
            values[0] *= 1000.0
            item.CopyFrom(numpy_helper.from_array(values, 'w0'))
        if item.name == 'w1':
            values = numpy_helper.to_array(item).copy()
            values[0] /= 1e6
            item.CopyFrom(numpy_helper.from_array(values, 'w1'))
    ready = calibrate(save(made, tmp_path / 'a.onnx'), feeds(), NO_CACHE)
    lines: list[str] = []
    report = quantize_mixed(ready, tmp_path / 'b.onnx', feeds(), SweepOptions(wanted=0.999), lines.append)
    assert report.layers[0].node == 'depthwise' and 'depthwise' in report.kept
    assert report.all_int8 < 0.999 <= report.agreement and len(report.kept) < 3
    assert len(lines) == 3 + len(report.tried)
    found = inspect_precision(tmp_path / 'b.onnx')
    assert found.record.precision == 'mixed' and set(found.record.kept) == {*report.kept, 'last'}
    assert found.int8_layers == 3 - len(report.kept)


def test_a_sweep_that_needs_nothing_keeps_nothing_and_one_that_cannot_says_so(tmp_path):
    ready = calibrate(save(conv_net(), tmp_path / 'a.onnx'), feeds(), NO_CACHE)
    assert quantize_mixed(ready, tmp_path / 'b.onnx', feeds(), SweepOptions(wanted=0.5)).kept == ()
    with pytest.raises(ModelError, match='no mix reaches'):
        quantize_mixed(ready, tmp_path / 'c.onnx', feeds(), SweepOptions(wanted=1.0))
    with pytest.raises(ConfigError, match='min-agreement'):
        quantize_mixed(ready, tmp_path / 'c.onnx', feeds(), SweepOptions(wanted=1.5))
    assert not (tmp_path / 'c.onnx').exists()


@pytest.mark.skipif(not YOLOX.is_file(), reason=f'no YOLOX-nano at {YOLOX}')
def test_a_real_detector_still_finds_its_objects(tmp_path):
    card = read_card(YOLOX)
    prepare, find = Preprocessor(card), Postprocessor(card)
    pictures = [cv2.imread(str(path)) for path in sorted((DATA / 'coco' / 'calibration').glob('*.jpg'))]
    report = quantize(YOLOX, tmp_path / 'int8.onnx', [prepare(item)[0] for item in pictures], options=NO_CACHE)
    assert len(report.quantized) == 74 and len(report.kept) == 39
    seen = []
    for path in sorted((DATA / 'coco' / 'eval').glob('*.jpg')):
        feed, letterbox = prepare(cv2.imread(str(path)))
        both = [find({'output': run(file, feed)[0]}, letterbox) for file in (YOLOX, tmp_path / 'int8.onnx')]
        seen.append(ImageAgreement.of(path.name, *both, score_threshold=0.25))
    assert agreement(seen, 0.5) > 0.8
