# SPDX-License-Identifier: Apache-2.0
"""The graphs that `models:=person.onnx,pose.onnx` and a top-down `model:=` alone start, from image to keypoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from support.keypoints.dots import dots_of, scene
from support.keypoints.people import load
from support.onnx_models import known_detections, ultralytics_metadata, write_model
from support.ros.probe import RELIABLE, image_message
from vision_msgs.msg import Detection2DArray

from isaac_inference.models import ModelCard
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ros.bringup.graph import CropModel, found_by, perception_graph
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.tensors import RECTIFIED, from_tensor_list

WH = (128, 128)
BOX = tuple(2.0 * value for value in known_detections(1, (64, 64))[0].xyxy)  # of an image of 128x128 px
SHIFT = (12, 4)  # px, by which the rectified image shows things further right and down


@pytest.fixture(scope='module')
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person, always in the same place, on bright images; nothing on black."""
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64))
    path = tmp_path_factory.mktemp('detector') / 'person.onnx'
    return write_model(path, 'yolov8', classes=1, input_wh=(64, 64), metadata=metadata)


def started(graph: Any, **options: Any) -> list[Any]:
    """Load a graph; the list of keypoints that it will publish."""
    specs = perception_graph(**options)
    load(graph, specs, crops={'wait_s': 10.0}, annotate={'wait_s': 10.0})
    frames = graph.probe.listen('keypoints', TensorList, read=from_tensor_list)
    graph.probe.wait_matched()
    return frames


def of(messages: list[Any], header: Header) -> list[Any]:
    return [message for message in list(messages) if message.header == header]


def test_a_detector_and_a_top_down_model(empty_graph: Any, detector: Path, dots: ModelCard) -> None:
    frames = started(empty_graph, model=str(detector), crops=CropModel(str(dots.path), any_batch=True))
    probe = empty_graph.probe
    pictures = probe.listen('annotate/debug_image', Image)
    probe.wait_until(lambda: empty_graph.node('annotate')._pictures.wanted)
    message = image_message(scene(WH, [BOX]))
    array = probe.ask(message)
    assert len(array.detections) == 1
    probe.wait_until(lambda: of(frames, message.header), 'keypoints')
    [frame] = of(frames, message.header)
    [row] = frame.tensors['keypoints']
    assert np.abs(row[:, :2] - dots_of(BOX)).max() <= 0.5
    probe.wait_until(lambda: of(pictures, message.header), 'a picture')
    black = image_message(np.zeros((128, 128, 3), np.uint8))
    assert not probe.ask(black).detections
    probe.wait_until(lambda: of(frames, black.header), 'keypoints of nobody')
    assert of(frames, black.header)[0].tensors['keypoints'].shape == (0, 3, 3)


def test_rectified_images_are_cropped_where_they_are_detected(
    empty_graph: Any, detector: Path, dots: ModelCard
) -> None:
    """Boxes are of the rectified image, so crops must be, too: the raw one shows everything elsewhere."""
    frames = started(empty_graph, model=str(detector), crops=CropModel(str(dots.path)), rectify=True, annotate=False)
    probe = empty_graph.probe
    camera = CameraModel(*WH, np.array([[100.0, 0, 60], [0, 100.0, 64], [0, 0, 1]]))
    info = camera_info(Header(frame_id='lens'), camera)
    flat = np.zeros((3, 4))
    flat[:, :3] = camera.K
    flat[:2, 2] += SHIFT
    info.p = flat.ravel().tolist()
    infos = probe.node.create_publisher(CameraInfo, 'camera_info', RELIABLE)
    probe.send(info, infos)
    preprocess = empty_graph.node('preprocess')
    probe.wait_until(lambda: preprocess._rectified._said is not None, 'CameraInfo arrives')
    raw = tuple(value - shift for value, shift in zip(BOX, SHIFT * 2, strict=True))
    message = image_message(scene(WH, [raw]))
    array = probe.ask(message)
    assert len(array.detections) == 1
    probe.wait_until(lambda: of(frames, message.header), 'keypoints')
    [frame] = of(frames, message.header)
    assert np.abs(frame.tensors['keypoints'][0][:, :2] - dots_of(BOX)).max() <= 0.5
    assert frame.auxiliary[RECTIFIED].tolist() == [100.0, 100.0, 60.0 + SHIFT[0], 64.0 + SHIFT[1]]
    nobody = image_message(np.zeros((128, 128, 3), np.uint8))
    assert not probe.ask(nobody).detections
    probe.wait_until(lambda: of(frames, nobody.header), 'keypoints of nobody')
    assert of(frames, nobody.header)[0].auxiliary[RECTIFIED].tolist() == frame.auxiliary[RECTIFIED].tolist()


def test_a_top_down_model_alone(empty_graph: Any, dots: ModelCard) -> None:
    frames = started(empty_graph, model=str(dots.path), finds=found_by(dots))
    assert {node.get_name() for node in empty_graph.probe.nodes()} >= {
        'preprocess',
        'inference',
        'keypoints',
        'annotate',
    }
    probe = empty_graph.probe
    person = (20.0, 10.0, 100.0, 120.0)
    message = image_message(scene(WH, [person]))
    [item] = probe.ask(message).detections
    assert item.results[0].hypothesis.class_id == 'person'
    probe.wait_until(lambda: of(frames, message.header), 'keypoints')
    [row] = of(frames, message.header)[0].tensors['keypoints']
    places = dots_of(person)
    assert np.abs(row[:, :2] - places).max() <= 0.5
    box = item.bbox
    corners = (box.center.position.x - box.size_x / 2, box.center.position.y + box.size_y / 2)
    assert corners == pytest.approx((places[:, 0].min(), places[:, 1].max()), abs=0.5)
    empty = image_message(np.full((128, 128, 3), 255, np.uint8))
    assert not probe.ask(empty).detections
    probe.wait_until(lambda: of(frames, empty.header), 'keypoints of nobody')
    assert of(frames, empty.header)[0].tensors['keypoints'].shape == (0, 3, 3)


def test_alone_on_rectified_images(empty_graph: Any, dots: ModelCard) -> None:
    """Its keypoints say that they are in pixels of the rectified image, as a detector's do."""
    frames = started(empty_graph, model=str(dots.path), rectify=True, annotate=False, finds=found_by(dots))
    probe = empty_graph.probe
    camera = CameraModel(*WH, np.array([[100.0, 0, 64], [0, 100.0, 64], [0, 0, 1]]))
    probe.send(camera_info(Header(frame_id='lens'), camera), probe.node.create_publisher(CameraInfo, 'camera_info', 10))
    preprocess = empty_graph.node('preprocess')
    probe.wait_until(lambda: preprocess._rectified._said is not None, 'CameraInfo arrives')
    message = image_message(scene(WH, [(20.0, 10.0, 100.0, 120.0)]))
    assert len(probe.ask(message).detections) == 1
    probe.wait_until(lambda: of(frames, message.header), 'keypoints')
    assert of(frames, message.header)[0].auxiliary[RECTIFIED].tolist() == [100.0, 100.0, 64.0, 64.0]


@pytest.mark.parametrize('is_alone', [False, True], ids=['behind a detector', 'alone'])
def test_people_are_tracked_with_their_keypoints(
    empty_graph: Any, detector: Path, dots: ModelCard, is_alone: bool
) -> None:
    """Keypoints of crops come after their detections, and go out in the rows of the tracked ones."""
    if is_alone:
        started(empty_graph, model=str(dots.path), track=True, annotate=False, finds=found_by(dots))
    else:
        started(
            empty_graph, model=str(detector), crops=CropModel.of(str(dots.path), '', dots), track=True, annotate=False
        )
    probe = empty_graph.probe
    tracked = probe.listen('track/detections', Detection2DArray)
    frames = probe.listen('track/keypoints', TensorList, read=from_tensor_list)
    track = empty_graph.node('track')
    probe.wait_until(lambda: track._keypoints.wanted, 'somebody looks')
    message = image_message(scene(WH, [BOX]))
    probe.ask(message)
    probe.wait_until(lambda: of(tracked, message.header) and of(frames, message.header), 'a tracked person')
    [item] = of(tracked, message.header)[0].detections
    assert item.results[0].hypothesis.class_id == 'person'
    [row] = of(frames, message.header)[0].tensors['keypoints']
    assert np.abs(row[:, :2] - dots_of(BOX)).max() <= 0.5
    values = {pair.key: pair.value for pair in probe.wait_report('track').values}
    assert not [key for key in values if key.startswith(('skipped.', 'dropped.', 'refused.'))]
