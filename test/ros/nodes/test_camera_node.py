# SPDX-License-Identifier: Apache-2.0
"""CameraNode and AnnotateNode: pictures in, pictures out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from support.ros.probe import image_message
from support.waiting import wait_until

from isaac_inference.ros.runtime.topics.stamp import stamp_ns

CALIBRATION = """
image_width: 96
image_height: 64
camera_name: test
distortion_model: plumb_bob
camera_matrix: {rows: 3, cols: 3, data: [100, 0, 48, 0, 100, 32, 0, 0, 1]}
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [100, 0, 48, 0, 0, 100, 32, 0, 0, 0, 1, 0]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three plain pictures, 96 x 64: blue, green, red; and a damaged one in between."""
    for index, color in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255))):
        cv2.imwrite(str(tmp_path / f'{index}.png'), np.full((64, 96, 3), color, np.uint8))
    (tmp_path / '1_damaged.png').write_bytes(b'not a picture')
    return tmp_path


def listen(graph: Any, topic: str, kind: type) -> list[Any]:
    messages: list[Any] = graph.probe.listen(topic, kind)
    return messages


def pixel(message: Image) -> tuple[int, ...]:
    assert message.encoding == 'bgr8'
    return tuple(np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)[10, 10].tolist())


def test_a_folder_is_published_in_order_with_camera_info_at_the_rate(empty_graph: Any, folder: Path) -> None:
    images, infos = listen(empty_graph, 'image', Image), listen(empty_graph, 'camera_info', CameraInfo)
    empty_graph.load(
        'CameraNode', 'camera', source=str(folder), rate_hz=20.0, frame_id='lens', image_qos__depth=100
    )  # a slow reader misses none
    empty_graph.probe.wait_until(lambda: len(images) >= 8 and len(infos) >= 3)

    colors = [pixel(message) for message in images]
    cycle = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    start = cycle.index(colors[0])
    assert colors == [cycle[(start + index) % 3] for index in range(len(colors))]
    assert {message.header.frame_id for message in images} == {'lens'}
    stamps = [message.header.stamp.sec + message.header.stamp.nanosec * 1e-9 for message in images]
    assert all(later > earlier for earlier, later in zip(stamps, stamps[1:], strict=False))
    assert (stamps[-1] - stamps[0]) / (len(stamps) - 1) > 0.045  # 20 Hz, the damaged picture takes a turn of its own
    assert infos[0].header.stamp in [message.header.stamp for message in images]
    assert (infos[0].width, infos[0].height, any(infos[0].k)) == (96, 64, False)
    empty_graph.probe.wait_until(lambda: int(empty_graph.probe.value('camera', 'dropped.unreadable_image') or 0) > 0)


def test_the_end_of_a_folder_is_the_end_unless_it_loops(empty_graph: Any, folder: Path) -> None:
    empty_graph.load('CameraNode', 'camera', source=str(folder), rate_hz=100.0, loop=False, input_timeout_s=0.5)
    empty_graph.probe.wait_until(lambda: 'no input for' in empty_graph.probe.status('camera').message)
    assert empty_graph.probe.value('camera', 'processed') == '3'


def test_a_calibration_is_published_for_images_of_its_size_only(empty_graph: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'camera.yaml').write_text(CALIBRATION)
    infos = listen(empty_graph, 'camera_info', CameraInfo)
    empty_graph.load('CameraNode', 'camera', source=str(folder), calibration_file=str(tmp_path / 'camera.yaml'))
    empty_graph.probe.wait_until(lambda: bool(infos))
    assert list(infos[0].k) == [100, 0, 48, 0, 100, 32, 0, 0, 1]
    assert infos[0].distortion_model == 'plumb_bob'
    assert list(infos[0].d) == [0.1, 0, 0, 0, 0]


def test_a_calibration_of_another_size_is_not_published_and_said(
    empty_graph: Any, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / 'camera.yaml').write_text(CALIBRATION.replace('image_width: 96', 'image_width: 192'))
    infos = listen(empty_graph, 'camera_info', CameraInfo)
    empty_graph.load('CameraNode', 'camera', source=str(folder), calibration_file=str(tmp_path / 'camera.yaml'))
    empty_graph.probe.wait_until(lambda: bool(infos))
    assert not any(infos[0].k)
    empty_graph.probe.wait_until(lambda: 'calibration_file is for 192x64' in empty_graph.probe.status('camera').message)


@pytest.mark.parametrize(
    'parameters, words',
    [
        ({}, ['parameter source: got nothing']),
        ({'source': '/no/such/folder'}, ['/no/such/folder', 'no such file or folder']),
        ({'source': '.', 'calibration_file': '/no/such.yaml'}, ['calibration_file /no/such.yaml']),
    ],
)
def test_a_bad_source_stops_at_configure(
    empty_graph: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, parameters: Any, words: list[str]
) -> None:
    monkeypatch.chdir(folder)
    empty_graph.load('CameraNode', 'camera', **parameters)
    empty_graph.probe.wait_until(lambda: 'configure failed' in empty_graph.probe.status('camera').message)
    assert all(word in empty_graph.probe.status('camera').message for word in words)


def test_a_webcam_that_is_not_there_is_an_error_that_is_tried_again(empty_graph: Any) -> None:
    empty_graph.load('CameraNode', 'camera', source='97')
    empty_graph.probe.wait_until(
        lambda: (
            empty_graph.probe.status('camera').level == DiagnosticStatus.ERROR
            and "source '97'" in empty_graph.probe.status('camera').message
        )
    )
    assert empty_graph.probe.value('camera', 'state') == 'active'


def test_a_video_plays(empty_graph: Any, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / 'v.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (96, 64))
    for level in (0, 255, 0):
        writer.write(np.full((64, 96, 3), level, np.uint8))
    writer.release()
    images = listen(empty_graph, 'image', Image)
    empty_graph.load('CameraNode', 'camera', source=str(tmp_path / 'v.avi'), rate_hz=50.0)
    empty_graph.probe.wait_until(lambda: len(images) >= 6)
    bright = [pixel(message)[0] > 128 for message in images]
    assert any(bright)
    assert not all(bright)


def test_compressed_images_are_detected_too(empty_graph: Any, model: Path) -> None:
    empty_graph.load_all(model, preprocess={'transport': 'compressed'})
    publisher = empty_graph.probe.node.create_publisher(CompressedImage, 'image/compressed', 10)
    data = cv2.imencode('.png', np.full((64, 64, 3), 255, np.uint8))[1].tobytes()

    good = CompressedImage(header=image_message().header, format='png', data=data)
    empty_graph.probe.send(good, publisher)
    empty_graph.probe.wait_until(lambda: empty_graph.probe.detections_of(good.header))
    assert empty_graph.probe.detections_of(good.header)[0].detections

    bad = CompressedImage(header=image_message().header, format='jpeg', data=b'\xff\xd8 broken')
    empty_graph.probe.send(bad, publisher)
    empty_graph.probe.wait_until(lambda: empty_graph.probe.value('preprocess', 'dropped.bad_compressed_image') == '1')


def test_the_debug_image_shows_the_boxes_and_carries_the_header(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = listen(graph, 'annotate/debug_image', Image)
    graph.probe.wait_matched()  # from now on the node takes images
    source = image_message()
    images, tensors = graph.node('annotate')._pairing._streams['image'], graph.node('preprocess')._tensors
    publish = tensors.publish

    def publish_later(frame: Any) -> None:
        """A model this small could answer before the image has come to the other node."""
        wait_until(lambda: stamp_ns(source.header) in list(images.stamps), 'annotate has the image')
        publish(frame)

    monkeypatch.setattr(tensors, 'publish', publish_later)
    graph.probe.ask(source)
    graph.probe.wait_until(lambda: pictures)
    assert pictures[0].header == source.header
    picture = np.frombuffer(pictures[0].data, np.uint8).reshape(64, 64, 3)
    assert (picture != np.frombuffer(source.data, np.uint8).reshape(64, 64, 3)).any()


def test_the_debug_image_is_not_made_while_nobody_looks(empty_graph: Any, model: Path) -> None:
    nodes = empty_graph.load_all(model)
    empty_graph.probe.ask(image_message())
    assert not nodes['annotate']._pictures.wanted
    assert nodes['annotate']._pairing.explain() is None, 'images are paired for nobody'
