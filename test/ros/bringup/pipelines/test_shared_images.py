# SPDX-License-Identifier: Apache-2.0
"""Two models that want the same tensors of a camera: one preprocess node."""

from __future__ import annotations

import pytest
from support.pipelines import at, topic

CUPS = {'name': 'cups', 'model': 'cups.onnx'}
PLATES = {'name': 'plates', 'model': 'plates.onnx'}
WIDE = {'name': 'wide', 'model': 'wide.onnx'}


def has_own(made, name, camera='front'):
    return 'preprocess' in at(made, f'{name}/{camera}')


def test_the_first_prepares_images_for_both(of_file, models):
    made = of_file([CUPS, PLATES, WIDE])
    for camera in ('front', 'left'):
        assert has_own(made, 'cups', camera) and has_own(made, 'wide', camera)
        assert not has_own(made, 'plates', camera)
        leader = at(made, f'cups/{camera}')['preprocess']
        assert leader.parameters['also_models'] == [str(models / 'plates.onnx')]
        assert topic(leader, 'also_1/input_tensors') == f'/plates/{camera}/input_tensors'
        inference = at(made, 'plates')['inference']
        assert topic(inference, f'{camera}/input_tensors') == f'/plates/{camera}/input_tensors'
        assert 'also_models' not in at(made, f'wide/{camera}')['preprocess'].parameters


def test_launch_arguments_share_too(plan, models):
    made = plan('/robot', models=f'{models}/cups.onnx,{models}/plates.onnx', cameras='front')
    assert not has_own(made, 'plates')
    assert topic(at(made, 'cups/front')['preprocess'], 'also_1/input_tensors', '/robot') == (
        '/robot/plates/front/input_tensors'
    )


def test_of_three_that_are_alike_two_are_numbered(of_file):
    made = of_file([CUPS, PLATES, {'name': 'again', 'model': 'cups.onnx'}], cameras=['front'])
    leader = at(made, 'cups/front')['preprocess']
    assert len(leader.parameters['also_models']) == len(leader.parameters['also_model_cards']) == 2
    assert topic(leader, 'also_2/input_tensors') == '/again/front/input_tensors'


@pytest.mark.parametrize(
    'other',
    [
        {'cameras': ['left']},
        {'params': {'preprocess': {'device': 'cpu'}}},
        {'rectify': True},
    ],
    ids=['another camera', 'other parameters', 'rectified'],
)
def test_what_is_not_the_same_is_not_shared(of_file, other):
    made = of_file([{**CUPS, 'cameras': ['front']}, {**PLATES, 'cameras': ['front'], **other}])
    assert has_own(made, 'plates', *other.get('cameras', ['front']))


def test_a_card_that_says_otherwise(of_file, tmp_path):
    card = tmp_path / 'bgr.yaml'
    card.write_text('preprocess: {color: bgr}\n')
    assert not has_own(of_file([CUPS, PLATES]), 'plates')
    made = of_file([CUPS, {**PLATES, 'model_card': str(card)}])
    assert has_own(made, 'plates')
    made = of_file([{**CUPS, 'model_card': str(card)}, {**PLATES, 'model_card': str(card)}])
    assert at(made, 'cups/front')['preprocess'].parameters['also_model_cards'] == [str(card)]


def test_rectified_images_are_looked_at_where_they_are_made(of_file):
    made = of_file([{**CUPS, 'rectify': True}, {**PLATES, 'rectify': True, 'tasks': ['annotate']}])
    assert not has_own(made, 'plates')
    assert topic(at(made, 'plates/front')['annotate'], 'image') == '/cups/front/rectified/image_rect'
    assert topic(at(made, 'cups/front')['annotate'], 'image') == '/cups/front/rectified/image_rect'
