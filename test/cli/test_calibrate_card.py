# SPDX-License-Identifier: Apache-2.0
"""`calibrate-card` on a tiny detector of colours: what it prints, draws and writes, and when it writes nothing."""

from __future__ import annotations

import argparse
import json

import cv2
import pytest
from support.color_detector import CARD, ORANGE, write_color_detector, write_pictures

from isaac_inference.cli.calibrate_card import command as calibrate_card
from isaac_inference.cli.calibrate_card.card_text import sections_of, with_lines
from isaac_inference.errors import ConfigError
from isaac_inference.models import read_card
from isaac_inference.models.card.conventions import CONVENTIONS

TRAINED = CONVENTIONS['rtmdet'].preprocess


def execute(*arguments):
    parser = argparse.ArgumentParser()
    calibrate_card.add_command(parser.add_subparsers(required=True))
    parsed = parser.parse_args(['calibrate-card', *map(str, arguments)])
    return parsed.execute(parsed)


@pytest.fixture
def model(tmp_path):
    return write_color_detector(tmp_path / 'colors.onnx', TRAINED)


@pytest.fixture
def pictures(tmp_path):
    return write_pictures(tmp_path / 'pictures')


def test_the_card_is_completed_and_the_rest_of_it_stays(model, pictures, tmp_path, capsys):
    assert read_card(model).image.preprocess != TRAINED
    assert execute(model, '--images', pictures, '--json', tmp_path / 'out.json') == 0
    text = model.with_suffix('.yaml').read_text()
    assert text.startswith(CARD.format('color0'))
    assert 'preprocess: {convention: rtmdet}  # by isaac-inference calibrate-card on 8 pictures' in text
    assert read_card(model).image.preprocess == TRAINED and not read_card(model).assumptions
    figures = json.loads((tmp_path / 'out.json').read_text())
    assert figures['chosen'] == 'rtmdet' and figures['is_clear'] and figures['pictures'] == 8
    assert [item['name'] for item in figures['candidates'] if item['is_current']] == ['yolo_nas']
    out = capsys.readouterr().out
    assert 'clear: rtmdet' in out and 'yolo_nas' in out

    assert execute(model, '--images', pictures) == 0
    assert model.with_suffix('.yaml').read_text() == text
    assert 'says so already' in capsys.readouterr().out


def test_labels_are_used_where_they_are_given(model, pictures, tmp_path, capsys):
    assert execute(model, '--images', pictures, '--labels', pictures, '--json', '-') == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures['criterion'] == 'f1' and figures['candidates'][0]['score'] == pytest.approx(1.0, abs=0.05)
    assert figures['candidates'][0]['ap50'] == pytest.approx(1.0)


def test_a_card_that_says_otherwise_is_replaced_by_force_only(model, pictures):
    card = model.with_suffix('.yaml')
    before = (
        card.read_text() + '# how\npreprocess:\n  color: rgb  # as the paper says\n  scale: 1\n\n# end\nname: cups\n'
    )
    card.write_text(before)
    with pytest.raises(ConfigError, match=r'has a section preprocess already.*--force(.|\n)*convention: rtmdet'):
        execute(model, '--images', pictures)
    assert card.read_text() == before
    assert execute(model, '--images', pictures, '--force') == 0
    new = 'preprocess: {convention: rtmdet}  # by isaac-inference calibrate-card on 8 pictures'
    assert card.read_text() == f'{CARD.format("color0")}# how\n{new}\n\n# end\nname: cups\n'
    assert read_card(model).image.preprocess == TRAINED and read_card(model).name == 'cups'


def test_an_unclear_result_writes_nothing_unless_forced(model, tmp_path, capsys):
    few = write_pictures(tmp_path / 'few', 2)
    before = model.with_suffix('.yaml').read_text()
    assert execute(model, '--images', few) == 1
    shown = capsys.readouterr()
    assert 'not clear' in shown.out and 'too few' in shown.out and '--labels' in shown.out
    assert 'no card was written' in shown.err
    assert model.with_suffix('.yaml').read_text() == before
    assert execute(model, '--images', few, '--force') == 1
    assert read_card(model).image.preprocess == TRAINED


def test_out_and_card_say_where(model, pictures, tmp_path):
    beside = model.with_suffix('.yaml')
    own = beside.rename(tmp_path / 'own.yml')
    assert execute(model, '--images', pictures, '--card', own, '--out', tmp_path / 'new' / 'card.yaml') == 0
    written = (tmp_path / 'new' / 'card.yaml').read_text()
    assert written.startswith('preprocess: {convention: rtmdet}') and 'preprocess' not in own.read_text()
    assert execute(model, '--images', pictures, '--card', own) == 0
    assert read_card(model, own).image.preprocess == TRAINED and not beside.exists()


def test_another_card_that_overrules_the_lines_is_named(model, pictures, tmp_path):
    beside = model.with_suffix('.yaml')
    beside.write_text(beside.read_text() + 'preprocess: {scale: 0.5}\n')
    with pytest.raises(ConfigError, match=r'colors\.yaml.*remove its section preprocess'):
        execute(model, '--images', pictures, '--out', tmp_path / 'other.yaml')
    assert not (tmp_path / 'other.yaml').exists()


def test_the_sheet_shows_rows_of_pictures_with_boxes(model, pictures, tmp_path):
    path = tmp_path / 'sheets' / 'sheet.png'
    assert execute(model, '--images', pictures, '--sheet', path) == 0
    sheet = cv2.imread(str(path))
    assert sheet.shape[0] == 6 * 340 and sheet.shape[1] == 4 * 406
    orange = (abs(sheet.astype(int) - ORANGE[::-1]).max(axis=2) < 25).sum(axis=1)
    assert orange[:340].sum() > 0 and orange[5 * 340 :].sum() > 0
    with pytest.raises(ConfigError, match='OpenCV cannot write'):
        execute(model, '--images', pictures, '--sheet', tmp_path / 'sheet.words')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--images', '0'], 'got a camera'),
        (['--images', 'nowhere'], 'no such file'),
        (['--max-images', '-1'], 'max-im'),
    ],
)
def test_unusable_arguments_are_refused(model, pictures, arguments, message):
    with pytest.raises(ConfigError, match=message):
        execute(model, '--images', pictures, *arguments)


def test_sections_are_found_in_any_style_of_block():
    text = (
        '---\n# a\nname: x\npreprocess: # b\n  # c\n  mean: [1,\n    2, 3]\n  # d\n\n# of labels\nlabels:\n- a\n- b\n'
    )
    assert sections_of(text) == {'name': (2, 3), 'preprocess': (3, 8), 'labels': (10, 13)}
    assert with_lines(text, {'preprocess': 'preprocess: {}'}).splitlines()[3:7] == [
        'preprocess: {}', '', '# of labels', 'labels:',
    ]  # fmt: skip
    assert with_lines('', {'a': 'a: 1', 'b': 'b: 2'}, 'why') == 'a: 1  # why\nb: 2  # why\n'
    for bad in ('{a: 1, b: 2}', '- a', 'a: ['):
        with pytest.raises(ConfigError, match='card: '):
            sections_of(bad)
