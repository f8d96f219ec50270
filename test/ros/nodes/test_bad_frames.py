# SPDX-License-Identifier: Apache-2.0
"""Frames that can't be used are dropped, counted and named; the next good one gets through."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from onnx import helper
from support.onnx_models import build_model, save_model, ultralytics_metadata
from support.ros.probe import image_message, value_of

BLACK = np.zeros((64, 64, 3), np.uint8)
EMPTY = np.zeros((0, 0, 3), np.uint8)


def names(array: Any) -> list[str]:
    return [item.results[0].hypothesis.class_id for item in array.detections]


def send_bad(graph: Any, node: str, reason: str, message: Any) -> DiagnosticStatus:
    """Send a bad frame; the first diagnostics of the node after it, which count it under `reason` and say so."""
    before = value_of(graph.probe.wait_report(node), f'dropped.{reason}')
    start = len(graph.probe.reports_of(node))
    graph.probe.send(message)

    def said() -> list[DiagnosticStatus]:
        return [status for status in graph.probe.reports_of(node)[start:] if reason in status.message]

    graph.probe.wait_until(said, f'{node} says {reason}')
    assert said()[0].message == f'every frame dropped: {reason} x1'
    assert int(value_of(said()[0], f'dropped.{reason}')) == int(before or 0) + 1
    return said()[0]


def assert_recovered(graph: Any, node: str, after: Any) -> None:
    """The next good frame gets through, and only that one was answered."""
    assert names(graph.probe.ask(image_message())) == ['cup', 'can', 'box']
    assert not graph.probe.detections_of(after.header), 'a dropped frame gave detections'
    assert graph.probe.wait_report(node).level == DiagnosticStatus.OK


def test_an_unusable_image_is_dropped_counted_and_named(graph: Any) -> None:
    """For all that makes an image unusable, see test/ros/messages/test_color_image.py."""
    bad = image_message(step=100)  # 64 pixels of bgr8 need 192
    assert send_bad(graph, 'preprocess', 'bad_step', bad).level == DiagnosticStatus.ERROR
    assert_recovered(graph, 'preprocess', bad)


def test_an_image_without_pixels_is_dropped(graph: Any) -> None:
    bad = image_message(EMPTY)
    send_bad(graph, 'preprocess', 'zero_size_image', bad)
    assert_recovered(graph, 'preprocess', bad)


def test_a_zero_stamp_is_passed_on_unchanged_and_warned_of(graph: Any) -> None:
    message = image_message()
    message.header.stamp.sec = message.header.stamp.nanosec = 0
    array = graph.probe.ask(message)
    assert array.header == message.header
    status = graph.probe.wait_report('preprocess')
    assert 'without a stamp' in status.message
    assert status.level == DiagnosticStatus.WARN
    assert names(graph.probe.ask(image_message())) == ['cup', 'can', 'box']
    assert graph.probe.wait_report('preprocess').level == DiagnosticStatus.OK


def test_nothing_seen_is_an_empty_array_with_the_image_s_header(graph: Any) -> None:
    message = image_message(BLACK)
    array = graph.probe.ask(message)
    assert array.header == message.header
    assert not array.detections


@pytest.mark.parametrize('size', [(64, 64), (1280, 720), (720, 1280), (333, 77), (1, 1), (64, 64)])
def test_boxes_are_in_source_pixels_when_the_size_changes_mid_stream(graph: Any, size: tuple[int, int]) -> None:
    width, height = size
    array = graph.probe.ask(image_message(np.full((height, width, 3), 255, np.uint8)))
    for item in array.detections:
        center = item.bbox.center.position
        assert center.x - item.bbox.size_x / 2 >= -1e-6
        assert center.y - item.bbox.size_y / 2 >= -1e-6
        assert center.x + item.bbox.size_x / 2 <= width + 1e-3
        assert center.y + item.bbox.size_y / 2 <= height + 1e-3
    if min(size) > 64:  # letterboxed to 64: the middle box lies in the image's centre, 16 x 32 input pixels large
        middle = next(item for item in array.detections if item.results[0].hypothesis.class_id == 'can')
        scale = max(size) / 64
        assert (middle.bbox.center.position.x, middle.bbox.center.position.y) == pytest.approx(
            (width / 2, height / 2), abs=1
        )
        assert (middle.bbox.size_x, middle.bbox.size_y) == pytest.approx((16 * scale, min(32 * scale, height)), abs=1)


def nan_on_black() -> onnx.ModelProto:
    """A detector that adds 0 * brightness / brightness to its output: NaN when the image is black."""
    model = build_model('yolov8', input_wh=(64, 64), metadata=ultralytics_metadata(['a', 'b', 'c'], imgsz=(64, 64)))
    last = model.graph.node[-1]
    name = model.graph.output[0].name
    last.output[0] = 'finite'
    model.graph.node.extend(
        [
            helper.make_node('Div', ['brightness', 'brightness'], ['one_or_nan']),
            helper.make_node('Mul', ['finite', 'one_or_nan'], [name]),
        ]
    )
    onnx.checker.check_model(model)
    return model


def test_nan_outputs_are_dropped_by_the_inference_node_when_it_checks(empty_graph: Any, tmp_path: Any) -> None:
    # padding counts as image, so only an image of the input's own size is wholly black
    empty_graph.load_all(save_model(nan_on_black(), tmp_path / 'nan.onnx'), inference={'check_finite': True})
    bad = image_message(BLACK)
    send_bad(empty_graph, 'inference', 'non_finite_output', bad)
    assert names(empty_graph.probe.ask(image_message())) == ['a', 'b', 'c']
    assert not empty_graph.probe.detections_of(bad.header)


def test_nan_outputs_are_stopped_by_the_detection_node_in_any_case(empty_graph: Any, tmp_path: Any) -> None:
    empty_graph.load_all(save_model(nan_on_black(), tmp_path / 'nan.onnx'))
    bad = image_message(BLACK)
    send_bad(empty_graph, 'detection', 'non_finite_output', bad)
    assert names(empty_graph.probe.ask(image_message())) == ['a', 'b', 'c']
    assert not empty_graph.probe.detections_of(bad.header)
