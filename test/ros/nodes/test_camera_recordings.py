# SPDX-License-Identifier: Apache-2.0
"""CameraNode on recordings: pictures, calibration, stamps and rate, from every format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header
from support.ros.bags import Item, write_db3, write_ros1, write_rosbag2
from support.ros.discovery import not_heard
from support.ros.node_graph import Graph
from support.ros.probe import image_message

from isaac_inference.ros.nodes import camera
from isaac_inference.ros.recording import RecordingWriter
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

S = 1_000_000_000
START = 1_600_000_000 * S
LEVELS = (10, 120, 240)
STEP_NS = S // 20


def write_mcap(path: Path, items: list[Item]) -> Path:
    with RecordingWriter(path) as writer:
        for topic, message, time_ns in items:
            writer.write(topic, message, time_ns)
    return path


FORMATS: dict[str, Callable[[Path, list[Item]], Path]] = {
    'mcap': lambda folder, items: write_mcap(folder / 'a.mcap', items),
    'sqlite': lambda folder, items: write_db3(folder / 'a.db3', items),
    'the folder of a bag': lambda folder, items: write_rosbag2(folder / 'bag', items),
    'ros 1': lambda folder, items: write_ros1(folder / 'a.bag', items),
}


def filmed(namespace: str = '/front', width: int = 96, **fields: Any) -> list[Item]:
    """Three pictures, 96 x 64, 50 ms apart, each with its CameraInfo; `fields` replace the message's."""
    items: list[Item] = []
    for number, level in enumerate(LEVELS):
        header, time_ns = Header(frame_id='front_lens'), START + number * STEP_NS
        header.stamp.sec, header.stamp.nanosec = divmod(time_ns, S)
        info = CameraInfo(
            header=header, width=width, height=64, distortion_model='plumb_bob', d=[0.1, 0.0, 0.0, 0.0, 0.0]
        )
        info.k = [100.0, 0.0, 48.0, 0.0, 100.0, 32.0, 0.0, 0.0, 1.0]
        for name, value in fields.items():
            setattr(info, name, value)
        picture = image_message(np.full((64, 96, 3), level, np.uint8), header=header)
        items.append((f'{namespace}/image_raw', picture, time_ns))
        items.append((f'{namespace}/camera_info', info, time_ns + 1))
    return items


def levels(images: list[Image]) -> list[int]:
    return [int(message.data[0]) for message in images]


@pytest.mark.parametrize('make', FORMATS.values(), ids=FORMATS.keys())
def test_a_recording_is_a_camera(empty_graph: Graph, tmp_path: Path, make: Callable[..., Path]) -> None:
    probe = empty_graph.probe
    images, infos = probe.listen('image', Image), probe.listen('camera_info', CameraInfo)
    source = str(make(tmp_path, filmed()))
    node = empty_graph.load('CameraNode', 'camera', source=source, image_qos__depth=100, autostart=False)
    node.trigger_configure()
    probe.wait_until(lambda: not not_heard(probe.node, [node]), 'the probe hears the camera before it begins')
    before_ns = node.get_clock().now().nanoseconds
    node.trigger_activate()
    probe.wait_until(lambda: len(images) >= 7 and len(infos) >= 7, 'two rounds and more')
    assert levels(images) == [LEVELS[number % 3] for number in range(len(images))]
    assert {message.header.frame_id for message in images} == {'front_lens'}
    stamps = [stamp_ns(message.header) for message in images]
    assert before_ns <= stamps[0] and stamps == sorted(stamps), 'they are stamped now'
    assert stamps[6] - stamps[0] > 3.5 * STEP_NS, 'at their own rate, not at that of 30 Hz; two steps may be late'
    for info, image in zip(infos[:7], images, strict=False):
        assert info.header == image.header
        assert (list(info.k[:3]), info.d[0], info.width) == ([100.0, 0.0, 48.0], 0.1, 96)


def test_stamps_can_be_kept(empty_graph: Graph, tmp_path: Path) -> None:
    images = empty_graph.probe.listen('image', Image)
    source = str(write_mcap(tmp_path / 'a.mcap', filmed()))
    empty_graph.load(
        'CameraNode', 'camera', source=source, recorded_stamps=True, input_timeout_s=0.5, image_qos__depth=100
    )
    empty_graph.probe.wait_until(lambda: len(images) >= 4)
    assert {stamp_ns(message.header) - START for message in images} <= {0, STEP_NS, 2 * STEP_NS}
    assert len({stamp_ns(message.header) for message in images}) == 3


def test_a_calibration_of_another_size_is_not_published_and_named(empty_graph: Graph, tmp_path: Path) -> None:
    infos, probe = empty_graph.probe.listen('camera_info', CameraInfo), empty_graph.probe
    empty_graph.load('CameraNode', 'camera', source=str(write_mcap(tmp_path / 'a.mcap', filmed(width=192))))
    probe.wait_until(lambda: infos)
    assert not any(infos[0].k)
    probe.wait_until(lambda: "the recording's CameraInfo is for 192x64" in probe.status('camera').message)


@pytest.mark.parametrize(
    'fields',
    [
        {'width': 192, 'height': 128, 'binning_x': 2, 'binning_y': 2},
        {'width': 192, 'height': 128, 'roi': RegionOfInterest(x_offset=32, y_offset=16, width=96, height=64)},
        {'roi': RegionOfInterest(x_offset=32, y_offset=16, width=48, height=32)},
    ],
)
def test_the_calibration_of_a_part_or_of_joined_pixels_is_theirs(
    empty_graph: Graph, tmp_path: Path, fields: dict[str, Any]
) -> None:
    infos = empty_graph.probe.listen('camera_info', CameraInfo)
    empty_graph.load('CameraNode', 'camera', source=str(write_mcap(tmp_path / 'a.mcap', filmed(**fields))))
    empty_graph.probe.wait_until(lambda: infos)
    assert infos[0].k[0] == 100.0
    assert {name: getattr(infos[0], name) for name in fields} == fields


def test_which_of_several_topics_is_a_parameter(empty_graph: Graph, tmp_path: Path) -> None:
    probe, images = empty_graph.probe, empty_graph.probe.listen('image', Image)
    source = str(write_ros1(tmp_path / 'a.bag', filmed('/front') + filmed('/rear')))
    empty_graph.load('CameraNode', 'camera', source=source)
    probe.wait_until(lambda: 'choose one with parameter image_topic' in probe.status('camera').message)
    assert '/front/image_raw (3), /rear/image_raw (3)' in probe.status('camera').message
    empty_graph.load('CameraNode', 'other', source=source, image_topic='/rear/image_raw')
    probe.wait_until(lambda: images)


@pytest.mark.parametrize('name', ['a.bag', 'a.db3', 'a.mcap'])
def test_what_is_no_recording_is_named_and_not_taken_for_a_video(empty_graph: Graph, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'nothing of that kind')
    empty_graph.load('CameraNode', 'camera', source=str(tmp_path / name))
    probe = empty_graph.probe
    probe.wait_until(lambda: 'is no recording' in probe.status('camera').message)
    assert "begins with b'nothing of that '" in probe.status('camera').message


def test_the_pace_is_that_of_the_recording_and_lost_time_is_not_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now: list[Any] = [100.0]
    monkeypatch.setattr(camera.time, 'monotonic', lambda: now[0])
    pace = camera._RecordedPace()
    waits = []
    for log_time_ns, work_s in ((5 * S, 0.0), (6 * S, 0.25), (8 * S, 9.0), (9 * S, 0.0), (5 * S, 0.0), (6 * S, 0.0)):
        waits.append(pace.delay_s(log_time_ns))
        now[0] += waits[-1] + work_s
    assert waits == pytest.approx([0.0, 1.0, 1.75, 0.0, 0.0, 1.0])


def test_a_recording_of_what_cannot_be_read_keeps_its_rate_and_ends_at_once(empty_graph: Graph, tmp_path: Path) -> None:
    packets = [
        ('/image', CompressedImage(header=image_message().header, format='h264', data=b'\0\0\1\x67'), START + number)
        for number in range(300)
    ]
    source = str(write_mcap(tmp_path / 'a.mcap', packets))
    node = empty_graph.load('CameraNode', 'camera', source=source, rate_hz=5.0)
    empty_graph.probe.wait_until(lambda: int(empty_graph.probe.value('camera', 'dropped.unreadable_image') or 0) >= 3)
    assert node.health.snapshot().received < 150, 'a pass takes a minute'
    node.trigger_deactivate()
    assert node.state == 'inactive'
