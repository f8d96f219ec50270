# SPDX-License-Identifier: Apache-2.0
"""Detections whose image is missing, late or of another stamp, and frames of another card: named, and no keypoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from support.keypoints.dots import dots_of, scene
from support.keypoints.people import People
from support.ros.probe import image_message

from isaac_inference.models import CardId
from isaac_inference.ros.messages.crops import CropRows
from isaac_inference.ros.messages.tensors import TensorFrame, to_tensor_list

WH = (640, 480)
BOX = (100.0, 100.0, 160.0, 200.0)


@pytest.fixture
def hurried(make_graph: Any, dots: Any) -> Any:
    """Waits 50 ms for an image, and keeps two."""
    with make_graph() as graph:
        yield People(graph, dots, crops={'wait_s': 0.05, 'buffer_size': 2})


def dropped(people: Any, reason: str) -> int:
    [value] = people.counts('crops', f'dropped.{reason}')
    return int(value or 0)


def assert_still_works(people: Any) -> None:
    [row] = people.ask(scene(WH, [BOX]), [BOX])
    assert np.abs(row[:, :2] - dots_of(BOX)).max() <= 0.5


def test_no_image_at_all(hurried: Any) -> None:
    header = hurried.send(None, [BOX])
    hurried.probe.wait_until(lambda: 'image_missing' in hurried.probe.status('crops').message)
    assert dropped(hurried, 'image_missing') == 1
    assert_still_works(hurried)
    assert not hurried._of(header)


def test_detections_of_another_stamp(hurried: Any) -> None:
    """The image is there, but the detections were not made of it: its people stand elsewhere by now."""
    header = hurried.send(image_message(scene(WH, [BOX])), [BOX], header=image_message().header)
    hurried.probe.wait_until(lambda: dropped(hurried, 'image_missing') == 1)
    assert_still_works(hurried)
    assert not hurried._of(header)


def test_detections_that_come_too_late(hurried: Any) -> None:
    """Their image has made room for newer ones."""
    image = image_message(scene(WH, [BOX]))
    hurried.probe.send(image)
    for _ in range(3):
        assert_still_works(hurried)
    hurried.send(None, [BOX], header=image.header)
    hurried.probe.wait_until(lambda: dropped(hurried, 'image_missing') == 1)
    assert not hurried._of(image.header)


def test_the_sentence_says_what_to_do(hurried: Any) -> None:
    lines: list[str] = []
    node = hurried.graph.node('crops')
    node.health._log = lambda is_error, text: lines.append(text)
    hurried.send(None, [BOX])
    hurried.probe.wait_until(lambda: lines)
    assert 'image_missing' in lines[0] and 'buffer_size (2)' in lines[0] and 'wait_s (0.05)' in lines[0]


def test_an_image_that_cannot_be_read(hurried: Any) -> None:
    image = image_message(scene(WH, [BOX]), encoding='no_such')
    hurried.send(image, [BOX])
    hurried.probe.wait_until(lambda: dropped(hurried, 'unknown_encoding') == 1)
    assert_still_works(hurried)


def test_crops_of_another_card(hurried: Any) -> None:
    """Of another model with the same tensors: both stages behind refuse them."""
    header = image_message().header
    other = CardId('0123456789abcdef', 'hands')
    frame = TensorFrame(header, {'image': np.zeros((0, 3, 64, 48), np.float32)}, CropRows(1).auxiliary(), card=other)
    publisher = hurried.probe.node.create_publisher(TensorList, 'crops/input_tensors', 10)
    hurried.probe.send(to_tensor_list(frame), publisher)
    hurried.probe.wait_until(lambda: 'other_model' in hurried.probe.status('crops_inference').message)
    assert hurried.counts('crops_inference', 'dropped.other_model', 'processed') == ['1', '0']
