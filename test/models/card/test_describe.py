# SPDX-License-Identifier: Apache-2.0
"""card_rows: each field of the card with its value and source; and the shipped template card."""

from __future__ import annotations

import re

from support.onnx_models import write_model
from support.paths import ROOT

from isaac_inference.models import card_rows, read_card
from isaac_inference.models.card.card_file import KEYS, SECTIONS, parse_card
from isaac_inference.models.card.objects import OBJECT_KEYS

TEMPLATE = ROOT / 'config' / 'models' / 'template.yaml'


def test_every_row_but_path_and_notes_has_a_source(tmp_path):
    rows = card_rows(read_card(write_model(tmp_path / 'm.onnx', 'boxes_scores_labels'), _card(tmp_path)))
    assert not [row for row in rows if not row[2] and row[0] not in ('path', 'note')]
    table = {field: value for field, value, _ in rows}
    assert table['image_input'] == 'images: float32 [1, 3, 64, 96]'
    assert table['input_wh'] == '96 x 64 px'
    assert table['value_inputs.image_size'] == 'orig_target_sizes: int64 [1, 2]'
    assert table['labels'] == '5: a, b, c, d, ...'
    assert table['decoder_options.normalized'] == 'False'
    assert table['roles.boxes'] == 'boxes'
    assert table['exporter'] == 'tiny_models 1, opset 13'


def test_keypoints_and_objects_are_rows(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'yolov8_pose')
    (tmp_path / 'a.ply').touch()
    path.with_suffix('.yaml').write_text("""
labels: [a, b, c]
keypoints: {model: cuboid8}
objects:
  b: {size: [0.08, 0.08, 0.125], shape: cylinder, symmetry: [{axis: z, order: 0}, {axis: x, order: 2}]}
  a: {mesh: a.ply, mesh_unit: mm}
""")
    rows = card_rows(read_card(path))
    assert ('task', 'keypoints', 'keypoints of card m.yaml') in rows
    assert ('keypoints', '8 of (x, y, confidence), model cuboid8', 'card in m.onnx, card m.yaml') in rows
    assert ('objects.a', 'mesh of unknown size, mesh a.ply [mm]', 'card m.yaml') in rows
    assert (
        'objects.b',
        'cylinder 0.08 x 0.08 x 0.125 m, any angle about z, 2-fold about x',
        'card m.yaml',
    ) in rows
    assert not [row for row in rows if not row[2] and row[0] not in ('path', 'note')]


def test_notes_are_rows(tmp_path):
    rows = card_rows(read_card(write_model(tmp_path / 'm.onnx', 'yolov8')))
    assert [row for row in rows if row[0] == 'note' and 'nothing names the 3 classes' in row[1]]


def test_the_template_says_nothing_until_it_is_uncommented():
    content = TEMPLATE.read_text()
    assert parse_card(content, 'template', None) == {}
    full = parse_card(re.sub(r'^#(?! )', '', content, flags=re.MULTILINE).replace('#  ', '  '), 'template', None)
    named = {key.split('.')[0] for key in full} | {key.split('.')[1] for key in full if '.' in key}
    assert {key.rpartition('.')[2] for key in full if key.startswith('objects.')} == set(OBJECT_KEYS)
    assert named >= {*SECTIONS['keypoints'], *KEYS, *SECTIONS, *SECTIONS['preprocess'], *SECTIONS['decoder_options']}
    assert named >= SECTIONS['vocabulary'].keys()


def _card(folder):
    path = folder / 'c.yaml'
    path.write_text('labels: [a, b, c, d, e]')
    return path
