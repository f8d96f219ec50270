# SPDX-License-Identifier: Apache-2.0
"""Whether two models take the same tensors of an image."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.onnx_models import write_model

from isaac_inference.models import ModelCard, PreprocessSpec, read_card
from isaac_inference.models.demo import completion_model, demo_model
from isaac_inference.stages.image.same_input import same_input


@pytest.fixture(scope='module')
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return read_card(write_model(tmp_path_factory.mktemp('one') / 'one.onnx', 'yolov8', input_wh=(64, 64)))


def made(tmp_path, kind='yolov8', **options):
    return read_card(write_model(tmp_path / 'other.onnx', kind, **{'input_wh': (64, 64), **options}))


def test_names_and_outputs_do_not_matter(card, tmp_path):
    assert same_input(card, card) == {'images': 'images'}
    other = made(tmp_path, input_name='pixels', classes=7)
    assert same_input(card, other) == {'images': 'pixels'}
    assert same_input(other, card) == {'pixels': 'images'}


def test_an_open_batch_does_not_matter(card, tmp_path):
    assert same_input(card, made(tmp_path, dynamic='batch')) == {'images': 'images'}


@pytest.mark.parametrize(
    'options',
    [{'input_wh': (96, 64)}, {'dtype': 'float16'}, {'layout': 'NHWC'}],
    ids=['size', 'type', 'layout'],
)
def test_another_tensor(card, tmp_path, options):
    assert same_input(card, made(tmp_path, **options)) is None


@pytest.mark.parametrize(
    'changed',
    [
        {'color': 'bgr'},
        {'scale': 1.0},
        {'mean': (0.1, 0.0, 0.0)},
        {'std': (1.0, 1.0, 2.0)},
        {'fit': 'stretch'},
        {'anchor': 'top_left'},
        {'pad_value': 0},
        {'interpolation': 'area'},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_another_preparation(card, changed):
    spec = replace(card.image.preprocess, **changed)
    assert isinstance(spec, PreprocessSpec)
    assert same_input(card, replace(card, inputs=(replace(card.image, preprocess=spec),))) is None


def test_values_beside_the_image_must_be_the_same(card, tmp_path):
    (tmp_path / 'other.yaml').write_text('labels: [cup, can, box]\n')
    sized = made(tmp_path, 'boxes_scores_labels')
    assert sized.value_inputs
    assert same_input(card, sized) is None and same_input(sized, card) is None
    assert same_input(sized, sized) == {'images': 'images', 'orig_target_sizes': 'orig_target_sizes'}


def test_a_network_of_depth_and_image_takes_more_than_an_image():
    assert same_input(read_card(demo_model()), read_card(completion_model())) is None
