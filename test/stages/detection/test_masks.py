# SPDX-License-Identifier: Apache-2.0
"""Masks of a network whose masks are true, from picture to source pixels, in every form; outputs that do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cards import with_detection
from support.masks.reference import crop_reference, map_reference
from support.onnx_models import masks as model

from isaac_inference.engines import create_engine
from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.models import ModelCard
from isaac_inference.models.card.tasks import MaskForm, MaskSpec
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages import Postprocessor, Preprocessor, detection_settings

HERE = Letterbox.between(model.WH, model.WH)
PICTURES = {
    'as it is': model.picture(),
    'four times as large': model.picture(4),
    'without the first and last rows, which are padding then': model.picture(3)[24:-24],
    'without the sides': model.picture(2)[:, 16:-16],
}


@pytest.fixture(scope='module', params=model.KINDS)
def card(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return model.write_mask_model(tmp_path_factory.mktemp('model') / 'masks.onnx', request.param)


def outputs_of(card: ModelCard, picture: np.ndarray) -> tuple[dict[str, np.ndarray], Letterbox]:
    tensors, letterbox = Preprocessor(card)(picture)
    with create_engine(card) as engine:
        return dict(engine.infer(tensors)), letterbox


def reference(card: ModelCard, outputs: dict[str, np.ndarray], letterbox: Letterbox, found: Detections) -> list:
    """(H, W) bool by the definition, from the raw outputs."""
    made = []
    for box, number in zip(found.boxes.astype(np.float64), found.class_ids.tolist(), strict=True):
        way = letterbox.source_wh, letterbox.scale_xy, letterbox.offset_xy, letterbox.input_wh
        if 'prototypes' in outputs:
            maps = np.einsum('p,phw->hw', model.coefficients()[number].astype(float), outputs['prototypes'][0])
            made.append(map_reference(maps, box, *way) > 0)
        elif len(outputs['masks']) == 1:
            made.append(map_reference(outputs['masks'][0, 2 + number].astype(float), box, *way) > 0)
        else:
            whole = (model.BOXES[number].astype(float) - letterbox.offset_xy * 2) / (letterbox.scale_xy * 2)
            made.append(crop_reference(outputs['masks'][2 + number, 0].astype(float), whole, letterbox.source_wh) > 0.5)
    return made


@pytest.mark.parametrize('name', PICTURES)
def test_masks_are_those_of_the_definition_and_of_the_picture(card: ModelCard, name: str) -> None:
    picture = PICTURES[name]
    outputs, letterbox = outputs_of(card, picture)
    found = Postprocessor(card)(outputs, letterbox)
    assert [card.labels[number] for number in found.class_ids] == ['green', 'red', 'blue']
    assert found.masks is not None
    expected = reference(card, outputs, letterbox, found)
    for index in range(3):
        mask = found.masks.full(index)
        shared, either = (mask & expected[index]).sum(), (mask | expected[index]).sum()
        assert shared / either > 0.999, found.class_ids[index]  # what lies just on the threshold may fall either way
        colored = (picture == model.COLORS[found.class_ids[index]][::-1]).all(axis=2)
        x0, y0, x1, y1 = found.boxes[index].astype(int)
        in_box = np.zeros_like(colored)
        in_box[y0:y1, x0:x1] = True
        # corners are rounded, and a crop's edge loses what lies in its outermost half cells
        assert (mask & colored & in_box).sum() / (mask | (colored & in_box)).sum() > 0.9
        assert not (mask & ~in_box).any()


def test_nobody_pays_for_masks_that_he_does_not_want(card: ModelCard) -> None:
    outputs, letterbox = outputs_of(card, PICTURES['as it is'])
    found = Postprocessor(card)(outputs, letterbox, masks=False)
    assert found.masks is None
    np.testing.assert_array_equal(found.boxes, Postprocessor(card)(outputs, letterbox).boxes)


def test_masks_stay_with_their_boxes_whatever_is_filtered(card: ModelCard) -> None:
    outputs, letterbox = outputs_of(card, PICTURES['as it is'])
    everything = Postprocessor(card)(outputs, letterbox)
    blue = Postprocessor(card, detection_settings(card, classes=['blue']))(outputs, letterbox)
    assert blue.masks is not None
    assert len(blue.masks) == 1
    np.testing.assert_array_equal(blue.masks.full(0), everything.masks.full(2))
    none = Postprocessor(card, detection_settings(card, score_threshold=0.99))(outputs, letterbox)
    assert none.masks is not None
    assert none.masks.painted(none.scores).any() == np.False_


def test_an_object_whose_mask_is_empty_is_found_all_the_same(card: ModelCard) -> None:
    """Its colour is in the picture, but not in its box."""
    picture = np.full((64, 96, 3), 120, np.uint8)
    picture[:4, :8] = model.COLORS[2][::-1]
    outputs, letterbox = outputs_of(card, picture)
    found = Postprocessor(card)(outputs, letterbox)
    assert found.class_ids.tolist() == [2]
    assert found.masks.areas.tolist() == [0]


def test_without_the_tensor_of_the_masks_a_frame_is_refused(card: ModelCard) -> None:
    outputs, letterbox = outputs_of(card, PICTURES['as it is'])
    del outputs[card.masks.role]
    with pytest.raises(FrameError, match=f'tensor {card.masks.role} .*not among the arrived tensors') as error:
        Postprocessor(card)(outputs, letterbox)
    assert error.value.reason == 'missing_tensor'


def test_masks_that_are_not_finite(card: ModelCard) -> None:
    outputs, letterbox = outputs_of(card, PICTURES['as it is'])
    name = card.masks.role
    outputs[name] = np.full_like(outputs[name], np.nan)
    with pytest.raises(FrameError, match=f'tensor {name} .*NaN or infinity in a mask') as error:
        Postprocessor(card)(outputs, letterbox)
    assert error.value.reason == 'non_finite_output'


def fewer(array: np.ndarray) -> np.ndarray:
    """Without the last entry of the axis that must fit the boxes or coefficients."""
    return array[:, :-1] if len(array) == 1 else array[:-1]


@pytest.mark.parametrize(
    'change',
    [
        fewer,
        lambda array: array[..., 0, 0],
        lambda array: array.reshape(-1),
        lambda array: np.concatenate((array, array), 1),
    ],
    ids=['fewer', 'two axes less', 'flat', 'more'],
)
def test_masks_of_another_shape_than_the_boxes_need(card: ModelCard, change: Any) -> None:
    outputs, letterbox = outputs_of(card, PICTURES['as it is'])
    name = card.masks.role
    outputs[name] = change(outputs[name])
    with pytest.raises(FrameError, match=f'tensor {name} .*got') as error:
        Postprocessor(card)(outputs, letterbox)
    assert error.value.reason == 'bad_output_shape'


def test_masks_of_whole_numbers(card: ModelCard) -> None:
    outputs, letterbox = outputs_of(card, PICTURES['as it is'])
    outputs[card.masks.role] = outputs[card.masks.role].astype(np.int32)
    with pytest.raises(FrameError, match='expected floating point'):
        Postprocessor(card)(outputs, letterbox)


def test_another_number_of_labels_than_of_classes(card: ModelCard) -> None:
    """The columns no longer say which are scores and which coefficients; or a class has no label."""
    outputs, letterbox = outputs_of(card, PICTURES['as it is'])
    with pytest.raises(FrameError) as error:
        Postprocessor(replace(card, labels=card.labels[:-1]))(outputs, letterbox)
    assert error.value.reason in ('bad_output_shape', 'bad_class_id')


@pytest.mark.parametrize('batch', [0, 1])
def test_the_masks_of_one_image_of_a_batch(card: ModelCard, batch: int) -> None:
    picture = PICTURES['as it is']
    one, letterbox = outputs_of(card, picture)
    other, _ = outputs_of(card, np.flipud(picture).copy())
    if card.masks.form is MaskForm.CROPS:  # (N, 1, s, s) is of one image; with a batch axis it is (B, N, s, s)
        for outputs in (one, other):
            outputs['masks'] = outputs['masks'][None, :, 0]
    both = {name: np.concatenate((one[name], other[name])) for name in one}
    expected = Postprocessor(card)((one, other)[batch], letterbox)
    found = Postprocessor(card)(both, letterbox, batch)
    assert all(map(np.array_equal, found.masks.crops, expected.masks.crops))
    assert len(found) == 3


def test_boxes_outside_of_the_image_and_without_an_area_have_empty_masks(tmp_path: Path) -> None:
    card = model.write_mask_model(tmp_path / 'm.onnx', 'end_to_end')
    outputs, _ = outputs_of(card, PICTURES['as it is'])
    outputs['predictions'] = outputs['predictions'].copy()
    outputs['predictions'][0, 0, :4] = (8, 0, 40, 7)  # in the padding above
    outputs['predictions'][0, 1, :4] = (32, 30, 32, 44)
    letterbox = Letterbox((96, 48), model.WH, (1.0, 1.0), (0.0, 8.0))
    found = Postprocessor(card)(outputs, letterbox)
    assert found.masks.areas.tolist()[:2] == [0, 0]
    assert found.masks.areas[2] > 100
    assert np.unique(found.masks.painted(found.scores)).tolist() == [0, 3]


def test_a_rotated_box_cuts_its_mask_at_the_upright_one_around_it(tmp_path: Path) -> None:
    card = model.write_mask_model(tmp_path / 'm.onnx', 'full')
    columns = ('x1', 'y1', 'x2', 'y2', 'score', 'class', 'angle')
    card = with_detection(
        card, decoder='end_to_end', options={'columns': columns}, roles={'predictions': 'p', 'masks': 'm'}
    )
    rows = np.array([[[40, 28, 60, 32, 0.9, 0, np.pi / 2]]], np.float32)
    found = Postprocessor(card)({'p': rows, 'm': np.ones((1, 1, 64, 96), np.float32)}, HERE)
    ys, xs = found.masks.full(0).nonzero()
    assert (xs.min(), xs.max() + 1, ys.min(), ys.max() + 1) == (48, 52, 20, 40)


@pytest.mark.parametrize(
    ('changed', 'says'),
    [
        (
            {'roles': {'predictions': 'predictions'}},
            "form prototypes, but none of its outputs has the role 'prototypes'",
        ),
        ({'decoder': 'yolox'}, "got 4 channels and decoder 'yolox', expected 1 or more and one of boxes_scores, "),
        ({'masks': MaskSpec(MaskForm.PROTOTYPES, 0)}, "got 0 channels and decoder 'yolov8'"),
        (
            {'masks': MaskSpec(MaskForm.FULL), 'roles': {'predictions': 'predictions', 'masks': 'prototypes'}},
            "says which row a box was, got 'yolov8', expected one of boxes_scores, ",
        ),
    ],
)
def test_a_card_whose_masks_cannot_be_read(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    card = model.write_mask_model(tmp_path / 'm.onnx', 'yolov8')
    with pytest.raises(ConfigError, match=says):
        Postprocessor(with_detection(card, **changed))


def test_a_model_without_masks_gives_none(tmp_path: Path) -> None:
    card = model.write_mask_model(tmp_path / 'm.onnx', 'crops')
    outputs, letterbox = outputs_of(card, PICTURES['as it is'])
    roles = {role: name for role, name in card.spec.roles.items() if role != 'masks'}
    assert Postprocessor(with_detection(card, masks=None, roles=roles))(outputs, letterbox).masks is None
