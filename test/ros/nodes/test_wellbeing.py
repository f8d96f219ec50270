# SPDX-License-Identifier: Apache-2.0
"""What diagnostics say of cameras that never come or stop, of QoS that doesn't fit, and of names used twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from support.ros.probe import LATCHED, RELIABLE, image_message
from support.waiting import wait_until
from vision_msgs.msg import Detection2DArray

BEST_EFFORT = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)


def says(graph: Any, node: str, level: bytes, *words: str) -> bool:
    status = graph.probe.status(node)
    return status.level == level and all(word in status.message for word in words)


def test_a_camera_that_never_comes_makes_the_node_stale(empty_graph: Any, model: Path) -> None:
    empty_graph.load('PreprocessNode', 'preprocess', model=str(model))
    empty_graph.probe.node.destroy_publisher(empty_graph.probe.images)
    wait_until(
        lambda: says(
            empty_graph,
            'preprocess',
            DiagnosticStatus.STALE,
            'since activation',
            'has no publisher',
            f'{empty_graph.namespace}/image',
        )
    )


def test_a_publisher_that_is_silent_is_told_apart_from_none(empty_graph: Any, model: Path) -> None:
    empty_graph.load('PreprocessNode', 'preprocess', model=str(model))
    wait_until(lambda: says(empty_graph, 'preprocess', DiagnosticStatus.STALE, 'has 1 publishers', 'QoS'))


def test_a_topic_of_another_type_is_told(make_graph: Any, model: Path) -> None:
    with make_graph(image_type=CompressedImage) as graph:
        graph.load('PreprocessNode', 'preprocess', model=str(model))
        words = 'carries sensor_msgs/msg/CompressedImage, expected Image'
        wait_until(lambda: says(graph, 'preprocess', DiagnosticStatus.STALE, words))


def test_a_camera_that_stops_makes_the_node_stale_until_it_returns(graph: Any) -> None:
    graph.probe.ask(image_message())
    wait_until(lambda: says(graph, 'preprocess', DiagnosticStatus.STALE, 'no input for'))

    def running() -> bool:
        graph.probe.send(image_message())
        return says(graph, 'preprocess', DiagnosticStatus.OK, 'running')

    wait_until(running)


def test_an_incompatible_publisher_is_named_with_its_policy(make_graph: Any, model: Path) -> None:
    with make_graph(image_qos=BEST_EFFORT) as graph:
        graph.load('PreprocessNode', 'preprocess', model=str(model), image_qos__reliability='reliable')
        wait_until(
            lambda: says(graph, 'preprocess', DiagnosticStatus.ERROR, f'{graph.namespace}/image', 'reliability'),
            2.0 + 1.0,
        )  # within 2 s of both being there
        graph.probe.node.destroy_publisher(graph.probe.images)
        graph.probe.images = graph.probe.node.create_publisher(type(image_message()), 'image', RELIABLE)

        def recovered() -> bool:
            graph.probe.send(image_message())
            return says(graph, 'preprocess', DiagnosticStatus.OK)

        wait_until(recovered)


def test_an_incompatible_subscriber_is_named_with_its_policy(empty_graph: Any, model: Path) -> None:
    empty_graph.load('DetectionNode', 'detection', model=str(model))
    empty_graph.probe.node.create_subscription(Detection2DArray, 'detections', lambda message: None, LATCHED)
    wait_until(
        lambda: (
            'incompatible durability' in empty_graph.probe.status('detection').message
            or any(
                'incompatible durability' in text
                for _, text in empty_graph.container.nodes[0].health.snapshot().problems
            )
        )
    )


def test_a_deadline_that_is_missed_is_said(empty_graph: Any, model: Path) -> None:
    empty_graph.probe.node.destroy_publisher(empty_graph.probe.images)
    offered = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE, deadline=Duration(nanoseconds=50_000_000))
    empty_graph.probe.images = empty_graph.probe.node.create_publisher(type(image_message()), 'image', offered)
    empty_graph.load('PreprocessNode', 'preprocess', model=str(model), image_qos__deadline_s=0.1, input_timeout_s=60.0)

    def heard() -> bool:
        empty_graph.probe.send(image_message())
        return int(empty_graph.probe.value('preprocess', 'received') or 0) > 0

    wait_until(heard)
    wait_until(lambda: says(empty_graph, 'preprocess', DiagnosticStatus.WARN, 'deadlines of 0.1 s missed'), 10.0)


def test_a_name_used_twice_is_said(graph: Any) -> None:
    twin = Node('preprocess', namespace=graph.namespace, context=graph.probe.context)
    wait_until(
        lambda: (
            'also named' in ' '.join(text for _, text in graph.container.nodes[0].health.snapshot().problems)
            or 'also named' in graph.probe.status('preprocess').message
        ),
        10.0,
    )
    twin.destroy_node()
    wait_until(lambda: 'also named' not in graph.probe.status('preprocess').message)


def test_diagnostics_give_rates_times_drops_device_and_model(graph: Any) -> None:
    def measured() -> bool:
        graph.probe.send(image_message())
        return (
            float(graph.probe.value('inference', 'rate_out_hz') or 0) > 0
            and float(graph.probe.value('inference', 'p99_ms') or 0) > 0
        )

    wait_until(measured)
    assert graph.probe.value('inference', 'model') == 'tiny'
    assert graph.probe.value('inference', 'device').startswith('CPU')
    assert graph.probe.status('inference').hardware_id.startswith('CPU')
    assert float(graph.probe.value('inference', 'p50_ms')) <= float(graph.probe.value('inference', 'p99_ms'))
    assert graph.probe.value('inference', 'dropped')
