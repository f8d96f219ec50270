# SPDX-License-Identifier: Apache-2.0
"""A real person detector and real top-down networks on a photo, through all nodes: a skier stands on her feet."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from support.keypoints.people import load
from support.paths import DATA
from support.ros.probe import image_message

from isaac_inference.models import read_card
from isaac_inference.ros.bringup.graph import CropModel, found_by, perception_graph
from isaac_inference.ros.messages.tensors import from_tensor_list

PHOTO, EMPTY = DATA / 'coco' / 'eval' / '000000000785.jpg', DATA / 'coco' / 'eval' / '000000000285.jpg'
PERSON = DATA / 'models' / 'yolox_person_192.onnx'
NETWORKS = ['movenet_singlepose_lightning', 'blazepose_landmark_lite']
FILES = [PHOTO, EMPTY, PERSON, *(DATA / 'models' / f'{stem}.onnx' for stem in NETWORKS)]
SKIER = np.array([280, 45, 495, 390])  # px

pytestmark = pytest.mark.skipif(not all(path.exists() for path in FILES), reason=f'no {PERSON}, or what is beside it')


def asked(graph: Any, specs: Any, photo: Any) -> tuple[Any, np.ndarray]:
    """Detections and keypoints of a photo."""
    frames = graph.probe.listen('keypoints', TensorList, read=from_tensor_list)
    graph.probe.wait_matched()
    message = image_message(cv2.imread(str(photo)))
    array = graph.probe.ask(message)
    graph.probe.wait_until(lambda: [frame for frame in frames if frame.header == message.header], 'keypoints')
    return array, next(frame for frame in frames if frame.header == message.header).tensors['keypoints']


def assert_stands(row: np.ndarray, names: tuple[str, ...]) -> None:
    places = dict(zip(names, row, strict=True))
    sure = row[row[:, 2] >= 0.3, :2]
    assert len(sure) >= 10
    assert ((sure >= SKIER[:2] - 20) & (sure <= SKIER[2:] + 20)).all(axis=1).mean() >= 0.9
    heights = [places[f'left_{part}'][1] for part in ('shoulder', 'hip', 'knee', 'ankle')]
    assert places['nose'][1] < heights[0]
    assert heights == sorted(heights)
    assert 0.6 * 345 < heights[3] - places['nose'][1] < 345


@pytest.mark.parametrize('stem', NETWORKS)
def test_behind_a_detector(empty_graph: Any, stem: str) -> None:
    card = read_card(DATA / 'models' / f'{stem}.onnx')
    specs = perception_graph(model=str(PERSON), crops=CropModel(str(card.path)), annotate=False)
    load(empty_graph, specs, crops={'wait_s': 10.0})
    array, rows = asked(empty_graph, specs, PHOTO)
    assert len(array.detections) == len(rows) == 1
    assert_stands(rows[0], card.spec.keypoints.skeleton.names)
    array, rows = asked(empty_graph, specs, EMPTY)
    assert not array.detections and len(rows) == 0


def test_alone(empty_graph: Any) -> None:
    """MoveNet is made for pictures of one person; BlazePose wants a crop."""
    card = read_card(DATA / 'models' / f'{NETWORKS[0]}.onnx')
    specs = perception_graph(model=str(card.path), annotate=False, finds=found_by(card))
    load(empty_graph, specs)
    array, rows = asked(empty_graph, specs, PHOTO)
    [item] = array.detections
    assert item.results[0].hypothesis.class_id == 'person'
    assert_stands(rows[0], card.spec.keypoints.skeleton.names)
    array, rows = asked(empty_graph, specs, EMPTY)
    assert not array.detections and len(rows) == 0
