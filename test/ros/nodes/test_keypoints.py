# SPDX-License-Identifier: Apache-2.0
"""The keypoints topic of a running pipeline: row by row with the detections, before them, and also when empty."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from sensor_msgs.msg import Image
from support.onnx_models import known_detections, known_keypoints, ultralytics_metadata, write_model
from support.ros.probe import image_message

from isaac_inference.engines import create_engine
from isaac_inference.models import read_card
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.drawing.boxes import class_color
from isaac_inference.ros.messages.tensors import TensorFrame, from_tensor_list
from isaac_inference.ros.recording import Player, PlayOptions, Recorder, Recording, RecordingWriter, Selection
from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.stages import Postprocessor, Preprocessor

LABELS = ['cup', 'can', 'box']
BLACK = np.zeros((64, 64, 3), np.uint8)


@pytest.fixture(scope='module', params=['yolov8_pose', 'end_to_end_pose'])
def pose_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cup, can and box on white, eight keypoints each; nothing on black."""
    is_finished = request.param == 'end_to_end_pose'
    metadata = ultralytics_metadata(LABELS, imgsz=(64, 64), task='pose', kpt_shape=[8, 3], end2end=is_finished)
    path = tmp_path_factory.mktemp('model') / 'pose.onnx'
    return write_model(path, request.param, input_wh=(64, 64), metadata=metadata)


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


def test_a_recording_holds_them_and_pictures_made_from_it_show_them(
    seen: Seen, pose_model: Path, make_graph: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    path, there = tmp_path / 'run.mcap', seen.graph.namespace
    white = np.full((128, 128, 3), 255, np.uint8)
    record(seen, white, path)
    expected = found_without_ros(pose_model, white)
    recording = Recording(path)
    frames = [from_tensor_list(item.message) for item in recording.messages([f'{there}/keypoints'])]
    assert frames
    for frame in frames:
        np.testing.assert_allclose(frame.tensors['keypoints'], expected.keypoints, atol=1e-3)

    names = ('image', 'detections', 'keypoints')
    with make_graph() as graph:
        graph.load('AnnotateNode', 'annotate', draw_keypoints=True, draw_rate=False)
        graph.probe.wait_active('annotate')
        pictures = graph.probe.listen('annotate/debug_image', Image)
        remap = {f'{there}/{name}': f'{graph.namespace}/{name}' for name in names}
        player = Player(graph.probe.node, recording, PlayOptions(tuple(remap), loop=True, remap=remap))
        stop = threading.Event()
        thread = threading.Thread(target=player.play, args=(stop,))
        thread.start()  # over and over: the first images come before the node takes any
        try:
            graph.probe.wait_until(lambda: any(shows(picture, expected.keypoints) for picture in list(pictures)))
        finally:
            stop.set()
            thread.join()
            player.close()


def record(seen: Seen, pixels: np.ndarray, path: Path) -> None:
    """Record what the graph does with an image, until every topic of it has a message."""
    recorder = Recorder(RecordingWriter(path), Selection(namespace=seen.graph.namespace), lambda line: None)
    spin = SpinThread(recorder)
    wanted = {f'{seen.graph.namespace}/{name}' for name in ('image', 'detections', 'keypoints')}
    for _ in range(1000):
        seen.ask(pixels)
        if wanted <= {item.name for item in recorder.records() if item.count}:
            break
    spin.stop()
    recorder.finish()


def found_without_ros(model: Path, pixels: np.ndarray) -> Detections:
    card = read_card(model)
    tensors, letterbox = Preprocessor(card)(pixels)
    with create_engine(card) as engine:
        return Postprocessor(card)(engine.infer(tensors), letterbox)


def shows(message: Image, keypoints: np.ndarray) -> bool:
    """Whether a picture has the third keypoint, in the middle of its box, of each object."""
    picture = np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.width, 3)
    drawn = [picture[int(y), int(x)] for x, y, _ in keypoints[:, 2]]
    return bool(np.allclose(drawn, [class_color(label) for label in LABELS], atol=2))


def test_a_detector_has_no_such_topic(empty_graph: Any, model: Path) -> None:
    empty_graph.load('DetectionNode', 'detection', model=str(model))
    empty_graph.probe.wait_active('detection')
    empty_graph.probe.wait_until(lambda: empty_graph.probe.node.count_publishers('detections') == 1)
    topics = dict(empty_graph.probe.node.get_topic_names_and_types())
    assert f'{empty_graph.namespace}/keypoints' not in topics
