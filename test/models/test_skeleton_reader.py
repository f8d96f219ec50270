# SPDX-License-Identifier: Apache-2.0
"""The skeleton of a model's keypoints, and what is said where nothing names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.onnx_models import ultralytics_metadata, write_model

from isaac_inference.errors import ModelError
from isaac_inference.models import read_card
from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.models.skeleton_reader import read_skeleton


def model(folder: Path, count: int, card: str = '', task: str = 'pose') -> Path:
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64), task=task, kpt_shape=[count, 3])
    path = write_model(
        folder / 'people.onnx', 'yolov8_pose', classes=1, keypoint_shape=(count, 3), input_wh=(64, 64),
        metadata=metadata,
    )  # fmt: skip
    if card:
        path.with_suffix('.yaml').write_text(card)
    return path


def test_a_model_of_people_with_coco_s_points_needs_no_card(tmp_path: Path) -> None:
    path = model(tmp_path, 17)
    found = read_skeleton(path)
    assert found.spec == COCO_17
    assert found.name == 'people'
    assert found.card == read_card(path).id


def test_the_line_that_an_error_tells_works(tmp_path: Path) -> None:
    path = model(tmp_path, 9)
    with pytest.raises(ModelError, match='nothing says what its 9 keypoints are') as caught:
        read_skeleton(path)
    assert 'keypoints: {skeleton: {names: [nose, left_eye, ...]' in str(caught.value)
    names = [f'point_{index}' for index in range(9)]
    path.with_suffix('.yaml').write_text(f'keypoints: {{skeleton: {{names: {names}, edges: [[point_0, point_1]]}}}}\n')
    assert read_skeleton(path).spec.edges == ((0, 1),)


def test_a_detector_has_no_skeleton(tmp_path: Path) -> None:
    metadata = ultralytics_metadata(['cup'], imgsz=(64, 64))
    path = write_model(tmp_path / 'boxes.onnx', 'yolov8', classes=1, input_wh=(64, 64), metadata=metadata)
    with pytest.raises(ModelError, match='its task is detection, which has no keypoints; give model:='):
        read_skeleton(path)


def test_a_card_alone_is_enough_and_its_line_works(tmp_path: Path) -> None:
    card = tmp_path / 'mine.yaml'
    card.write_text('labels: [person]\n')
    with pytest.raises(ModelError, match='add to its card: "keypoints: {skeleton: coco17}"'):
        read_skeleton('', card)
    card.write_text('keypoints: {skeleton: coco17}\n')
    found = read_skeleton('', card)
    assert (found.spec, found.name, found.card) == (COCO_17, 'mine', None)


def test_with_nothing_both_ways_are_told() -> None:
    with pytest.raises(ModelError, match='got nothing; give model:=.*or model_card:='):
        read_skeleton('')
