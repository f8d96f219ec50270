# SPDX-License-Identifier: Apache-2.0
"""Tensors that another vendor's node sends: no letterbox and no timings travel with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from support.onnx_models import known_detections
from support.ros.probe import image_message

from isaac_inference.engines import create_engine
from isaac_inference.models import read_card
from isaac_inference.ros.messages.tensors import TensorFrame, to_tensor_list
from isaac_inference.stages import Preprocessor


@pytest.fixture(scope='module')
def outputs(model: Path) -> Mapping[str, np.ndarray]:
    """What the model says of a white image."""
    card = read_card(model)
    tensors, _ = Preprocessor(card)(np.full((64, 64, 3), 255, np.uint8))
    with create_engine(card) as engine:
        return engine.infer(tensors)


def send(graph: Any, node: str, topic: str, tensors: Mapping[str, np.ndarray]) -> None:
    graph.probe.wait_active(node)
    publisher = graph.probe.node.create_publisher(TensorList, topic, 10)
    graph.probe.send(to_tensor_list(TensorFrame(image_message().header, tensors)), publisher)


def assert_dropped(graph: Any, node: str, reason: str) -> None:
    """The node's diagnostics count the frame and have the reason as their message."""
    graph.probe.wait_until(lambda: graph.probe.value(node, f'dropped.{reason}') == '1', f'{node} counts {reason}')
    assert any(reason in status.message for status in graph.probe.reports_of(node))
    assert graph.probe.value(node, 'processed') == '0'
    assert not graph.probe.detections


def test_tensors_without_a_letterbox_are_dropped_with_advice(
    empty_graph: Any, model: Path, outputs: Mapping[str, np.ndarray]
) -> None:
    empty_graph.load('DetectionNode', 'detection', model=str(model))
    send(empty_graph, 'detection', 'output_tensors', outputs)
    assert_dropped(empty_graph, 'detection', 'no_letterbox')


def test_with_the_source_size_given_their_boxes_come_back_in_source_pixels(
    empty_graph: Any, model: Path, outputs: Mapping[str, np.ndarray]
) -> None:
    empty_graph.load('DetectionNode', 'detection', model=str(model), source_size=[128, 128])
    send(empty_graph, 'detection', 'output_tensors', outputs)
    empty_graph.probe.wait_until(lambda: empty_graph.probe.detections)
    found = [item.bbox.center.position.x for item in empty_graph.probe.detections[0].detections]
    assert found == pytest.approx([known.xyxy[0] + known.xyxy[2] for known in known_detections(3, (64, 64))], abs=0.1)


def test_tensors_of_another_model_are_dropped_and_named(
    empty_graph: Any, model: Path, outputs: Mapping[str, np.ndarray]
) -> None:
    empty_graph.load('DetectionNode', 'detection', model=str(model), source_size=[64, 64])
    other = {'somebody_elses': next(iter(outputs.values()))}
    send(empty_graph, 'detection', 'output_tensors', other)
    assert_dropped(empty_graph, 'detection', 'missing_tensor')


def test_an_input_of_the_wrong_shape_is_dropped_by_the_engine(empty_graph: Any, model: Path) -> None:
    empty_graph.load('InferenceNode', 'inference', model=str(model))
    wrong = {'images': np.zeros((1, 3, 32, 32), np.float32)}
    send(empty_graph, 'inference', 'input_tensors', wrong)
    assert_dropped(empty_graph, 'inference', 'engine_error')
