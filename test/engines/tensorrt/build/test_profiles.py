# SPDX-License-Identifier: Apache-2.0
"""Optimization profiles from the settings and the model card, and what is told where they don't fit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from support.dense.networks import write_filler, write_matcher
from support.onnx_models import write_model
from support.onnx_models.open_vocabulary import embeddings_of, write_open_vocabulary

from isaac_inference.engines.tensorrt.build.profiles import add_profile, profile_shapes
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError, EngineError
from isaac_inference.models import read_card


def card_of(tmp_path, *, card='', **options):
    path = write_model(tmp_path / 'cups.onnx', **options)
    if card:
        path.with_suffix('.yaml').write_text(card)
    return read_card(path)


def test_a_fixed_model_has_one_shape(tmp_path):
    assert profile_shapes(card_of(tmp_path), TensorRtSettings()) == {'images': ((1, 3, 64, 96),) * 3}


def test_a_dynamic_batch(tmp_path):
    shapes = profile_shapes(card_of(tmp_path, dynamic='batch'), TensorRtSettings(opt_batch=4, max_batch=8))
    assert shapes == {'images': ((1, 3, 64, 96), (4, 3, 64, 96), (8, 3, 64, 96))}


@pytest.mark.parametrize(
    ('layout', 'expected'),
    [
        ('NCHW', ((1, 3, 32, 64), (1, 3, 64, 96), (1, 3, 128, 192))),
        ('NHWC', ((1, 32, 64, 3), (1, 64, 96, 3), (1, 128, 192, 3))),
    ],
)
def test_a_dynamic_size(tmp_path, layout, expected):
    card = card_of(tmp_path, dynamic=True, layout=layout, card='input_size: [96, 64]\n')
    settings = TensorRtSettings(min_wh=(64, 32), max_wh=(192, 128))
    assert profile_shapes(card, settings) == {'images': expected}


def test_the_size_input_takes_the_batch(tmp_path):
    card = card_of(tmp_path, kind='boxes_scores_labels', dynamic='batch', card='labels: [a, b, c]\n')
    shapes = profile_shapes(card, TensorRtSettings(max_batch=4))
    assert shapes[card.size_input.name] == ((1, 2), (1, 2), (4, 2))


@pytest.mark.parametrize('rank', [2, 3])
def test_the_classes_do_not_take_the_batch(tmp_path, rank):
    path = write_open_vocabulary(tmp_path / 'm.onnx', rank=rank, batch='batch')
    np.save(tmp_path / 'classes.npy', embeddings_of(('cup', 'can')))
    (tmp_path / 'm.yaml').write_text('labels: [cup, can]\nvocabulary: {embeddings: classes.npy}')
    shapes = profile_shapes(read_card(path), TensorRtSettings(opt_batch=2, max_batch=4))
    assert shapes['images'][2] == (4, 3, 64, 96)
    assert shapes['txt_feats'] == ((2, 4) if rank == 2 else (1, 2, 4),) * 3


@pytest.mark.parametrize(
    ('options', 'settings', 'message'),
    [
        ({}, {'max_batch': 4}, r'\(1, 1, 4\), but cups takes 1 at a time.*dynamic batch'),
        ({}, {'max_wh': (192, 64)}, 'max_wh: got width 192, but cups is fixed to 96'),
        ({'dynamic': True}, {'min_wh': (128, 64), 'max_wh': (256, 64)}, 'widths 128, 96, 256 must rise and hold 96'),
    ],
)
def test_settings_that_do_not_fit_the_model(tmp_path, options, settings, message):
    card = card_of(tmp_path, card='input_size: [96, 64]\n' if options else '', **options)
    with pytest.raises(ConfigError, match=message):
        profile_shapes(card, TensorRtSettings(**settings))


class Builder:
    """The smallest builder: hands out a profile that notes what it is given; also its own configuration."""

    def __init__(self, index=0):
        self.given, self.index = {}, index

    def create_optimization_profile(self):
        return SimpleNamespace(set_shape=lambda name, *shapes: self.given.update({name: shapes}))

    def add_optimization_profile(self, profile):
        return self.index


def network(name='images', shape=(-1, 3, 64, 96), is_shape=False):
    tensor = SimpleNamespace(name=name, shape=shape, is_shape_tensor=is_shape)
    return SimpleNamespace(num_inputs=1, get_input=lambda index: tensor)


SHAPES = {'images': ((1, 3, 64, 96), (2, 3, 64, 96), (4, 3, 64, 96))}


def test_the_network_gets_its_profile():
    builder = Builder()
    add_profile(builder, builder, network(), SHAPES)
    assert builder.given == SHAPES


@pytest.mark.parametrize(
    ('found', 'error', 'message'),
    [
        (network('depth', (-1, 1, -1, 96)), EngineError, r"'depth' \[\?, 1, \?, 96\]: axis 0, 2 is open"),
        (network(is_shape=True), EngineError, "'images': its values decide"),
        (network(shape=(-1, 3, 32, 96)), ConfigError, r'profile has \[1, 3, 64, 96\], expected \[\?, 3, 32, 96\]'),
    ],
)
def test_a_network_that_the_profile_does_not_fit(found, error, message):
    builder = Builder()
    with pytest.raises(error, match=message):
        add_profile(builder, builder, found, SHAPES)


def test_a_profile_that_tensorrt_refuses():
    builder = Builder(index=-1)
    with pytest.raises(EngineError, match='profile was refused'):
        add_profile(builder, builder, network(), SHAPES)


def test_both_images_of_a_pair_have_the_same_profile(tmp_path):
    shapes = profile_shapes(read_card(write_matcher(tmp_path / 'm.onnx')), TensorRtSettings())
    assert shapes == dict.fromkeys(('left', 'right'), ((1, 3, 64, 96),) * 3)
    six = profile_shapes(read_card(write_matcher(tmp_path / 'six.onnx', six=True)), TensorRtSettings())
    assert six == {'pair': ((1, 6, 64, 96),) * 3}


def test_a_depth_input_is_as_large_as_the_image(tmp_path):
    path = write_filler(tmp_path / 'm.onnx', None, card='input_size: [96, 64]\ndepth: {unit: m}')
    shapes = profile_shapes(read_card(path), TensorRtSettings(max_wh=(192, 128)))
    assert shapes['image'] == ((1, 3, 64, 96), (1, 3, 64, 96), (1, 3, 128, 192))
    assert shapes['depth'] == ((1, 1, 64, 96), (1, 1, 64, 96), (1, 1, 128, 192))
