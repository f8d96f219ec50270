# SPDX-License-Identifier: Apache-2.0
"""Tensors that another model card prepared: dropped by every stage, though their names and shapes fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from support.onnx_models import write_model
from support.ros.probe import image_message

from isaac_inference.models import CardId, ModelCard, read_card
from isaac_inference.ros.messages.tensors import TensorFrame, to_tensor_list


@pytest.fixture
def other(tmp_path: Path) -> ModelCard:
    """A model with the same tensors as the graph's, but other classes."""
    (tmp_path / 'other.yaml').write_text('labels: [apple, pear, plum]')
    return read_card(write_model(tmp_path / 'other.onnx', 'yolov8', input_wh=(64, 64)))


def frame_for(card: ModelCard, what: str, made_by: CardId | None) -> TensorFrame:
    """Tensors with the names and shapes that the stage takes."""
    specs = card.fed if what == 'input_tensors' else card.used_outputs
    arrays = {spec.name: np.zeros([size or 1 for size in spec.shape], spec.dtype) for spec in specs}
    return TensorFrame(image_message().header, arrays, card=made_by)


@pytest.mark.parametrize(
    ('plugin', 'name', 'topic'),
    [('InferenceNode', 'inference', 'input_tensors'), ('DetectionNode', 'detection', 'output_tensors')],
)
def test_a_frame_of_another_model_is_dropped_and_both_are_named(
    empty_graph: Any, model: Path, other: ModelCard, plugin: str, name: str, topic: str
) -> None:
    card = read_card(model)
    assert [spec.shape for spec in card.fed] == [spec.shape for spec in other.fed]
    assert card.id.hash != other.id.hash
    empty_graph.load(plugin, name, model=str(model), **({'source_size': [64, 64]} if name == 'detection' else {}))
    publisher = empty_graph.probe.node.create_publisher(TensorList, topic, 10)
    empty_graph.probe.wait_active(name)
    empty_graph.probe.send(to_tensor_list(frame_for(card, topic, other.id)), publisher)
    empty_graph.probe.wait_until(
        lambda: 'other_model' in empty_graph.probe.status(name).message, 'the frame is counted'
    )
    values = {pair.key: pair.value for pair in empty_graph.probe.status(name).values}
    assert values['dropped.other_model'] == '1' and values['processed'] == '0'


def test_the_error_names_both():
    frame = TensorFrame(image_message().header, {}, card=CardId('0123456789abcdef', 'forks'))
    with pytest.raises(Exception, match=r'prepared for model forks \(0123456789abcdef\), this node has cups \(f{16}\)'):
        frame.check_card(CardId('f' * 16, 'cups'))
    frame.check_card(CardId('0123456789abcdef', 'the same model under another name'))
    TensorFrame(image_message().header, {}).check_card(CardId('f' * 16, 'cups'))  # of a foreign stage


def test_keypoints_of_another_model_give_no_poses(empty_graph: Any, tmp_path: Path) -> None:
    from isaac_inference.models.demo import demo_model

    empty_graph.load('PoseNode', 'pose', model=str(demo_model()), method='keypoints', wait_s=0.1)
    publisher = empty_graph.probe.node.create_publisher(TensorList, 'keypoints', 10)
    rows = {'keypoints': np.zeros((1, 8, 3), np.float32)}
    made_by = CardId('0123456789abcdef', 'forks')
    empty_graph.probe.wait_active('pose')
    message = to_tensor_list(TensorFrame(image_message().header, rows, card=made_by))
    empty_graph.probe.send(message, publisher)
    empty_graph.probe.wait_until(lambda: 'other_model' in str(empty_graph.probe.status('pose')), 'the frame is counted')
