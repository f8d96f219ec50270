# SPDX-License-Identifier: Apache-2.0
"""The ONNX Runtime backend on tiny models: results, shapes, providers, threads, and files it can't load."""

from __future__ import annotations

import logging
import re

import numpy as np
import onnx
import pytest
from support.onnx_models import KINDS, build_model, save_model, write_model, write_model_of_links
from support.paths import YOLOX_NANO

from isaac_inference.engines import cpus, create_engine, non_finite
from isaac_inference.engines.onnxruntime import loader
from isaac_inference.errors import EngineError, ModelError
from isaac_inference.models import read_card


def make_card(folder, kind='yolov8', card='labels: [a, b, c]', **options):
    """The card of a tiny model."""
    path = write_model(folder / f'{kind}.onnx', kind, **options)
    path.with_suffix('.yaml').write_text(card)
    return read_card(path)


def feeds_of(card, gray, batch=1):
    """Feeds for an image of one gray value, 0 to 255, preprocessed as the card says."""
    spec, axes = card.image.preprocess, (1, 3, 1, 1) if card.image.layout == 'NCHW' else (1, 1, 1, 3)
    pixel = (gray * spec.scale - np.reshape(spec.mean, axes)) / np.reshape(spec.std, axes)
    shape = card.image.shape(batch)
    feeds = {card.image.tensor.name: np.broadcast_to(pixel, shape).astype(card.image.tensor.dtype)}
    if card.size_input is not None:
        feeds[card.size_input.name] = np.full((batch, 2), card.image.wh, card.size_input.dtype)
    return feeds


@pytest.mark.parametrize('kind', KINDS)
def test_every_family_runs_and_depends_on_the_image(tmp_path, kind):
    text = 'labels: [a, b, c]\n' + ('decoder_options: {normalized: true}' if kind == 'normalized_boxes' else '')
    card = make_card(tmp_path, kind, text)
    with create_engine(card, threads=1) as engine:
        white, black = engine.infer(feeds_of(card, 255)), engine.infer(feeds_of(card, 0))
    assert set(white) == {spec.name for spec in engine.outputs}
    for spec in engine.outputs:
        array = white[spec.name]
        assert array.dtype == spec.dtype and spec.accepts_shape(array.shape), spec.describe()
    assert not non_finite(white)
    assert any(not np.array_equal(white[name], black[name]) for name in white)


def test_results_are_right_and_belong_to_the_caller(tmp_path):
    card = make_card(tmp_path)
    with create_engine(card) as engine:
        assert not engine.reuses_outputs
        white = engine.infer(feeds_of(card, 255))['output0']
        kept = white.copy()
        engine.infer(feeds_of(card, 0))
    np.testing.assert_array_equal(white, kept)
    assert white.shape == (1, 7, 126) and white[0, 4:].max() == pytest.approx(0.9)


def test_outputs_without_a_role_are_not_fetched(tmp_path):
    model = build_model('yolov5')
    model.graph.node.append(onnx.helper.make_node('Reshape', ['features', 'five'], ['map']))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 1, 1, 1, 2]), 'five'))
    model.graph.output.append(onnx.helper.make_tensor_value_info('map', onnx.TensorProto.FLOAT, [1, 1, 1, 1, 2]))
    with create_engine(read_card(save_model(model, tmp_path / 'm.onnx'))) as engine:
        assert list(engine.infer(engine.zero_feeds())) == ['output0']


def test_dynamic_batch(tmp_path):
    card = make_card(tmp_path, dynamic='batch')
    with create_engine(card) as engine:
        images = np.concatenate([feeds_of(card, gray)['images'] for gray in (0, 128, 255)])
        scores = engine.infer({'images': images})['output0'][:, 4:].max(axis=(1, 2))
    np.testing.assert_allclose(scores, [0.0, 0.9 * 128 / 255, 0.9], atol=1e-5)


def test_dynamic_height_and_width(tmp_path):
    card = make_card(tmp_path, card='{labels: [a, b, c], input_size: [96, 64]}', dynamic=True)
    with create_engine(card) as engine:
        for height, width in ((64, 96), (32, 32), (33, 101)):
            output = engine.infer({'images': np.ones((2, 3, height, width), np.float32)})['output0']
            assert output[:, 4:].max() == pytest.approx(0.9)


@pytest.mark.parametrize('dtype, layout', [('float16', 'NCHW'), ('uint8', 'NHWC'), ('float32', 'NHWC')])
def test_other_element_types_and_layouts(tmp_path, dtype, layout):
    card = make_card(tmp_path, dtype=dtype, layout=layout)
    with create_engine(card) as engine:
        assert engine.infer(feeds_of(card, 255))['output0'][0, 4:].max() == pytest.approx(0.9, abs=1e-3)


def test_weights_beside_the_model(tmp_path):
    card = make_card(tmp_path, external_data=True)
    with create_engine(card) as engine:
        assert engine.infer(feeds_of(card, 255))['output0'][0, 4:].max() == pytest.approx(0.9)


@pytest.mark.parametrize('far', [False, True])
def test_weights_behind_links(tmp_path, far):
    card = read_card(write_model_of_links(tmp_path, far=far))
    with create_engine(card) as engine:
        assert engine.infer(feeds_of(card, 255))['output0'][0, 4:].max() == pytest.approx(0.9)


def test_weights_behind_links_that_others_can_redirect_are_not_loaded(tmp_path):
    card = read_card(write_model_of_links(tmp_path, far=True))
    (tmp_path / 'blobs').chmod(0o777)
    with pytest.raises(ModelError, match='blobs can be written by everybody'):
        create_engine(card).open()


def test_feeds_are_checked(tmp_path):
    with create_engine(make_card(tmp_path)) as engine, pytest.raises(EngineError, match="missing .'images'."):
        engine.infer({'image': np.zeros(1)})


def test_the_device_names_the_threads(tmp_path):
    card = make_card(tmp_path)
    with create_engine(card, threads=1) as engine:
        assert engine.device == 'CPU (1 thread)'
    with create_engine(card, threads=3, spinning=False, providers=['cpu']) as engine:
        assert engine.device == 'CPU (3 threads)'
    with create_engine(card) as engine:
        assert re.fullmatch(r'CPU \(\d+ threads?\)', engine.device)


def test_usable_cpus_respects_the_containers_quota(tmp_path, monkeypatch):
    quota = tmp_path / 'cpu.max'
    monkeypatch.setattr(cpus, '_CPU_QUOTA', quota)
    monkeypatch.setattr(cpus.os, 'sched_getaffinity', lambda _: set(range(16)), raising=False)
    assert cpus.usable_cpus() == 16
    for content, count in (('max 100000', 16), ('250000 100000', 3), ('50000 100000', 1), ('odd', 16)):
        quota.write_text(content)
        assert cpus.usable_cpus() == count


def test_providers(monkeypatch):
    every = ['TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(loader.ort, 'get_available_providers', lambda: every)
    assert loader.choose_providers([]) == ['CUDAExecutionProvider', 'CPUExecutionProvider']
    assert loader.choose_providers(['tensorrt', 'CPUExecutionProvider']) == [every[0], every[2]]
    with pytest.raises(EngineError, match="provider 'rocm' is not available; available are: TensorrtExecutionProvider"):
        loader.choose_providers(['rocm'])


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_a_missing_provider_is_an_error_only_when_asked_for(tmp_path, monkeypatch, caplog):
    card = make_card(tmp_path)
    with pytest.raises(EngineError, match="provider 'cuda' is not available; available are: .*CPUExecutionProvider"):
        create_engine(card, providers=['cuda']).open()
    monkeypatch.setattr(loader, 'choose_providers', lambda asked: ['CUDAExecutionProvider', 'CPUExecutionProvider'])
    with caplog.at_level(logging.WARNING), create_engine(card) as engine:
        assert engine.device.startswith('CPU')
    assert 'could not start CUDAExecutionProvider and runs on CPUExecutionProvider' in caplog.text
    with pytest.raises(
        EngineError, match='could not start CUDAExecutionProvider .* or leave `onnxruntime.providers` empty'
    ):
        create_engine(card, providers=['cuda']).open()


def test_an_unsupported_operator_is_named(tmp_path):
    model = build_model('yolox')
    for node in model.graph.node:
        if node.op_type == 'MatMul':
            node.op_type, node.domain = 'EfficientNMS_TRT', 'trt'
    model.opset_import.append(onnx.helper.make_opsetid('trt', 1))
    engine = create_engine(read_card(save_model(model, tmp_path / 'm.onnx')))
    with pytest.raises(EngineError, match=r'm\.onnx: EfficientNMS_TRT is a plugin of TensorRT, .*; export') as caught:
        engine.open()
    assert '\n' not in str(caught.value) and 'ONNXRuntimeError' not in str(caught.value)
    assert not engine.is_open


def test_a_graph_that_is_broken_inside(tmp_path):
    model = build_model('yolox')
    model.graph.node[0].input[0] = 'nothing_makes_this'
    with pytest.raises(EngineError, match='cannot load the model; .* It said: .*nothing_makes_this'):
        create_engine(read_card(save_model(model, tmp_path / 'm.onnx'))).open()


def test_a_file_that_changed_after_its_card_was_read(tmp_path):
    card = make_card(tmp_path)
    write_model(card.path, 'yolov8', input_name='other')
    with pytest.raises(EngineError, match=r"the file changed since its card was read: it has inputs \['other'\]"):
        create_engine(card).open()


def test_a_failure_inside_of_a_run_names_the_engine(tmp_path):
    model = build_model('yolov8', dynamic=True)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 3, 64, 96]), 'fixed'))
    model.graph.node.insert(0, onnx.helper.make_node('Reshape', ['images', 'fixed'], ['reshaped']))
    model.graph.node[1].input[0] = 'reshaped'
    path = save_model(model, tmp_path / 'm.onnx')
    path.with_suffix('.yaml').write_text('input_size: [96, 64]')
    with create_engine(read_card(path)) as engine:
        with pytest.raises(EngineError, match=r'm \(onnxruntime\): inference failed: .*Reshape'):
            engine.infer({'images': np.zeros((1, 3, 32, 32), np.float32)})
        engine.infer(engine.zero_feeds())


@pytest.mark.skipif(not YOLOX_NANO.is_file(), reason=f'no YOLOX-nano at {YOLOX_NANO}')
def test_the_real_detector_equals_a_bare_session():
    import onnxruntime as ort

    images = np.random.default_rng(0).uniform(0, 255, (1, 3, 416, 416)).astype(np.float32)
    bare = ort.InferenceSession(str(YOLOX_NANO), providers=['CPUExecutionProvider']).run(None, {'images': images})[0]
    with create_engine(read_card(YOLOX_NANO), threads=2) as engine:
        np.testing.assert_allclose(engine.infer({'images': images})['output'], bare, atol=1e-4)
