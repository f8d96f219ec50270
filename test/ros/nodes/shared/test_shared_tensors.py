# SPDX-License-Identifier: Apache-2.0
"""One preprocess node for two models: each gets frames of its own, with the same arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from rclpy.parameter import Parameter
from std_msgs.msg import Header
from support.onnx_models import ultralytics_metadata, write_model
from support.ros.node_graph import PATIENT, RELIABLE_IMAGES
from support.ros.probe import image_message
from vision_msgs.msg import Detection2DArray

from isaac_inference.errors import ConfigError
from isaac_inference.models import read_card
from isaac_inference.ros.messages.tensors import TensorFrame, from_tensor_list
from isaac_inference.ros.nodes.shared.shared_tensors import sharers

WHITE = np.full((48, 64, 3), 255, np.uint8)


@pytest.fixture(scope='module')
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that takes the same tensors as `model`, under another name, and finds other classes."""
    metadata = ultralytics_metadata(['apple', 'pear', 'plum'], imgsz=(64, 64))
    path = tmp_path_factory.mktemp('other') / 'fruit.onnx'
    return write_model(path, 'yolov8', input_wh=(64, 64), metadata=metadata, input_name='pixels')


def load(graph: Any, plugin: str, name: str, below: str, remappings: list[str], **parameters: Any) -> Any:
    values = {**PATIENT, **(RELIABLE_IMAGES if plugin == 'PreprocessNode' else {}), **parameters}
    component = graph.container.load(
        'isaac_inference',
        f'isaac_inference::{plugin}',
        node_name=name,
        namespace=f'{graph.namespace}{below}',
        remappings=remappings,
        parameters=[Parameter(key, value=value) for key, value in values.items()],
    )
    return component.spin.node


def test_both_models_see_each_image(empty_graph: Any, model: Path, other: Path) -> None:
    second = f'{empty_graph.namespace}/fruit/input_tensors'
    load(
        empty_graph,
        'PreprocessNode',
        'preprocess',
        '',
        [f'also_1/input_tensors:={second}'],
        model=str(model),
        also_models=[str(other)],
    )
    for below, path in (('', model), ('/fruit', other)):
        for plugin, name in (('InferenceNode', 'inference'), ('DetectionNode', 'detection')):
            load(empty_graph, plugin, name, below, [], model=str(path))
    fruit = empty_graph.probe.listen('fruit/detections', Detection2DArray)
    tensors = empty_graph.probe.listen('fruit/input_tensors', TensorList, read=from_tensor_list)
    empty_graph.probe.wait_active('preprocess', 'inference', 'detection', 'fruit/inference', 'fruit/detection')
    empty_graph.probe.wait_matched()
    message = image_message(WHITE)
    found = empty_graph.probe.ask(message)
    empty_graph.probe.wait_until(lambda: fruit and tensors, 'the second model has answered, too')
    assert {result.hypothesis.class_id for one in found.detections for result in one.results} == {'cup', 'can', 'box'}
    names = {result.hypothesis.class_id for one in fruit[-1].detections for result in one.results}
    assert names == {'apple', 'pear', 'plum'}
    assert fruit[-1].header == found.header == message.header
    assert [one.bbox for one in fruit[-1].detections] == [one.bbox for one in found.detections]
    assert tensors[-1].card == read_card(other).id and set(tensors[-1].tensors) == {'pixels'}
    assert 'letterbox' in tensors[-1].auxiliary
    assert empty_graph.probe.value('fruit/inference', 'dropped.other_model') == ''


def test_the_arrays_are_the_same_ones(model: Path, other: Path) -> None:
    [one] = sharers(read_card(model), [str(other)], [])
    frame = TensorFrame(Header(), {'images': np.zeros((1, 3, 64, 64), np.float32)}, card=read_card(model).id)
    made = one.frame(frame)
    assert made.tensors['pixels'] is frame.tensors['images']
    assert (made.card, made.header) == (read_card(other).id, frame.header)
    made.check_card(read_card(other).id)


def test_a_model_that_takes_other_tensors_is_refused(empty_graph: Any, model: Path, tmp_path: Path) -> None:
    wide = write_model(tmp_path / 'wide.onnx', 'yolov8', input_wh=(96, 64))
    node = load(empty_graph, 'PreprocessNode', 'preprocess', '', [], model=str(model), also_models=[str(wide)])
    empty_graph.probe.wait_until(lambda: 'configure failed' in empty_graph.probe.status('preprocess').message)
    message = empty_graph.probe.status('preprocess').message
    assert f'parameter also_models: {wide} takes other tensors than {model}' in message
    assert node.state == 'unconfigured'


def test_more_cards_than_models(model: Path) -> None:
    with pytest.raises(ConfigError, match='parameter also_model_cards: got 2 for 1 also_models, expected one for each'):
        sharers(read_card(model), [str(model)], ['', ''])
