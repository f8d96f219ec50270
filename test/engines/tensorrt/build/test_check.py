# SPDX-License-Identifier: Apache-2.0
"""The check of a new engine against its model; the "engine" here is ONNX Runtime with faults."""

from __future__ import annotations

import numpy as np
import pytest
from support.dense.networks import write_filler, write_matcher
from support.onnx_models import write_model
from support.onnx_models.open_vocabulary import embeddings_of, write_open_vocabulary

from isaac_inference.engines import create_engine
from isaac_inference.engines.reference import cpu_reference
from isaac_inference.engines.tensorrt.build.check import check_plan, image_feeds, similarity
from isaac_inference.errors import EngineError
from isaac_inference.models import read_card


@pytest.fixture
def card(tmp_path):
    return read_card(write_model(tmp_path / 'cups.onnx', 'yolov8'))


@pytest.fixture
def run(card):
    with create_engine(card, 'onnxruntime') as engine:
        yield engine.infer


@pytest.fixture
def model(card):
    with cpu_reference(card) as run:
        yield run


def changed(run, change):
    return lambda feeds: {name: change(array.copy()) for name, array in run(feeds).items()}


def test_an_equal_engine_agrees(card, run, model):
    assert check_plan(card, run, model, 0.999) == pytest.approx({'output0': 1.0})


@pytest.mark.parametrize('dynamic', [False, 'batch'])
@pytest.mark.parametrize('dtype', ['float32', 'float16', 'uint8'])
@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
def test_feeds_fit_the_model(tmp_path, dynamic, dtype, layout):
    card = read_card(write_model(tmp_path / 'm.onnx', dynamic=dynamic, dtype=dtype, layout=layout))
    with create_engine(card, 'onnxruntime') as engine, cpu_reference(card) as model:
        assert check_plan(card, engine.infer, model, 0.99, batch=3)
    feeds = image_feeds(card, 3, seed=1)['images']
    assert feeds.shape == card.image.shape(3 if dynamic else 1)
    assert np.array_equal(feeds, image_feeds(card, 3, seed=1)['images'])
    assert not np.array_equal(feeds, image_feeds(card, 3, seed=2)['images'])


def test_every_input_is_fed(tmp_path):
    (tmp_path / 'm.yaml').write_text('labels: [a, b, c]')
    card = read_card(write_model(tmp_path / 'm.onnx', 'boxes_scores_labels'))
    with create_engine(card, 'onnxruntime') as engine, cpu_reference(card) as model:
        assert check_plan(card, engine.infer, model, 0.99)


def test_the_classes_are_fed_to_a_batch(tmp_path):
    np.save(tmp_path / 'classes.npy', embeddings_of(('cup', 'can')))
    (tmp_path / 'm.yaml').write_text('labels: [cup, can]\nvocabulary: {embeddings: classes.npy}')
    card = read_card(write_open_vocabulary(tmp_path / 'm.onnx', batch='batch'))
    assert np.array_equal(image_feeds(card, 3, seed=1)['txt_feats'], embeddings_of(('cup', 'can'))[None])
    with create_engine(card, 'onnxruntime') as engine, cpu_reference(card) as model:
        assert check_plan(card, engine.infer, model, 0.99, batch=3)


def test_nan_is_refused_by_name(card, run, model):
    def break_one(array):
        array.ravel()[3] = np.nan
        return array

    with pytest.raises(EngineError, match='NaN or infinity in output0.*not kept'):
        check_plan(card, changed(run, break_one), model, 0.0)


def test_wrong_scores_are_refused_though_boxes_are_larger(card, run, model):
    def swap(array):
        array[:, 4:] = array[:, [5, 6, 4]]
        return array

    with pytest.raises(EngineError, match=r'output0 0\.\d+, expected 0.98 or more'):
        check_plan(card, changed(run, swap), model, 0.98)


def test_noise_of_float16_agrees(card, run, model):
    values = check_plan(card, changed(run, lambda array: array.astype(np.float16).astype(np.float32)), model, 0.999)
    assert 0.999 < values['output0'] < 1.0


def test_with_nothing_to_compare_only_nan_is_refused(card, run):
    assert check_plan(card, changed(run, lambda array: -array), None, 0.98) == {}
    with pytest.raises(EngineError, match='NaN or infinity in output0'):
        check_plan(card, changed(run, lambda array: array * np.nan), None, 0.98)


def test_similarity():
    generator = np.random.default_rng(3)
    array = generator.normal(size=(1, 7, 50)).astype(np.float32)
    assert similarity(array, array) == pytest.approx(1.0)
    assert similarity(array, -array) == pytest.approx(-1.0)
    assert similarity(array, np.zeros_like(array)) == 0.0
    assert similarity(np.zeros_like(array), np.zeros_like(array)) == 1.0
    assert similarity(array, array[:, :, :-1]) == 0.0
    assert similarity(array[:, :, :0], array[:, :, :0]) == 1.0
    assert np.isnan(similarity(array, array * np.nan))
    shuffled = array[:, :, ::-1]
    assert similarity(array, shuffled) < 0.9
    assert similarity(array, shuffled, order_free=True) == pytest.approx(1.0)


@pytest.mark.parametrize('six', [False, True])
def test_a_pair_is_one_picture_from_two_places(tmp_path, six):
    card = read_card(write_matcher(tmp_path / 'm.onnx', six=six))
    with create_engine(card, 'onnxruntime') as engine, cpu_reference(card) as model:
        assert check_plan(card, engine.infer, model, 0.99)
        feeds = image_feeds(card, 1, seed=1)
        disparity = engine.infer(feeds)['disparity']
    left, right = np.split(feeds['pair'], 2, axis=1) if six else (feeds['left'], feeds['right'])
    assert np.abs(left - right).max() > 0.1 and left.min() >= 0.0 and left.max() <= 1.0
    assert np.median(disparity) == pytest.approx(96 // 20, abs=0.1)


def test_depth_with_holes_is_fed(tmp_path):
    card = read_card(write_filler(tmp_path / 'm.onnx', card='depth: {unit: mm, unknown: -1}'))
    depth = image_feeds(card, 1, seed=1)['depth']
    assert depth.shape == (1, 1, 48, 64) and depth.dtype == np.float32
    assert 0.01 < (depth == -1.0).mean() < 0.1 and depth[depth > 0].min() >= 1000.0 and depth.max() < 3600.0
    with create_engine(card, 'onnxruntime') as engine, cpu_reference(card) as model:
        assert check_plan(card, engine.infer, model, 0.99)
