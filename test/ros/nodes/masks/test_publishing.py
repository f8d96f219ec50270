# SPDX-License-Identifier: Apache-2.0
"""The instance_mask topic of a running pipeline: before the detections of its stamp, while anyone looks, empty too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from sensor_msgs.msg import Image
from support.onnx_models import masks as model
from support.ros.probe import image_message

from isaac_inference.engines import create_engine
from isaac_inference.models import ModelCard
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ros.messages.image import from_image_message
from isaac_inference.ros.messages.masks import instance_array
from isaac_inference.ros.messages.tensors import TensorFrame, to_tensor_list
from isaac_inference.stages import Postprocessor, Preprocessor

PICTURE = model.picture(2)


class Seen:
    """A running pipeline, and the masks that it publishes."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.masks: list[Image] = graph.probe.listen('instance_mask', Image)
        detection = graph.node('detection')
        graph.probe.wait_until(lambda: detection._instance_mask.wanted, 'the node knows that somebody looks')

    def ask(self, pixels: np.ndarray) -> tuple[Any, Image]:
        """Detections and mask of one image."""
        message = image_message(pixels)
        array = self.graph.probe.ask(message)

        def frames() -> list[Image]:
            return [frame for frame in list(self.masks) if frame.header == message.header]

        self.graph.probe.wait_until(frames, 'the mask comes too')
        return array, frames()[0]


@pytest.fixture(scope='module')
def seen(make_graph: Callable[..., AbstractContextManager[Any]], mask_card: ModelCard) -> Iterator[Seen]:
    with make_graph() as graph:
        graph.load_all(mask_card.path, annotate=False)
        yield Seen(graph)


def found_without_ros(card: ModelCard, pixels: np.ndarray) -> Detections:
    tensors, letterbox = Preprocessor(card)(pixels)
    with create_engine(card) as engine:
        return Postprocessor(card)(engine.infer(tensors), letterbox)


def test_row_i_is_number_i_plus_1_in_an_image_of_the_source_s_size(seen: Seen, mask_card: ModelCard) -> None:
    array, message = seen.ask(PICTURE)
    labels = [item.results[0].hypothesis.class_id for item in array.detections]
    assert labels == ['green', 'red', 'blue']
    assert (message.encoding, message.width, message.height) == ('16UC1', 192, 128)
    assert message.header == array.header
    image = instance_array(from_image_message(message))
    expected = found_without_ros(mask_card, PICTURE)
    np.testing.assert_array_equal(image, expected.masks.painted(expected.scores))
    for index, label in enumerate(labels):
        colored = (model.COLORS[model.LABELS.index(label)][::-1] == PICTURE).all(axis=2)
        own = image == index + 1
        assert (own & colored).sum() / own.sum() > 0.9
        assert own.sum() > 300


def test_nothing_found_is_an_image_of_zeros(seen: Seen) -> None:
    array, message = seen.ask(np.zeros((64, 96, 3), np.uint8))
    assert not array.detections
    assert instance_array(from_image_message(message)).shape == (64, 96)
    assert not any(message.data)


def test_the_size_of_the_images_may_change_while_they_come(seen: Seen) -> None:
    for scale in (1, 3, 1):
        array, message = seen.ask(model.picture(scale))
        assert (message.width, message.height) == (96 * scale, 64 * scale)
        assert set(np.unique(instance_array(from_image_message(message)))) == {0, 1, 2, 3}
        assert len(array.detections) == 3


def test_masks_are_published_before_the_detections_of_the_same_frame(seen: Seen) -> None:
    detection = seen.graph.node('detection')
    order: list[tuple[str, Any]] = []
    for name, publisher in (('mask', detection._instance_mask), ('detections', detection._detections)):
        publish = publisher.publish

        def record(item: Any, name: str = name, publish: Callable[[Any], None] = publish) -> None:
            order.append((name, item.header))
            publish(item)

        publisher.publish = record
    seen.ask(PICTURE)
    seen.ask(PICTURE)
    assert [name for name, _ in order] == ['mask', 'detections'] * 2
    assert order[0][1] == order[1][1]


def test_an_object_without_a_pixel_is_published_and_noted(seen: Seen) -> None:
    picture = np.full((64, 96, 3), 120, np.uint8)
    picture[:4, :8] = model.COLORS[2][::-1]  # not in the box of what is blue
    array, message = seen.ask(picture)
    assert [item.results[0].hypothesis.class_id for item in array.detections] == ['blue']
    assert not any(message.data)
    assert seen.graph.node('detection').health.snapshot().notes['mask_empty'] == 1


def test_as_long_as_nobody_looks_no_masks_are_made(
    make_graph: Callable[..., AbstractContextManager[Any]], mask_card: ModelCard
) -> None:
    with make_graph() as graph:
        graph.load_all(mask_card.path, annotate=False)
        postprocessor = graph.node('detection')._postprocessor
        made: list[Any] = []
        read = postprocessor._masks
        postprocessor._masks = lambda *given: made.append(given) or read(*given)
        postprocessor._masks.role = read.role
        graph.probe.ask(image_message(PICTURE))
        assert not made
        graph.probe.listen('instance_mask', Image)
        graph.probe.wait_until(lambda: graph.node('detection')._instance_mask.wanted)
        graph.probe.ask(image_message(PICTURE))
        assert made


def test_a_detector_has_no_such_topic(empty_graph: Any, model: Any) -> None:
    empty_graph.load('DetectionNode', 'detection', model=str(model))
    empty_graph.probe.wait_active('detection')
    empty_graph.probe.wait_until(lambda: empty_graph.probe.node.count_publishers('detections') == 1)
    topics = dict(empty_graph.probe.node.get_topic_names_and_types())
    assert f'{empty_graph.namespace}/instance_mask' not in topics


BAD: dict[str, tuple[str, Callable[[dict[str, np.ndarray], str], None]]] = {
    'without the masks': ('missing_tensor', lambda tensors, name: tensors.pop(name)),
    'NaN': ('non_finite_output', lambda tensors, name: tensors.update({name: np.full_like(tensors[name], np.nan)})),
    'too few': (
        'bad_output_shape',
        lambda tensors, name: tensors.update(
            {name: tensors[name][:, 1:] if len(tensors[name]) == 1 else tensors[name][1:]}
        ),
    ),
}


@pytest.mark.parametrize('name', BAD)
def test_masks_that_cannot_be_used_cost_the_frame_and_are_named(seen: Seen, mask_card: ModelCard, name: str) -> None:
    """Tensors from outside, as another vendor's inference would send them."""
    reason, spoil = BAD[name]
    tensors, letterbox = Preprocessor(mask_card)(PICTURE)
    with create_engine(mask_card) as engine:
        outputs = dict(engine.infer(tensors))
    spoil(outputs, mask_card.masks.role)
    header = image_message().header
    frame = TensorFrame(header, outputs, {'letterbox': letterbox.to_array()})
    probe, detection = seen.graph.probe, seen.graph.node('detection')

    def dropped() -> int:
        return detection.health.snapshot().drops.get(reason, 0)

    before = dropped()
    publisher = probe.node.create_publisher(TensorList, 'output_tensors', 10)
    probe.wait_matched()
    publisher.publish(to_tensor_list(frame))
    probe.wait_until(lambda: dropped() == before + 1, f'it is dropped as {reason}')
    assert not probe.detections_of(header)
    assert not [mask for mask in seen.masks if mask.header == header]
    array, _ = seen.ask(PICTURE)  # and the node lives on
    assert len(array.detections) == 3
    probe.node.destroy_publisher(publisher)
