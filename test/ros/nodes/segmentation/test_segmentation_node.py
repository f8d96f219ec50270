# SPDX-License-Identifier: Apache-2.0
"""The segmentation node in a running graph, over DDS: mask, confidence and names, as a planner reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from isaac_ros_tensor_list_interfaces.msg import TensorList
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from support.onnx_models.color_classes import LABELS, SURE, colored
from support.ros.probe import LATCHED, image_message
from vision_msgs.msg import LabelInfo

from isaac_inference.models import ModelCard
from isaac_inference.ros.messages.class_mask import class_mask_array
from isaac_inference.ros.messages.image import from_image_message
from isaac_inference.ros.messages.tensors import TensorFrame, to_tensor_list

RNG = np.random.default_rng(4)


def with_stamp(messages: list[Any], header: Any) -> list[Any]:
    return [message for message in list(messages) if message.header == header]


def ask(graph: Any, picture: np.ndarray, topic: str = 'class_mask') -> tuple[Image, np.ndarray]:
    """The mask, or what else a topic has, of one picture: the message, and its array."""
    masks = graph.probe.listen(topic, Image)
    sent = graph.probe.send(image_message(picture))
    graph.probe.wait_until(lambda: with_stamp(masks, sent.header), f'{topic} of the picture')
    message = with_stamp(masks, sent.header)[0]
    return message, class_mask_array(from_image_message(message))


def classes(height: int = 64, width: int = 64) -> np.ndarray:
    return RNG.integers(0, 4, (height, width))


def test_a_mask_has_the_size_stamp_and_frame_of_its_picture(segmenting: Any) -> None:
    ids = classes(48, 64)
    message, mask = ask(segmenting, colored(ids, scale=2))
    assert (message.encoding, message.header.frame_id) == ('mono8', 'lens')
    assert (message.width, message.height) == (128, 96)
    np.testing.assert_array_equal(mask, ids.repeat(2, axis=0).repeat(2, axis=1))


def test_names_are_latched_for_whoever_comes_late(segmenting: Any) -> None:
    infos = segmenting.probe.listen('label_info', LabelInfo, qos=LATCHED)
    segmenting.probe.wait_until(lambda: infos)
    named = {item.class_id: item.class_name for item in infos[0].class_map}
    assert named == {**dict(enumerate(LABELS)), 255: 'unlabelled'}


def test_confidence_comes_while_someone_looks(segmenting: Any) -> None:
    node, ids = segmenting.node('segmentation'), classes()
    assert not node._confidences.wanted
    message, sure = ask(segmenting, colored(ids), 'class_confidence')
    _, mask = ask(segmenting, colored(ids))
    np.testing.assert_array_equal(mask, ids)
    assert message.encoding == 'mono8'
    best, others = np.where(ids > 0, SURE, SURE / 2), np.where(ids > 0, SURE / 2, 0.0)
    rest = np.where(ids > 0, 2.0, 2.0 * np.exp(0))  # two colours are 0; for dark all three, one of them is `others`
    total = np.exp(best) + np.exp(others) + rest
    np.testing.assert_allclose(sure, 255 * np.exp(best) / total, atol=1.0)
    segmenting.probe.ignore('class_confidence')


def test_live_parameters_count_from_the_next_frame_on(segmenting: Any) -> None:
    node, ids = segmenting.node('segmentation'), classes()
    node.set_parameters([Parameter('classes', value=['red', 'blue'])])
    _, mask = ask(segmenting, colored(ids))
    np.testing.assert_array_equal(mask, np.where((ids == 1) | (ids == 3), ids, 255))
    node.set_parameters([Parameter('classes', type_=Parameter.Type.STRING_ARRAY, value=[])])
    infos = segmenting.probe.listen('label_info', LabelInfo, qos=LATCHED)
    node.set_parameters([Parameter('min_confidence', value=0.97)])  # 'dark' has a softmax of 0.95
    _, mask = ask(segmenting, colored(ids))
    np.testing.assert_array_equal(mask, np.where(ids == 0, 255, ids))
    segmenting.probe.wait_until(lambda: infos and infos[-1].threshold == pytest.approx(0.97))
    refused = node.set_parameters([Parameter('classes', value=['rad'])])[0]
    assert not refused.successful and "did you mean 'red'" in refused.reason
    node.set_parameters([Parameter('min_confidence', value=0.0), Parameter('upsampling', value='bilinear')])
    blocks = np.kron(np.array([[0, 1], [2, 3]]), np.ones((64, 64), int))
    _, mask = ask(segmenting, colored(blocks))
    assert (mask == blocks).mean() > 0.97
    node.set_parameters([Parameter('upsampling', value='nearest')])


def test_a_confidence_is_out_before_its_mask(segmenting: Any) -> None:
    node = segmenting.node('segmentation')
    segmenting.probe.listen('class_confidence', Image)
    segmenting.probe.wait_until(lambda: node._confidences.wanted)
    order: list[str] = []
    for name, publisher in (('confidence', node._confidences), ('mask', node._masks)):
        publish = publisher.publish
        publisher.publish = lambda item, name=name, publish=publish: (order.append(name), publish(item))
    ask(segmenting, colored(classes()))
    assert order == ['confidence', 'mask']
    segmenting.probe.ignore('class_confidence')


# What cannot be used


@pytest.fixture(scope='module')
def alone(make_graph: Any, color_model: ModelCard) -> Any:
    """The segmentation node without a preprocessor or an engine, and whom to send tensors by."""
    with make_graph() as graph:
        graph.load('SegmentationNode', 'segmentation', model=str(color_model.path), source_size=[64, 64])
        graph.probe.wait_active('segmentation')
        graph.masks = graph.probe.listen('class_mask', Image)
        graph.tensors = graph.probe.node.create_publisher(TensorList, 'output_tensors', 10)
        yield graph


def good() -> np.ndarray:
    scores = np.zeros((1, 4, 64, 64), np.float32)
    scores[:, 2] = 1
    return scores


def nan_somewhere() -> np.ndarray:
    scores = good()
    scores[0, 1, 63, 5] = np.nan
    return scores


@pytest.mark.parametrize(
    ('tensors', 'reason'),
    [
        ({'scores': nan_somewhere()}, 'non_finite_output'),
        ({'scores': good()[:, :3]}, 'bad_output_shape'),
        ({'scores': good().transpose(0, 2, 3, 1)}, 'bad_output_shape'),
        ({'scores': good()[:, :, :, :32]}, 'bad_output_shape'),
        ({'logits': good()}, 'missing_tensor'),
    ],
    ids=['nan', 'label_count', 'layout', 'size', 'name'],
)
def test_bad_outputs_are_dropped_counted_and_named_and_the_node_lives_on(
    alone: Any, tensors: dict[str, np.ndarray], reason: str
) -> None:
    before, masks = alone.probe.wait_report('segmentation'), len(alone.masks)
    was = next((int(pair.value) for pair in before.values if pair.key == f'dropped.{reason}'), 0)
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    alone.probe.send(to_tensor_list(TensorFrame(image_message().header, contiguous)), alone.tensors)
    alone.probe.wait_until(lambda: alone.probe.value('segmentation', f'dropped.{reason}') == str(was + 1))
    assert any(reason in status.message for status in alone.probe.reports_of('segmentation'))
    sent = alone.probe.send(to_tensor_list(TensorFrame(image_message().header, {'scores': good()})), alone.tensors)
    alone.probe.wait_until(lambda: with_stamp(alone.masks, sent.header), 'the next frame goes through')
    assert len(alone.masks) == masks + 1


def test_a_detector_is_no_segmentation_model(empty_graph: Any, model: Any) -> None:
    empty_graph.load('SegmentationNode', 'segmentation', model=str(model))
    empty_graph.probe.wait_until(lambda: 'its task is detection' in empty_graph.probe.status('segmentation').message)
    assert 'task: semantic_segmentation' in empty_graph.probe.status('segmentation').message
    assert empty_graph.probe.value('segmentation', 'state') == 'unconfigured'


def test_one_class_everywhere_is_a_warning_until_there_are_two(make_graph: Any, color_model: ModelCard) -> None:
    with make_graph() as graph:
        for plugin, name in (('Preprocess', 'preprocess'), ('Inference', 'inference')):
            graph.load(f'{plugin}Node', name, model=str(color_model.path))
        graph.load('SegmentationNode', 'segmentation', model=str(color_model.path), quiet_frames=3)
        graph.probe.wait_active('preprocess', 'inference', 'segmentation')
        for grey in (1, 2, 3):
            ask(graph, np.full((64, 64, 3), grey, np.uint8))
        status = graph.probe.wait_report('segmentation')
        assert status.level == DiagnosticStatus.WARN
        assert 'model colors: one class everywhere, dark, in each of the last 3 frames' in status.message
        ask(graph, colored(classes()))
        status = graph.probe.wait_report('segmentation')
        assert (status.level, status.message) == (DiagnosticStatus.OK, 'running')
