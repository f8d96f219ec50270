# SPDX-License-Identifier: Apache-2.0
"""What diagnostics say of cameras that never come or stop, of QoS that doesn't fit, and of names used twice."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from support.ros.probe import LATCHED, RELIABLE, image_message, value_of
from vision_msgs.msg import Detection2DArray

BEST_EFFORT = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)


SOON = 0.3  # seconds without input after which a node of these tests is STALE; nothing depends on how soon


def wait_said(graph: Any, node: str, level: bytes, *words: str) -> None:
    """Wait until a node's diagnostics have this level and these words."""

    def said() -> bool:
        status = graph.probe.status(node)
        return status.level == level and all(word in status.message for word in words)

    graph.probe.wait_until(said, f'{node} says {level!r} and {words}')


def test_a_camera_that_never_comes_makes_the_node_stale(empty_graph: Any, model: Path) -> None:
    empty_graph.load('PreprocessNode', 'preprocess', model=str(model), input_timeout_s=SOON)
    empty_graph.probe.node.destroy_publisher(empty_graph.probe.images)
    words = ('since activation', f'nobody publishes {empty_graph.namespace}/image (sensor_msgs/msg/Image)')
    wait_said(empty_graph, 'preprocess', DiagnosticStatus.STALE, *words)


def test_a_publisher_that_is_silent_is_told_apart_from_none(empty_graph: Any, model: Path) -> None:
    empty_graph.load('PreprocessNode', 'preprocess', model=str(model), input_timeout_s=SOON)
    wait_said(empty_graph, 'preprocess', DiagnosticStatus.STALE, 'offers', 'but nothing arrives')


def test_a_topic_of_another_type_is_told(make_graph: Any, model: Path) -> None:
    with make_graph(image_type=CompressedImage) as graph:
        graph.load('PreprocessNode', 'preprocess', model=str(model), transport='raw', input_timeout_s=SOON)
        words = ('carries sensor_msgs/msg/CompressedImage from', 'expected sensor_msgs/msg/Image')
        wait_said(graph, 'preprocess', DiagnosticStatus.STALE, *words)


def test_a_camera_that_stops_makes_the_node_stale_until_it_returns(graph: Any) -> None:
    node = graph.node('preprocess')
    patient = node.get_parameter('input_timeout_s')
    graph.probe.ask(image_message())
    node.set_parameters([Parameter('input_timeout_s', value=SOON)])
    wait_said(graph, 'preprocess', DiagnosticStatus.STALE, 'no input for', 'still offers', 'but is silent')
    stop = threading.Event()
    camera = threading.Thread(target=publish_until, args=(graph, stop))
    camera.start()
    try:
        wait_said(graph, 'preprocess', DiagnosticStatus.OK, 'running')
    finally:
        stop.set()
        camera.join()
        node.set_parameters([patient])


def publish_until(graph: Any, stop: threading.Event) -> None:
    """Publish images like a camera."""
    while not stop.wait(0.02):
        graph.probe.images.publish(image_message())


def test_an_incompatible_publisher_is_named_with_its_policy(make_graph: Any, model: Path) -> None:
    with make_graph(image_qos=BEST_EFFORT) as graph:
        graph.load('PreprocessNode', 'preprocess', model=str(model), image_qos__reliability='reliable')
        wait_said(graph, 'preprocess', DiagnosticStatus.ERROR, f'{graph.namespace}/image', 'reliability')
        graph.probe.node.destroy_publisher(graph.probe.images)
        graph.probe.images = graph.probe.node.create_publisher(type(image_message()), 'image', RELIABLE)
        graph.probe.send(image_message())
        wait_said(graph, 'preprocess', DiagnosticStatus.OK)


def test_an_incompatible_subscriber_is_named_with_its_policy(empty_graph: Any, model: Path) -> None:
    empty_graph.load('DetectionNode', 'detection', model=str(model))
    empty_graph.probe.node.create_subscription(Detection2DArray, 'detections', lambda message: None, LATCHED)
    empty_graph.probe.wait_until(lambda: 'incompatible durability' in empty_graph.probe.status('detection').message)


@pytest.mark.timing
def test_a_deadline_that_is_missed_is_said(empty_graph: Any, model: Path) -> None:
    empty_graph.probe.node.destroy_publisher(empty_graph.probe.images)
    offered = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE, deadline=Duration(nanoseconds=50_000_000))
    empty_graph.probe.images = empty_graph.probe.node.create_publisher(type(image_message()), 'image', offered)
    empty_graph.load('PreprocessNode', 'preprocess', model=str(model), image_qos__deadline_s=0.1)

    empty_graph.probe.wait_active('preprocess')
    empty_graph.probe.send(image_message())
    wait_said(empty_graph, 'preprocess', DiagnosticStatus.WARN, 'deadlines of 0.1 s missed')


def test_a_name_used_twice_is_said(graph: Any) -> None:
    twin = Node('preprocess', namespace=graph.namespace, context=graph.probe.context)
    graph.probe.wait_until(lambda: 'also named' in graph.probe.status('preprocess').message)
    twin.destroy_node()
    graph.probe.wait_until(lambda: 'also named' not in graph.probe.status('preprocess').message)


def test_diagnostics_give_rates_times_drops_device_and_model(graph: Any) -> None:
    graph.probe.wait_report('inference')
    start = len(graph.probe.reports_of('inference'))
    graph.probe.ask(image_message())

    def measured() -> list[DiagnosticStatus]:
        """The diagnostics of the period in which the frame came."""
        reports = graph.probe.reports_of('inference')[start:]
        return [status for status in reports if float(value_of(status, 'rate_out_hz')) > 0]

    graph.probe.wait_until(measured, 'a rate')
    (status,) = measured()
    assert value_of(status, 'model') == 'tiny'
    assert value_of(status, 'device').startswith('CPU')
    assert status.hardware_id.startswith('CPU')
    assert 0 < float(value_of(status, 'p50_ms')) <= float(value_of(status, 'p99_ms'))
    assert value_of(status, 'dropped')
