# SPDX-License-Identifier: Apache-2.0
"""Simulated time, with and without a clock, and time that jumps back: real nodes, clock and recording over DDS."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from support.ros.node_graph import Graph
from support.ros.probe import RELIABLE
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from isaac_inference.ros.nodes.track import node as track_module
from isaac_inference.ros.recording import Player, PlayOptions, Recording, RecordingWriter
from isaac_inference.ros.runtime import time_watch
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.time_watch import TimeWatch
from isaac_inference.ros.runtime.topics.qos import QosParameters
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain

S = 1_000_000_000


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(node, line) of all that the nodes log."""
    lines: list[tuple[str, str]] = []
    monkeypatch.setattr(PipelineNode, '_log', lambda node, is_error, text: lines.append((node.get_name(), text)))
    monkeypatch.setattr(TimeWatch, '_jump_said_s', float('-inf'))
    monkeypatch.setattr(time_watch, 'GRACE_S', 0.0)
    return lines


@pytest.fixture
def clock(empty_graph: Graph) -> Iterator[Callable[[], Publisher]]:
    """Makes publishers of /clock, the probe's, gone at the end."""
    made: list[Publisher] = []

    def make() -> Publisher:
        made.append(empty_graph.probe.node.create_publisher(Clock, '/clock', RELIABLE))
        return made[-1]

    yield make
    for publisher in made:
        empty_graph.probe.node.destroy_publisher(publisher)


def tick(graph: Graph, clock: Publisher, time_ns: int, *nodes: PipelineNode) -> None:
    """It is so late now, for each of these nodes."""
    message = Clock()
    message.clock.sec, message.clock.nanosec = divmod(time_ns, S)
    graph.probe.wait_until(lambda: clock.get_subscription_count() >= len(nodes), 'the nodes hear /clock')
    clock.publish(message)
    graph.probe.wait_until(
        lambda: all(node.get_clock().now().nanoseconds == time_ns for node in nodes), 'the nodes know the time'
    )


def detections(time_ns: int, x: float = 100.0) -> Detection2DArray:
    item, result = Detection2D(), ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = 'can', 0.9
    item.bbox.center.position.x, item.bbox.center.position.y = x, 200.0
    item.bbox.size_x, item.bbox.size_y, item.results = 60.0, 60.0, [result]
    header = Header(frame_id='lens')
    header.stamp.sec, header.stamp.nanosec = divmod(time_ns, S)
    return Detection2DArray(header=header, detections=[item])


def test_simulated_time_without_a_clock_is_said_once_and_ends_with_the_clock(
    empty_graph: Graph, said: list[tuple[str, str]], clock: Any
) -> None:
    probe, names = empty_graph.probe, ('track', 'other', 'third')
    nodes = [empty_graph.load('TrackNode', name, use_sim_time=True) for name in names]
    probe.wait_active(*names)  # autostart waits for no clock
    for name in names:
        probe.wait_until(lambda name=name: 'nobody publishes /clock' in probe.status(name).message)
        assert 'use_sim_time is set' in probe.status(name).message
    assert [text.split(':')[0] for _, text in said] == ['use_sim_time is set and nobody publishes /clock']

    answers = probe.listen('track/detections', Detection2DArray)
    writer = probe.node.create_publisher(Detection2DArray, 'detections', RELIABLE)
    probe.send(detections(5 * S), writer)
    probe.wait_until(lambda: answers, 'frames with a stamp of their own go on')
    probe.wait_until(lambda: probe.value('track', 'processed') == '1')
    assert probe.value('track', 'input_age_ms') in ('', '-'), 'an age needs a time'

    publisher = clock()
    probe.wait_until(lambda: 'no time has come from /clock' in probe.status('track').message)
    tick(empty_graph, publisher, 10 * S, *nodes)
    for name in names:
        probe.wait_until(lambda name=name: '/clock' not in probe.status(name).message)
    assert len(said) == 1


@pytest.mark.parametrize('plugin', ['CameraNode', 'SimCameraNode'])
def test_no_image_is_stamped_before_there_is_a_time(
    empty_graph: Graph, said: list[tuple[str, str]], clock: Any, tmp_path: Path, plugin: str
) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((64, 64, 3), np.uint8))
    images, probe = empty_graph.probe.listen('image', Image), empty_graph.probe
    more = {'source': str(tmp_path)} if plugin == 'CameraNode' else {}
    node = empty_graph.load(plugin, 'camera', use_sim_time=True, rate_hz=100.0, **more)
    probe.wait_active('camera')
    probe.wait_until(lambda: 'nobody publishes /clock' in probe.status('camera').message)
    tick(empty_graph, clock(), 7 * S, node)
    probe.wait_until(lambda: images)
    assert {stamp_ns(message.header) for message in images} == {7 * S}


def test_a_camera_that_waits_for_the_clock_can_be_stopped(empty_graph: Graph, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((64, 64, 3), np.uint8))
    node = empty_graph.load('CameraNode', 'camera', use_sim_time=True, source=str(tmp_path))
    empty_graph.probe.wait_active('camera')
    node.trigger_deactivate()
    assert node.state == 'inactive'


class Listener(PipelineNode):
    """Notes the jumps that it is told of, and the messages that come, in order."""

    def __init__(self, node_name: str = 'listener', **kwargs: Any) -> None:
        self.seen: list[int] = []
        self.threads: set[str] = set()
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        self.subscribe(plain(Detection2DArray), 'detections', QosParameters(), self._on_detections, depth=100)

    def _on_detections(self, message: Detection2DArray, clock: Any) -> None:
        self.seen.append(stamp_ns(message.header))

    def on_time_jump(self, now_ns: int) -> None:
        self.seen.append(-now_ns)
        self.threads.add(threading.current_thread().name)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> None:
    """TrackNode's place in the container is the listener's."""
    monkeypatch.setattr(track_module, 'TrackNode', Listener)


def test_a_clock_that_falls_back_is_told_before_the_next_message(
    empty_graph: Graph, said: list[tuple[str, str]], clock: Any, listener: None
) -> None:
    probe = empty_graph.probe
    node: Any = empty_graph.load('TrackNode', 'listener', use_sim_time=True)
    probe.wait_active('listener')
    writer, ticks = probe.node.create_publisher(Detection2DArray, 'detections', RELIABLE), clock()

    def show(time_ns: int) -> None:
        probe.send(detections(time_ns), writer)
        probe.wait_until(lambda: node.seen and node.seen[-1] == time_ns)

    tick(empty_graph, ticks, 100 * S, node)
    show(100 * S)
    tick(empty_graph, ticks, 100 * S - S // 2, node)  # not over a second
    show(100 * S - S // 2)
    tick(empty_graph, ticks, 3 * S, node)
    show(3 * S)
    assert node.seen == [100 * S, 100 * S - S // 2, -3 * S, 3 * S]
    assert node.threads == {'listener worker'}
    [line] = [text for _, text in said if 'went back' in text]
    assert 'the time of /clock went back by 96.5 s to 3.000 s' in line
    probe.wait_until(lambda: probe.value('listener', 'time_jumps') == '1')


def test_a_recording_that_loops_starts_everything_anew_and_is_said_once(
    empty_graph: Graph, said: list[tuple[str, str]], tmp_path: Path
) -> None:
    """Two trackers and an annotator; the player is a real one, and the ids show that each round starts from scratch."""
    probe, namespace = empty_graph.probe, empty_graph.namespace
    with RecordingWriter(tmp_path / 'loop.mcap') as file:
        for step in range(20):
            file.write(f'{namespace}/detections', detections(S + step * S // 5, 100.0 + step), step * S // 5)
    for name in ('track', 'other'):
        empty_graph.load('TrackNode', name, input_qos__depth=100, output_qos__depth=100)
    empty_graph.load('AnnotateNode', 'annotate', detections_qos__depth=100)
    probe.wait_active('track', 'other', 'annotate')
    answers = probe.listen('track/detections', Detection2DArray)
    probe.wait_matched()
    stop = threading.Event()
    options = PlayOptions(rate=40.0, loop=True)
    with contextlib.closing(Player(probe.node, Recording(tmp_path / 'loop.mcap'), options)) as player:
        thread = threading.Thread(target=player.play, args=(stop,))
        player.wait_for_subscribers(stop)
        thread.start()
        probe.wait_until(lambda: len(answers) >= 70, 'three rounds')
        stop.set()
        thread.join()
    ids = {item.id for message in list(answers) for item in message.detections if item.id}
    rounds = sum(1 for message in list(answers) if stamp_ns(message.header) == S)
    assert len(ids) >= rounds >= 3, 'a track of the round before goes on'
    for name in ('track', 'other', 'annotate'):
        probe.wait_until(lambda name=name: int(probe.value(name, 'time_jumps') or 0) >= 2)
    assert int(probe.value('track', 'skipped.reset_time_backwards')) >= 2
    assert [text.split(',')[0] for _, text in said if 'went back' in text] == [
        'the stamps of its input went back by 3.8 s to 1.000 s'
    ]
    assert [text for _, text in said if 'went back' not in text] == []
