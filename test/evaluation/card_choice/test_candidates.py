# SPDX-License-Identifier: Apache-2.0
"""Which cards are tried for a model."""

from __future__ import annotations

import itertools

import pytest
from support.color_detector import write_color_detector

from isaac_inference.evaluation.card_choice.candidates import CandidateMaker, same_input
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.card_file import parse_card
from isaac_inference.models.card.conventions import CONVENTIONS
from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.models.reader import read_sources
from isaac_inference.models.recognition.infer import build_card

YOLOX = CONVENTIONS['yolox'].preprocess


def maker(tmp_path, more='', **options):
    model = write_color_detector(tmp_path / 'colors.onnx', YOLOX, **options)
    card = model.with_suffix('.yaml')
    card.write_text(card.read_text() + more)
    return CandidateMaker(*read_sources(model))


def test_every_way_to_prepare_an_image_is_a_candidate_once(tmp_path):
    found = maker(tmp_path).conventions()
    specs = [item.card.image.preprocess for item in found]
    assert not any(same_input(one, two) for one, two in itertools.combinations(specs, 2))
    for convention in CONVENTIONS.values():
        assert any(same_input(convention.preprocess, spec) for spec in specs), convention.name


def test_the_one_in_force_is_first_and_the_family_s_come_before_the_others(tmp_path):
    found = maker(tmp_path).conventions()
    assert [item.is_current for item in found] == [True] + [False] * (len(found) - 1)
    names = [item.name for item in found]
    assert names[0] == 'yolo_nas' and names.index('rtmdet') < names.index('yolox')


def test_what_a_card_says_now_is_a_candidate_among_the_others(tmp_path):
    found = maker(tmp_path, 'preprocess: {color: bgr, scale: 0.5, mean: [1, 2, 3], fit: stretch}\n').conventions()
    assert found[0].is_current and found[0].name == 'own values'
    assert found[0].card.image.preprocess.scale == 0.5
    assert len(found) > 8
    named = maker(tmp_path, 'preprocess: {convention: ssd}\n').conventions()
    assert named[0].is_current and named[0].name == 'ssd'
    assert len([item for item in named if item.name == 'ssd']) == 1


def test_the_lines_of_every_candidate_make_its_card(tmp_path):
    made = maker(tmp_path)
    candidates = made.conventions()
    candidates += [variant for item in list(candidates) for variant in made.variants(item, [item])]
    file, values = read_sources(tmp_path / 'colors.onnx')
    for item in candidates:
        text = '\n'.join(item.yaml_lines().values())
        card = build_card(file, {**values, **parse_card(text, 'card', None)})
        assert card.image == item.card.image and card.spec == item.card.spec, text


def test_a_variant_differs_in_colour_order_with_its_mean_and_std_or_in_fit(tmp_path):
    made = maker(tmp_path)
    best = next(item for item in made.conventions() if item.name == 'paddle')
    variants = made.variants(best, [best])
    assert [item.name for item in variants] == [
        'paddle, color bgr',
        'paddle, fit letterbox, anchor center',
        'paddle, fit letterbox, anchor top_left',
    ]
    assert variants[0].card.image.preprocess.mean == (0.406, 0.456, 0.485)
    assert [item.reads_alike(best) for item in variants] == [False, True, True]
    assert made.variants(best, [best, *variants]) == []


def test_other_assumptions_with_concrete_values_are_combined(tmp_path, monkeypatch):
    made = maker(tmp_path)
    assumptions = (
        Assumption('preprocess', 'x', '', (('preprocess: {convention: ssd}', ''),)),
        Assumption('decoder_options.activation', 'none', '', (('decoder_options: {activation: sigmoid}', ''),)),
        Assumption('input_size', 'x', '', (('input_size: [width, height]', ''),)),
    )
    object.__setattr__(made.current, 'assumptions', assumptions)
    assert made.others() == [{}, {'decoder_options': {'activation': 'sigmoid'}}]
    first = made.conventions()[:2]
    combined = made.with_others(first, made.others())
    assert [dict(item.card.detection.options)['activation'] for item in combined] == ['none'] * 2 + ['sigmoid'] * 2
    assert combined[2].name == 'yolo_nas, activation sigmoid' and not combined[2].is_current


def test_lines_that_do_not_fit_the_model_are_named_with_the_reason(tmp_path):
    made = maker(tmp_path)
    first = made.conventions()[:1]
    assert made.with_others(first, [{}, {'decoder_options': {'strides': [8]}}]) == first
    ((text, reason),) = made.refused.items()
    assert 'strides' in text and 'no option' in reason


def test_a_size_that_is_assumed_is_the_same_for_all_candidates_and_written_with_them(tmp_path):
    made = maker(tmp_path, dynamic=True)
    assert any(item.field == 'input_size' for item in made.current.assumptions)
    found = made.conventions()
    assert {item.card.image.wh for item in found} == {made.current.image.wh}
    width, height = made.current.image.wh
    assert all(item.yaml_lines()['input_size'] == f'input_size: [{width}, {height}]' for item in found)


@pytest.mark.parametrize(
    ('one', 'two', 'same'),
    [
        ({'scale': 1.0, 'mean': (127,) * 3, 'std': (128,) * 3}, {'mean': (0.498,) * 3, 'std': (0.502,) * 3}, True),
        ({'fit': 'stretch', 'anchor': 'center'}, {'fit': 'stretch', 'anchor': 'top_left'}, True),
        ({'anchor': 'center'}, {'anchor': 'top_left'}, False),
        ({'pad_value': 0}, {'pad_value': 114}, False),
        ({'color': 'rgb'}, {'color': 'bgr'}, False),
        ({'scale': 1.0}, {}, False),
    ],
)
def test_preprocessings_that_make_the_same_tensor_are_the_same(one, two, same):
    assert same_input(PreprocessSpec(**one), PreprocessSpec(**two)) is same
