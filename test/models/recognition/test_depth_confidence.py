# SPDX-License-Identifier: Apache-2.0
"""Which output says how sure depth or disparity is, and what stands for no reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.dense.networks import write_filler, write_matcher
from support.onnx_models.constant import write_constant

from isaac_inference.errors import ModelError
from isaac_inference.models import ModelCard, read_card
from isaac_inference.models.card.describe import card_rows

IMAGE, SPARSE = ('image', 'float32', (1, 3, 96, 128)), ('depth', 'float32', (1, 1, 96, 128))
MAP = (1, 1, 96, 128)


def numbers(low: float, high: float, shape: tuple[int, ...] = MAP) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, shape).astype(np.float32)


def card_of(folder: Path, card: str = '', **outputs: np.ndarray) -> ModelCard:
    path = write_constant(folder / 'm.onnx', outputs, image=IMAGE, beside=[SPARSE])
    path.with_suffix('.yaml').write_text(card)
    return read_card(path)


@pytest.mark.parametrize('name', ['confidence', 'conf', 'depth_confidence'])
def test_an_output_of_shares_that_is_named_so(tmp_path: Path, name: str) -> None:
    card = card_of(tmp_path, **{'dense': numbers(1, 4), name: numbers(0, 1)})
    assert dict(card.spec.roles) == {'depth': 'dense', 'confidence': name}
    assert [spec.name for spec in card.used_outputs] == ['dense', name]
    assert ('roles.confidence', name, f'name of {name}') in card_rows(card)


@pytest.mark.parametrize('values', [numbers(-4, 4), numbers(0, 1, (1, 5)), numbers(0, 1, (1, 2, 96, 128))])
def test_what_is_no_share_of_each_pixel_is_left_aside(tmp_path: Path, values: np.ndarray) -> None:
    """Such as logits, whose meaning nothing says."""
    assert dict(card_of(tmp_path, dense=numbers(1, 4), confidence=values).spec.roles) == {'depth': 'dense'}


def test_a_card_may_name_it(tmp_path: Path) -> None:
    outputs = {'dense': numbers(1, 4), 'certain': numbers(0, 1)}
    said = 'outputs: {depth: dense, confidence: certain}'
    assert card_of(tmp_path, said, **outputs).spec.roles['confidence'] == 'certain'
    for wrong in ('dense', 'other'):
        with pytest.raises(ModelError, match=f"outputs.confidence: got '{wrong}', expected another output than dense"):
            card_of(tmp_path, f'outputs: {{depth: dense, confidence: {wrong}}}', **outputs)


def test_of_one_image_there_is_none(tmp_path: Path) -> None:
    path = write_constant(tmp_path / 'm.onnx', {'depth': numbers(1, 4), 'conf': numbers(0, 1)}, image=IMAGE)
    for said in ('outputs: {confidence: conf}', 'depth: {unknown: 0}'):
        path.with_suffix('.yaml').write_text(f'task: mono_depth\n{said}')
        with pytest.raises(ModelError, match='no effect on depth from one image; remove the line'):
            read_card(path)


def test_both_kinds_of_networks_of_the_tests_have_it(tmp_path: Path) -> None:
    for path in (
        write_matcher(tmp_path / 's.onnx', confidence=True),
        write_filler(tmp_path / 'c.onnx', confidence=True),
    ):
        card = read_card(path)
        assert card.spec.roles['confidence'] == 'confidence' and not card.assumptions and not card.notes


@pytest.mark.parametrize('said, unknown', [('', 0.0), ('depth: {unknown: -1}', -1.0), ('depth: {unknown: 100}', 100.0)])
def test_what_stands_for_no_reading(tmp_path: Path, said: str, unknown: float) -> None:
    card = card_of(tmp_path, said, dense=numbers(1, 4))
    assert card.spec.unknown == unknown and card.sources['depth.unknown']
    assert ('depth.unknown', f'{unknown:.6g}') in [row[:2] for row in card_rows(card)]


def test_two_cards_that_differ_in_it_are_not_the_same(tmp_path: Path) -> None:
    one = card_of(tmp_path, dense=numbers(1, 4))
    two = card_of(tmp_path, 'depth: {unknown: -1}', dense=numbers(1, 4))
    assert one.sha256 == two.sha256 and one.id.hash != two.id.hash
