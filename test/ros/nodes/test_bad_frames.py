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
from support.ros.probe import image_message
from support.waiting import wait_until

BLACK = np.zeros((64, 64, 3), np.uint8)
EMPTY = np.zeros((0, 0, 3), np.uint8)


def names(array: Any) -> list[str]:
    return [item.results[0].hypothesis.class_id for item in array.detections]


def count(graph: Any, node: str, reason: str) -> int:
    return int(graph.probe.value(node, f'dropped.{reason}') or 0)


def send_until_counted(graph: Any, node: str, reason: str, make: Any) -> DiagnosticStatus:
    """Send bad frames until the node's diagnostics count one under `reason` and say so; none gives detections."""
    before = count(graph, node, reason)
    sent: list[Any] = []
    said: list[DiagnosticStatus] = []

    def counted() -> bool:
        sent.append(graph.probe.send(make()))
        said.append(graph.probe.status(node))
        return count(graph, node, reason) > before and f'every frame dropped: {reason} x' in said[-1].message

    wait_until(counted, 10.0)
    bad = [message.header for message in sent]
    assert not any(array.header in bad for array in graph.probe.detections), 'a dropped frame gave detections'
    return said[-1]


def assert_recovered(graph: Any, node: str) -> None:
    def good() -> bool:
        return (
            names(graph.probe.ask(image_message())) == ['cup', 'can', 'box']
            and graph.probe.status(node).level == DiagnosticStatus.OK
        )

    wait_until(good, 10.0)


@pytest.mark.parametrize(
    'reason, fields',
    [
        ('unknown_encoding', {'encoding': 'thermal12'}),
        ('unknown_encoding', {'encoding': ''}),
        ('bad_step', {'step': 100}),  # 64 pixels of bgr8 need 192
        ('bad_data_length', {'data': b'\0' * 1000}),
        ('bad_data_length', {'data': b''}),
        ('bad_data_length', {'height': 65}),
        ('zero_size_image', {'width': 0}),
        ('zero_size_image', {'height': 0, 'data': b''}),
    ],
)
def test_an_unusable_image_is_dropped_counted_and_named(graph: Any, reason: str, fields: dict[str, Any]) -> None:
    status = send_until_counted(graph, 'preprocess', reason, lambda: image_message(**fields))
    assert status.level == DiagnosticStatus.ERROR
    assert_recovered(graph, 'preprocess')


def test_an_image_without_pixels_is_dropped(graph: Any) -> None:
    send_until_counted(graph, 'preprocess', 'zero_size_image', lambda: image_message(EMPTY))
    assert_recovered(graph, 'preprocess')


def test_a_zero_stamp_is_passed_on_unchanged_and_warned_of(graph: Any) -> None:
    message = image_message()
    message.header.stamp.sec = message.header.stamp.nanosec = 0
    array = graph.probe.ask(message)
    assert array.header == message.header
    wait_until(lambda: 'without a stamp' in graph.probe.status('preprocess').message)
    assert graph.probe.status('preprocess').level == DiagnosticStatus.WARN
    assert_recovered(graph, 'preprocess')


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
    send_until_counted(empty_graph, 'inference', 'non_finite_output', lambda: image_message(BLACK))
    assert not any(array.detections for array in empty_graph.probe.detections)
    array = empty_graph.probe.ask(image_message())
    assert names(array) == ['a', 'b', 'c']


def test_nan_outputs_are_stopped_by_the_detection_node_in_any_case(empty_graph: Any, tmp_path: Any) -> None:
    empty_graph.load_all(save_model(nan_on_black(), tmp_path / 'nan.onnx'))
    send_until_counted(empty_graph, 'detection', 'non_finite_output', lambda: image_message(BLACK))
    assert not empty_graph.probe.detections
