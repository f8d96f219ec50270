# SPDX-License-Identifier: Apache-2.0
"""The keypoints topic of a running pipeline: row by row with the detections, before them, and also when empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from support.onnx_models import known_detections, known_keypoints, ultralytics_metadata, write_model
from support.ros.probe import image_message

from isaac_inference.ros.messages.tensors import TensorFrame, from_tensor_list

LABELS = ['cup', 'can', 'box']
BLACK = np.zeros((64, 64, 3), np.uint8)


@pytest.fixture(scope='module')
def pose_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cup, can and box on white, eight keypoints each; nothing on black."""
    metadata = ultralytics_metadata(LABELS, imgsz=(64, 64), task='pose', kpt_shape=[8, 3])
    path = tmp_path_factory.mktemp('model') / 'pose.onnx'
    return write_model(path, 'yolov8_pose', input_wh=(64, 64), metadata=metadata)


class Seen:
    """A running pipeline and what it publishes."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.keypoints: list[TensorFrame] = graph.probe.listen('keypoints', TensorList, read=from_tensor_list)

    def ask(self, pixels: np.ndarray | None = None) -> tuple[Any, np.ndarray]:
        """Detections and keypoints of one image."""
        message = image_message(pixels)
        array = self.graph.probe.ask(message)

        def frames() -> list[TensorFrame]:
            return [frame for frame in list(self.keypoints) if frame.header == message.header]

        self.graph.probe.wait_until(frames, 'the keypoints come too')
        (name, keypoints), *others = frames()[0].tensors.items()
        assert name == 'keypoints'
        assert not others
        return array, keypoints


@pytest.fixture(scope='module')
def seen(make_graph: Callable[..., AbstractContextManager[Any]], pose_model: Path) -> Iterator[Seen]:
    with make_graph() as graph:
        graph.load_all(pose_model)
        yield Seen(graph)


def test_row_i_belongs_to_detection_i_in_source_pixels(seen: Seen) -> None:
    array, keypoints = seen.ask(np.full((128, 128, 3), 255, np.uint8))
    assert [item.results[0].hypothesis.class_id for item in array.detections] == LABELS
    expected = [np.multiply(known_keypoints(known), (2, 2, 1)) for known in known_detections(3, (64, 64))]
    assert keypoints.dtype == np.float32
    np.testing.assert_allclose(keypoints, expected, atol=0.1)


def test_nothing_seen_is_a_tensor_without_rows(seen: Seen) -> None:
    array, keypoints = seen.ask(BLACK)
    assert not array.detections
    assert keypoints.shape == (0, 8, 3)
    assert keypoints.dtype == np.float32


def test_keypoints_are_published_before_the_detections_of_the_same_frame(seen: Seen) -> None:
    detection = seen.graph.node('detection')
    order: list[tuple[str, Any]] = []
    for name, publisher in (('keypoints', detection._keypoints), ('detections', detection._detections)):
        publish = publisher.publish

        def record(item: Any, name: str = name, publish: Callable[[Any], None] = publish) -> None:
            order.append((name, item.header))
            publish(item)

        publisher.publish = record
    seen.ask()
    seen.ask(BLACK)
    assert {name for name, _ in order[::2]} == {'keypoints'}
    assert {name for name, _ in order[1::2]} == {'detections'}
    assert all(first == second for (_, first), (_, second) in zip(order[::2], order[1::2], strict=False))


def test_a_detector_has_no_such_topic(empty_graph: Any, model: Path) -> None:
    empty_graph.load('DetectionNode', 'detection', model=str(model))
    empty_graph.probe.wait_active('detection')
    empty_graph.probe.wait_until(lambda: empty_graph.probe.node.count_publishers('detections') == 1)
    topics = dict(empty_graph.probe.node.get_topic_names_and_types())
    assert f'{empty_graph.namespace}/keypoints' not in topics
