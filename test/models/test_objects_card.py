# SPDX-License-Identifier: Apache-2.0
"""A card of objects alone: what it may say, and all that can be wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.onnx_models import ultralytics_metadata, write_model

from isaac_inference.errors import ModelError
from isaac_inference.models import KeypointSpec, ModelCard, ObjectsCard, read_card, read_objects

SIZES = 'objects: {cup: {size: [0.08, 0.08, 0.12], shape: cylinder}, box: {size: [0.1, 0.2, 0.3]}}\n'
TWO = 'objects: {cup: {keypoints: [[0, 0, 0], [0, 0, 1]]}, box: {keypoints: [[0, 0, 0], [0, 1, 0]]}}\n'
TAGS = """
objects:
  board: {tag_grid: {family: 36h11, columns: 2, rows: 2, size: 0.08, gap: 0.02}}
  crate: {size: [0.4, 0.3, 0.2], tags: [{family: 36h11, id: 40, size: 0.06}]}
"""


def card_of(folder: Path, content: str) -> ObjectsCard:
    path = folder / 'cell.yaml'
    path.write_text(content)
    card = read_objects('', path)
    assert isinstance(card, ObjectsCard)
    return card


def test_sizes_alone(tmp_path: Path) -> None:
    card = card_of(tmp_path, SIZES)
    assert (card.name, card.labels, card.keypoints, card.is_open, card.notes) == (
        'cell',
        ('cup', 'box'),
        None,
        True,
        (),
    )
    assert (card.objects['cup'].shape, card.objects['box'].size) == ('cylinder', (0.1, 0.2, 0.3))


def test_labels_close_the_list_of_classes(tmp_path: Path) -> None:
    card = card_of(tmp_path, f'name: shelf\nlabels: [person, cup, box]\n{SIZES}')
    assert (card.name, card.labels, card.is_open) == ('shelf', ('person', 'cup', 'box'), False)


@pytest.mark.parametrize(
    'said, expected',
    [
        (f'keypoints: {{model: cuboid8}}\n{SIZES}', KeypointSpec(8, 3, 'cuboid8')),
        (f'keypoints: {{count: 8, model: cuboid8}}\n{SIZES}', KeypointSpec(8, 3, 'cuboid8')),
        (TWO, KeypointSpec(2)),
        (f'keypoints: {{count: 2}}\n{TWO}', KeypointSpec(2)),
        (TAGS, KeypointSpec(16)),
    ],
)
def test_keypoints_are_said_or_follow_from_the_objects(tmp_path: Path, said: str, expected: KeypointSpec) -> None:
    assert card_of(tmp_path, said).keypoints == expected


def test_the_corners_of_tags_are_keypoints(tmp_path: Path) -> None:
    card = card_of(tmp_path, TAGS)
    board, crate = card.objects['board'], card.objects['crate']
    assert [(tag.family, tag.id) for tag in board.tags] == [('36h11', number) for number in range(4)]
    assert board.keypoints == tuple(corner for tag in board.tags for corner in tag.corners)
    assert len(crate.keypoints or ()) == 4
    assert card.has_tags


def test_a_card_is_known_by_what_its_keypoints_mean(tmp_path: Path) -> None:
    card = card_of(tmp_path, TAGS)
    assert card_of(tmp_path, f'name: other\n{TAGS}').id.hash == card.id.hash
    assert card_of(tmp_path, TAGS.replace('id: 40', 'id: 41')).id.hash == card.id.hash
    assert card_of(tmp_path, TAGS.replace('0.06', '0.07')).id.hash != card.id.hash
    assert card_of(tmp_path, TAGS.replace('crate', 'box')).id.hash != card.id.hash


def test_what_belongs_to_a_model_is_not_used_and_said(tmp_path: Path) -> None:
    card = card_of(tmp_path, f'decoder: yolox\npreprocess: {{color: bgr}}\n{SIZES}')
    (note,) = card.notes
    assert 'decoder, preprocess say something of a model, and none is given' in note


@pytest.mark.parametrize(
    'content, says',
    [
        ('', 'card cell.yaml: no objects; a card without a model needs'),
        ('decoder: yolox', 'no objects; .*where the card belongs to a model, set model too'),
        (f'labels: [cup]\n{SIZES}', "labels have no 'box'"),
        ('objects: {cup: {shape: mesh}}', 'objects.cup.shape: got mesh, but no mesh'),
        ('objects: {cup: {mesh: none.ply}}', 'objects.cup.mesh: no file'),
        ('objects: {cup: {mesh_origin: file}}', 'objects.cup.mesh_origin: there is no mesh'),
        (f'keypoints: {{count: 9, model: cuboid8}}\n{SIZES}', 'keypoints.count: got 9, but.*cuboid8 has 8'),
        (f'keypoints: {{count: 3}}\n{TWO}', 'objects.cup.keypoints: got 2 points, but the card has 3'),
        (TWO.replace(', [0, 1, 0]', ''), r'different numbers of keypoints \(cup 2, box 1\)'),
        (f'keypoints: {{count: 8}}\n{TAGS}', 'keypoints: board has tags, whose corners are the keypoints'),
        (TAGS.replace('size: [0.4, 0.3, 0.2]', 'keypoints: [[0, 0, 0]]'), 'crate.keypoints: the object has tags'),
        (f'{TAGS}  bolt: {{keypoints: [[0, 0, 0]]}}', 'board has tags, bolt none; what is found by tags'),
        (f'{TAGS}  rack: {{size: [1, 1, 1]}}', 'board has tags, rack none'),
        (TAGS.replace('id: 40', 'id: 3'), 'tag 36h11 3 is on board and on crate; each tag must tell where it is'),
        (f'{TAGS}  again: {{tag_grid: {{family: 36h11, columns: 2, rows: 2, size: 0.01, gap: 0.1}}}}', 'tags 36h11 0, '
         '36h11 1, 36h11 2, 36h11 3 are on board and on again'),
        ('objects: {a: {tags: [{family: 36h11, id: 1, size: 0.1}, {family: 36h11, id: 1, size: 0.1}]}}',
         'tag 36h11 1 is on a twice'),
        ('objects: {a: {tags: [{family: 4x4_50, id: 7, size: 0.1}]}, b: {tags: [{family: 4x4_100, id: 7, size: 0.1}]}}',
         'tag 4x4_100 7 is on a and on b'),
    ],
)  # fmt: skip
def test_wrong_cards_are_refused_by_key(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        card_of(tmp_path, content)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    content = (
        'objects: {a: {size: [80, 80, 120]}, b: {shape: cone, tags: [{id: 1}]}, 7: {size: [1, 1, 1]}}\nlayuot: x\n'
    )
    with pytest.raises(ModelError) as caught:
        card_of(tmp_path, content)
    for part in ('objects.a.size', 'millimetres', 'objects.b.shape', 'objects.b.tags', 'class 7', "key 'layuot'"):
        assert part in str(caught.value)
    content = f'labels: [cup]\n{SIZES.rstrip()[:-1]}, can: {{shape: mesh}}, bin: {{mesh_unit: mm}}}}'
    with pytest.raises(ModelError) as caught:
        card_of(tmp_path, content.replace('labels: [cup]', 'labels: [cup, can, bin]'))
    for part in ("no 'box'", 'objects.can.shape', 'objects.bin.mesh_unit'):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    'metres, said', [(0.00008, 'these are [0.08, 0.08, 0.08] mm'), (8.0, 'looks like centimetres')]
)
def test_a_size_that_is_none_of_an_object_is_doubted(tmp_path: Path, metres: float, said: str) -> None:
    (note,) = card_of(tmp_path, f'objects: {{cup: {{size: [{metres:f}, {metres:f}, {metres:f}]}}}}').notes
    assert 'objects.cup.size' in note
    assert said in note


def test_with_a_model_its_card_is_read_and_tags_belong_elsewhere(tmp_path: Path) -> None:
    model = write_model(
        tmp_path / 'm.onnx', 'yolov8', input_wh=(64, 64), metadata=ultralytics_metadata(['cup', 'can', 'box'])
    )
    card = tmp_path / 'cell.yaml'
    card.write_text(SIZES)
    found = read_objects(model, card)
    assert isinstance(found, ModelCard)
    assert found is read_card(model, card)
    assert read_objects('', '') is None
    card.write_text('objects: {cup: {tags: [{family: 36h11, id: 1, size: 0.1}]}}')
    with pytest.raises(ModelError, match=r'objects.cup.tags: tags belong to a card without a model'):
        read_objects(model, card)
