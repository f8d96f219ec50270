# SPDX-License-Identifier: Apache-2.0
"""The card itself: every kind of model can be said with it, and its id changes with what tensors mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from support.onnx_models import write_model

from isaac_inference.errors import ModelError
from isaac_inference.models import (
    DetectionSpec,
    ImageInput,
    ModelCard,
    ObjectSpec,
    PreprocessSpec,
    Task,
    TaskSpec,
    TensorSpec,
    ValueInput,
    ValueRole,
    card_rows,
    read_card,
)
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.card.tasks import SPECS

F = 'float32'
LEFT = ImageInput(TensorSpec('left', F, (1, 3, 48, 64)), 'NCHW', (64, 48), role='left')
RIGHT = replace(LEFT, tensor=TensorSpec('right', F, (1, 3, 48, 64)), role='right')


@dataclass(frozen=True)
class StereoSpec(TaskSpec):
    """As the spec of a task to come may look."""

    task: ClassVar[Task] = Task.STEREO_DEPTH


@dataclass(frozen=True)
class PolicySpec(TaskSpec):
    """As the spec of a task to come may look."""

    task: ClassVar[Task] = Task.POLICY


STEREO = ModelCard(
    'stereo',
    Path('/s.onnx'),
    '1' * 64,
    (LEFT, RIGHT),
    (TensorSpec('disparity', F, (1, 1, 48, 64)), TensorSpec('unused', F, (1,))),
    StereoSpec({'disparity': 'disparity'}),
)
POLICY = ModelCard(
    'policy',
    Path('/p.onnx'),
    '2' * 64,
    (
        ValueInput(TensorSpec('tokens', 'int64', (None, 32)), ValueRole.TOKENS),
        ValueInput(TensorSpec('state', F, (None, 7)), ValueRole.STATE),
    ),
    (TensorSpec('action', F, (None, 7)),),
    PolicySpec({'action': 'action'}),
)


@pytest.fixture
def card(tmp_path):
    return read_card(write_model(tmp_path / 'm.onnx', 'yolov8'))


def test_a_stereo_pair_is_two_images_without_decoder_or_labels():
    assert STEREO.task is Task.STEREO_DEPTH and STEREO.labels == () and STEREO.class_count == 0
    assert [image.role for image in STEREO.images] == ['left', 'right']
    assert [spec.name for spec in STEREO.fed] == ['left', 'right']
    assert [spec.name for spec in STEREO.used_outputs] == ['disparity']
    assert not STEREO.dynamic_batch
    with pytest.raises(ModelError, match=r'model stereo: expected one image input, found left \(left: .*right'):
        _ = STEREO.image
    with pytest.raises(ModelError, match='model stereo: its task is stereo_depth, which finds no boxes'):
        _ = STEREO.detection


def test_a_policy_is_fed_text_and_state_without_any_image():
    assert POLICY.images == () and POLICY.dynamic_batch
    assert POLICY.value_input(ValueRole.TOKENS).dtype == 'int64'
    assert POLICY.value_input(ValueRole.DEPTH) is None and POLICY.size_input is None
    with pytest.raises(ModelError, match='expected one image input, found none'):
        _ = POLICY.image


def test_depth_beside_an_image_is_a_value():
    depth = ValueInput(TensorSpec('depth', F, (1, 1, 48, 64)), ValueRole.DEPTH)
    card = replace(STEREO, inputs=(replace(LEFT, role='image'), depth))
    assert card.image.wh == (64, 48) and card.value_input(ValueRole.DEPTH) is depth.tensor


@pytest.mark.parametrize('shown', [STEREO, POLICY], ids=['stereo', 'policy'])
def test_such_cards_can_be_shown(shown):
    rows = card_rows(shown)
    assert ('task', shown.task.value, '') in rows and not [row for row in rows if row[0] in ('decoder', 'labels')]


def test_each_task_that_can_be_run_has_a_spec_and_a_decoder_family():
    assert SPECS[Task.DETECTION] is DetectionSpec
    assert {family.task for family in FAMILIES.values()} <= set(SPECS)


def test_the_id_is_the_same_for_the_same_card(card, tmp_path):
    again = read_card(write_model(tmp_path / 'other_name.onnx', 'yolov8'))
    assert len(card.id.hash) == 16 and card.id.hash == again.id.hash
    assert (card.id.name, again.id.name) == ('m', 'other_name') and str(card.id) == f'm ({card.id.hash})'


def test_the_id_changes_with_what_decides_what_the_tensors_mean(card):
    image = card.image
    others = [
        replace(card, sha256='0' * 64),
        replace(card, labels=(*card.labels[:-1], 'another')),
        replace(card, inputs=(replace(image, preprocess=PreprocessSpec(mean=(1.0, 2.0, 3.0))),)),
        replace(card, inputs=(replace(image, wh=(32, 32)),)),
        replace(card, spec=replace(card.detection, options={'strides': (8,)})),
        replace(card, spec=replace(card.detection, decoder='yolox')),
        replace(card, spec=replace(card.detection, roles={'predictions': 'x'})),
        replace(card, outputs=()),
    ]
    assert len({card.id.hash, *(other.id.hash for other in others)}) == len(others) + 1


def test_the_id_does_not_change_with_what_is_for_people_or_for_poses(card):
    cup = ObjectSpec(card.labels[0], size=(0.1, 0.1, 0.1))
    same = replace(card, path=Path('/elsewhere.onnx'), objects={card.labels[0]: cup}, notes=('a',), version='2')
    assert same.id == card.id


def test_a_spec_does_not_change_with_the_dictionary_it_was_given():
    roles, options = {'predictions': 'a'}, {'strides': (8,)}
    spec = DetectionSpec(roles, 'yolox', options)
    roles['predictions'], options['strides'] = 'b', (16,)
    assert (spec.roles['predictions'], spec.options['strides']) == ('a', (8,))
    with pytest.raises(TypeError):
        spec.options['strides'] = (32,)
