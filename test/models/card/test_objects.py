# SPDX-License-Identifier: Apache-2.0
"""What a card says of objects in space: sizes in metres, symmetries, meshes, points, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.onnx_models import write_model

from isaac_inference.errors import ModelError
from isaac_inference.models import ObjectSpec, read_card
from isaac_inference.models.card.card_file import parse_card
from isaac_inference.models.card.objects import lengths
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import Symmetry, canonical

LABELS = 'labels: [soup_can, box, v1.2 mug]\n'


def card_of(folder, content, kind='yolov8', embedded=None):
    """A model of three classes with a card beside it."""
    metadata = None if embedded is None else {'isaac_inference.card': json.dumps(embedded)}
    path = write_model(folder / 'm.onnx', kind, metadata=metadata)
    path.with_suffix('.yaml').write_text(LABELS + content)
    return read_card(path)


def test_an_object_with_everything(tmp_path):
    (tmp_path / 'meshes').mkdir()
    mesh = tmp_path / 'meshes' / 'can.ply'
    mesh.touch()
    card = card_of(
        tmp_path,
        """
objects:
  soup_can:
    size: [0.08, 0.08, 0.12]
    shape: cylinder
    symmetry: [{axis: z, order: 0}, {axis: x, order: 2}]
    mesh: meshes/can.ply
    mesh_unit: mm
    keypoints: [[0, 0, 0.06], [0, 0, -0.06], [0.04, 0, 0], [0, 0.04, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
""",
        kind='yolov8_pose',
    )
    spec = card.objects['soup_can']
    assert spec == ObjectSpec(
        'soup_can', (0.08, 0.08, 0.12), 'cylinder', mesh, 'mm', (('z', 0), ('x', 2)), spec.keypoints
    )
    assert len(spec.keypoints) == 8 and spec.keypoints[1] == (0.0, 0.0, -0.06)
    assert card.sources['objects.soup_can'] == 'card m.yaml'
    assert not card.notes


def test_a_plain_detector_may_have_objects_in_the_order_of_its_classes(tmp_path):
    card = card_of(tmp_path, 'objects: {v1.2 mug: {size: [0.1, 0.1, 0.1]}, box: {shape: sphere, size: [1, 1, 1]}}')
    assert list(card.objects) == ['box', 'v1.2 mug']
    assert card.objects['v1.2 mug'] == ObjectSpec('v1.2 mug', (0.1, 0.1, 0.1))
    assert card.keypoints is None and not card.notes
    with pytest.raises(TypeError):
        card.objects['soup_can'] = card.objects['box']


@pytest.mark.parametrize(
    'said, plain, with_corners',
    [
        ('shape: cylinder', (('z', 0), ('x', 2)), (('z', 0),)),
        ('shape: cylinder, symmetry: [{axis: z, order: 0}]', (('z', 0), ('x', 2)), (('z', 0),)),
        ('shape: cylinder, symmetry: [{axis: z, order: 4}]', (('z', 0), ('x', 2)), (('z', 0),)),
        ('shape: cylinder, symmetry: [{axis: y, order: 2}]', (('y', 2), ('z', 0)), (('y', 2), ('z', 0))),
        ('shape: cylinder, symmetry: []', (), ()),
        ('shape: sphere', (('z', 0), ('x', 0)), (('z', 0), ('x', 0))),
        ('shape: sphere, symmetry: []', (), ()),
        ('shape: cuboid', (), ()),
        ('shape: cuboid, symmetry: [{axis: z, order: 4}]', (('z', 4),), (('z', 4),)),
    ],
)
def test_a_shape_implies_its_symmetries_and_a_card_adds_to_them(tmp_path, said, plain, with_corners):
    text = f'objects: {{box: {{size: [0.1, 0.1, 0.12], {said}}}}}'
    assert card_of(tmp_path, text).objects['box'].symmetries == plain
    corners = 'keypoints: {count: 8, dims: 3, model: cuboid8}\n'
    assert card_of(tmp_path, corners + text, kind='yolov8_pose').objects['box'].symmetries == with_corners
    canonical(Pose.identity(), [Symmetry(*turn) for turn in plain])  # they combine


def test_keypoints_that_nobody_knows_the_place_of_tell_no_ends_apart(tmp_path):
    said = 'objects: {box: {size: [0.1, 0.1, 0.12], shape: cylinder}}'
    assert card_of(tmp_path, said, kind='yolov8_pose').objects['box'].symmetries == (('z', 0), ('x', 2))


def test_cards_complete_each_other_key_by_key(tmp_path):
    (tmp_path / 'a.stl').touch()
    embedded = {'objects': {'box': {'size': [0.1, 0.2, 0.3], 'mesh': 'a.stl'}, 'soup_can': {'size': [1, 1, 1]}}}
    card = card_of(tmp_path, 'objects: {box: {size: [0.4, 0.5, 0.6]}}', embedded=embedded)
    assert card.objects['box'] == ObjectSpec('box', (0.4, 0.5, 0.6), 'mesh', tmp_path / 'a.stl')
    assert card.sources['objects.box'] == 'card m.yaml, card in m.onnx'
    assert card.objects['soup_can'].size == (1.0, 1.0, 1.0)


def test_a_mesh_is_looked_for_beside_the_card_that_names_it(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'yolov8')
    (tmp_path / 'cards').mkdir()
    explicit = tmp_path / 'cards' / 'c.yaml'
    explicit.write_text(LABELS + 'objects: {box: {mesh: box.obj}}')
    (tmp_path / 'box.obj').touch()
    with pytest.raises(ModelError, match=r'card c.yaml: objects.box.mesh: no file .*cards/box.obj; give a path relat'):
        read_card(path, explicit)
    (tmp_path / 'cards' / 'box.obj').touch()
    assert read_card(path, explicit).objects['box'].mesh == tmp_path / 'cards' / 'box.obj'


@pytest.mark.parametrize(
    'content, says',
    [
        ('{soupcan: {shape: cylinder}}', r"objects: the model has no class 'soupcan'; did you mean 'soup_can'\?"),
        ('{zebra: {shape: cuboid}}', "has no class 'zebra'; known here: box, soup_can, v1.2 mug"),
        ('{box: {mesh: gone.ply}}', r'card m.yaml: objects.box.mesh: no file .*/gone.ply; give a path relative'),
        ('{box: {shape: mesh}}', 'objects.box.shape: got mesh, but no mesh; add `mesh: <file>`'),
        ('{box: {keypoints: [[0, 0, 0]]}}', 'objects.box.keypoints: got 1 points, but the model has none'),
    ],
)
def test_objects_that_contradict_the_model(tmp_path, content, says):
    with pytest.raises(ModelError, match=says):
        card_of(tmp_path, f'objects: {content}')


def test_as_many_points_as_keypoints(tmp_path):
    with pytest.raises(ModelError, match='objects.box.keypoints: got 2 points, but the model has 8; expected one'):
        card_of(tmp_path, 'objects: {box: {keypoints: [[0, 0, 0], [0, 0, 1]]}}', kind='yolov8_pose')


@pytest.mark.parametrize(
    'size, says',
    [
        ('[80, 80, 120]', r'millimetres \(\[0.08, 0.08, 0.12\] m\)'),
        ('[8, 8, 21]', r'looks like centimetres \(\[0.08, 0.08, 0.21\] m\)'),
        ('[0.1, 0.1, 0]', 'each above 0 and at most 20'),
        ('[0.1, 0.1, -0.1]', 'each above 0'),
        ('[0.1, 0.1, .nan]', 'lengths in metres'),
        ('[0.1, 0.1, .inf]', 'lengths in metres'),
        ('[0.1, 0.1]', 'lengths in metres'),
        ('0.1', 'lengths in metres'),
        ('[0.1, 0.1, true]', 'lengths in metres'),
        ("['1', '1', '1']", 'lengths in metres'),
    ],
)
def test_sizes_that_are_refused_name_class_and_unit(size, says):
    with pytest.raises(ModelError, match='card: objects.box.size: got .*lengths in metres, each above 0') as caught:
        parse_card(f'objects: {{box: {{size: {size}}}}}', 'card', None)
    assert caught.match(says)


@given(st.lists(st.floats(), min_size=3, max_size=3))
def test_a_size_is_taken_or_refused_but_never_changed(size):
    if all(0 < item <= 20 for item in size):
        assert lengths(size) == tuple(size)
    else:
        with pytest.raises(ValueError, match='metres'):
            lengths(size)


@pytest.mark.parametrize('longest, doubted', [(5, False), (5.1, True), (20, True)])
def test_a_size_that_is_hardly_in_metres_is_taken_with_a_note(tmp_path, longest, doubted):
    card = card_of(tmp_path, f'objects: {{box: {{size: [1, 2, {longest}]}}}}')
    assert card.objects['box'].size == (1.0, 2.0, longest)
    assert len(card.notes) == doubted
    assert all('objects.box.size: [1, 2, ' in note and 'metres expected, looks like' in note for note in card.notes)


@pytest.mark.parametrize(
    'symmetry',
    [
        'z',
        '{axis: z, order: 0}',
        '[{axis: w, order: 0}]',
        '[{axis: z, order: 1}]',
        '[{axis: z, order: -1}]',
        '[{axis: z, order: 2.0}]',
        '[{axis: z, order: false}]',
        '[{axis: z}]',
        '[{axis: [z], order: 2}]',
        '[{axis: z, order: 2, angle: 3}]',
        '[z]',
    ],
)
def test_symmetries_that_are_refused(symmetry):
    with pytest.raises(ModelError, match=r'objects.box.symmetry: got .*expected a list such as \[\{axis: z, order: 0'):
        parse_card(f'objects: {{box: {{symmetry: {symmetry}}}}}', 'card', None)


def test_an_axis_cannot_have_two_symmetries():
    with pytest.raises(ModelError, match='expected every axis at most once'):
        parse_card('objects: {box: {symmetry: [{axis: z, order: 2}, {axis: z, order: 0}]}}', 'card', None)


@pytest.mark.parametrize('points', ['[]', '[0, 0, 0]', '[[0, 0]]', '[[0, 0, 21]]', '[[0, 0, .nan]]', '{a: [0, 0, 0]}'])
def test_points_that_are_refused(points):
    with pytest.raises(ModelError, match=r'objects.box.keypoints: got .*expected a list of points \[x, y, z\] in met'):
        parse_card(f'objects: {{box: {{keypoints: {points}}}}}', 'card', None)


def test_cuboid_corners_without_a_size_are_noted(tmp_path):
    card = card_of(tmp_path, 'keypoints: {model: cuboid8}\nobjects: {box: {size: [1, 1, 1]}}', kind='yolov8_pose')
    assert any('no size for soup_can, v1.2 mug: their keypoints give no pose until' in note for note in card.notes)
