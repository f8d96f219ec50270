# SPDX-License-Identifier: Apache-2.0
"""Skeletons of people: the published one, those of cards, and what is no skeleton."""

from __future__ import annotations

import pytest
from support.onnx_models import ultralytics_metadata, write_model

from isaac_inference.errors import ModelError
from isaac_inference.models import card_rows, read_card
from isaac_inference.models.card.skeletons.published import COCO_17, SKELETONS, skeleton_of
from isaac_inference.models.card.skeletons.read import skeleton
from isaac_inference.models.card.skeletons.spec import SkeletonSpec

ARM = {'names': ['hand', 'elbow', 'left', 'right'], 'edges': [['hand', 'elbow']], 'left': ['left'], 'right': ['right']}


@pytest.mark.parametrize('name', SKELETONS)
def test_a_published_skeleton_is_whole(name):
    spec = SKELETONS[name]
    joined = {index for edge in spec.edges for index in edge}
    assert joined == set(range(len(spec.names))) and len(set(spec.names)) == len(spec.names)
    assert len(set(map(frozenset, spec.edges))) == len(spec.edges)
    for left, right in zip(spec.left, spec.right, strict=True):
        assert spec.names[left] == spec.names[right].replace('right', 'left')
    mirrored = {frozenset(spec.mirrored[index] for index in edge) for edge in spec.edges}
    assert mirrored == set(map(frozenset, spec.edges))  # a mirrored person is a person


@pytest.mark.parametrize(
    ('name', 'count', 'places'),
    [
        ('coco17', 17, {0: 'nose', 5: 'left_shoulder', 16: 'right_ankle'}),
        ('blazepose33', 33, {3: 'left_eye_outer', 9: 'mouth_left', 20: 'right_index', 32: 'right_foot_index'}),
        ('halpe26', 26, {16: 'right_ankle', 17: 'head', 19: 'hip', 20: 'left_big_toe', 25: 'right_heel'}),
        ('wholebody133', 133, {17: 'left_big_toe', 22: 'right_heel', 23: 'right_jaw_0', 31: 'chin',
                               90: 'right_inner_lip_2', 91: 'left_hand_wrist', 132: 'right_hand_pinky_tip'}),
        ('mpii16', 16, {0: 'right_ankle', 6: 'pelvis', 9: 'head_top', 15: 'left_wrist'}),
        ('hand21', 21, {0: 'wrist', 4: 'thumb_tip', 8: 'index_finger_tip', 20: 'pinky_tip'}),
    ],
)  # fmt: skip
def test_the_published_order(name, count, places):
    spec = SKELETONS[name]
    assert len(spec.names) == count and skeleton_of(count) == (name, spec) and skeleton_of(18) is None
    assert {index: spec.names[index] for index in places} == places
    assert set(spec.left) | set(spec.right) == {
        index for index, text in enumerate(spec.names) if 'left' in text or 'right' in text
    }


def test_a_card_s_own_skeleton():
    spec = skeleton(ARM)
    assert spec == SkeletonSpec(('hand', 'elbow', 'left', 'right'), ((0, 1),), (2,), (3,))
    assert spec.mirrored == (0, 1, 3, 2)


@pytest.mark.parametrize(
    ('changed', 'says'),
    [
        ({'names': []}, 'a list of texts that differ'),
        ({'names': ['a', 'a']}, 'a list of texts that differ'),
        ({'names': 'abc'}, 'a list of texts that differ'),
        ({'edges': [['hand']]}, 'pairs of names'),
        ({'edges': [['hand', 'foot']]}, "'foot' is none of them"),
        ({'edges': [['hand', 'hand']]}, 'between two keypoints'),
        ({'edges': 3}, 'pairs of names'),
        ({'left': []}, 'two lists of as many names'),
        ({'left': ['right']}, 'no name in both'),
        ({'joints': []}, 'one of coco17, .*hand21, or'),
    ],
)
def test_what_is_no_skeleton_is_said(changed, says):
    with pytest.raises(ValueError, match=says):
        skeleton({**ARM, **changed})


def pose_card(folder, card='', classes=('person',), shape=(17, 3)):
    metadata = ultralytics_metadata(list(classes), task='pose', kpt_shape=list(shape))
    path = write_model(folder / 'm.onnx', 'yolov8_pose', metadata=metadata, classes=len(classes), keypoint_shape=shape)
    path.with_suffix('.yaml').write_text(card)
    return read_card(path)


def test_17_keypoints_of_persons_are_coco_s(tmp_path):
    card = pose_card(tmp_path)
    assert card.keypoints.skeleton is COCO_17
    (row,) = [row for row in card_rows(card) if row[0] == 'keypoints']
    assert row[1] == '17 of (x, y, confidence), skeleton of nose, left_eye, ...'


@pytest.mark.parametrize(
    ('classes', 'shape'), [(('dog',), (17, 3)), (('person', 'dog'), (17, 3)), (('person',), (16, 3))]
)
def test_other_keypoints_have_no_skeleton_unless_a_card_gives_it(tmp_path, classes, shape):
    assert pose_card(tmp_path, classes=classes, shape=shape).keypoints.skeleton is None


def test_a_card_gives_a_skeleton_and_with_it_the_number_of_keypoints(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'yolov8_pose', metadata={}, keypoint_shape=(4, 3))
    path.with_suffix('.yaml').write_text(f'labels: [a, b, c]\nkeypoints: {{skeleton: {ARM}}}\n')
    keypoints = read_card(path).keypoints
    assert keypoints.count == 4 and keypoints.skeleton.names == tuple(ARM['names'])


@pytest.mark.parametrize(
    ('card', 'says'),
    [
        ('keypoints: {skeleton: coco18}', "keypoints.skeleton: got 'coco18', expected one of coco17, .*hand21, or"),
        (f'keypoints: {{skeleton: {ARM}}}', r'got 4 names, but there are 17 keypoints \(metadata "kpt_shape"\)'),
        ('keypoints: {skeleton: coco17, model: cuboid8, count: 8}', 'those of the model cuboid8'),
    ],
)
def test_a_skeleton_that_does_not_fit_is_said(tmp_path, card, says):
    with pytest.raises(ModelError, match=says):
        pose_card(tmp_path, card)


def test_a_skeleton_does_not_change_what_frames_mean(tmp_path):
    plain = pose_card(tmp_path, classes=('dog',))
    named = pose_card(tmp_path, 'keypoints: {skeleton: coco17}', classes=('dog',))
    assert named.keypoints.skeleton is COCO_17 and named.id == plain.id
