# SPDX-License-Identifier: Apache-2.0
"""The preprocess node takes as many images as it is told to: evenly, counted, and without a word of a fault."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.parameter import Parameter
from support.ros.probe import image_message

from isaac_inference.ros.runtime.health.diagnostics import is_thinned
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

START_S = 1_750_000_000


def image(index: int) -> Any:
    """Image number `index` of a camera of 30 Hz."""
    message = image_message()
    message.header.stamp.sec = START_S + index // 30
    message.header.stamp.nanosec = index % 30 * 1_000_000_000 // 30
    return message


def show(graph: Any, reports: list[Any], indices: range) -> list[int]:
    """Show images one by one; the numbers of those that were taken."""
    before = len(reports)
    for count, index in enumerate(indices, 1):
        graph.probe.send(image(index))
        graph.probe.wait_until(lambda count=count: len(reports) >= before + count, f'a report of image {index}')
    taken = [stamp_ns(report.header) for report in reports[before:] if not is_thinned(report)]
    return [round((stamp - START_S * 10**9) * 30 / 1e9) for stamp in taken]


def test_every_third_two_of_three_and_all_again(empty_graph: Any, model: Any) -> None:
    node = empty_graph.load('PreprocessNode', 'preprocess', model=str(model), max_rate_hz=10)
    reports = empty_graph.probe.listen('preprocess/timings', DiagnosticArray)
    empty_graph.probe.wait_active('preprocess')
    assert show(empty_graph, reports, range(30)) == list(range(0, 30, 3))
    status = empty_graph.probe.wait_report('preprocess')
    assert (status.level, status.message) == (DiagnosticStatus.OK, 'running')
    assert empty_graph.probe.value('preprocess', 'dropped.thinned') == '20'
    assert empty_graph.probe.value('preprocess', 'processed') == '10'
    assert node.set_parameters([Parameter('max_rate_hz', value=20.0)])[0].successful
    found = show(empty_graph, reports, range(30, 60))
    assert len(found) == 20
    assert node.set_parameters([Parameter('max_rate_hz', value=0.0)])[0].successful
    assert show(empty_graph, reports, range(60, 70)) == list(range(60, 70))
    assert not node.set_parameters([Parameter('max_rate_hz', value=-1.0)])[0].successful


def test_images_without_a_stamp_are_thinned_by_their_arrival(empty_graph: Any, model: Any) -> None:
    empty_graph.load('PreprocessNode', 'preprocess', model=str(model), max_rate_hz=0.001)
    reports = empty_graph.probe.listen('preprocess/timings', DiagnosticArray)
    empty_graph.probe.wait_active('preprocess')
    for count in range(1, 6):
        message = image_message()
        message.header.stamp.sec = message.header.stamp.nanosec = 0
        empty_graph.probe.send(message)
        empty_graph.probe.wait_until(lambda count=count: len(reports) >= count)
    assert [is_thinned(report) for report in reports] == [False, True, True, True, True]
