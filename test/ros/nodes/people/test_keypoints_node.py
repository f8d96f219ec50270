# SPDX-License-Identifier: Apache-2.0
"""The keypoints node on outputs that are given to it by hand, of whole images and of crops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from std_msgs.msg import Header
from support.ros.probe import LATCHED, image_message
from vision_msgs.msg import Detection2DArray, LabelInfo

from isaac_inference.models import CardId, ModelCard
from isaac_inference.ops.image.crop import crop_of
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ros.messages.crops import CropRows
from isaac_inference.ros.messages.tensors import (
    RECTIFIED,
    SOURCE_SIZE,
    TensorFrame,
    from_tensor_list,
    to_tensor_list,
)

WH, INPUT = (640, 480), (48, 64)
WHOLE = Letterbox.between(WH, INPUT)
PERSON = np.array([[100.0, 50.0, 0.9], [160.0, 90.0, 0.6], [120.0, 250.0, 0.9]])


class Feeder:
    """A keypoints node, and who publishes the outputs of a network to it."""

    def __init__(self, graph: Any, card: ModelCard, **parameters: Any) -> None:
        self.probe, self.card = graph.probe, card
        graph.load('KeypointsNode', 'keypoints', model=str(card.path), **parameters)
        self.probe.wait_active('keypoints')
        self.keypoints: list[TensorFrame] = self.probe.listen('keypoints', TensorList, read=from_tensor_list)
        self.infos = self.probe.listen('label_info', LabelInfo, qos=LATCHED)
        self._outputs = self.probe.node.create_publisher(TensorList, 'output_tensors', 10)

    def send(self, points: Any, auxiliary: Mapping[str, np.ndarray], card: CardId | None = None) -> Header:
        header = image_message().header
        outputs = {'keypoints': np.asarray(points, np.float32).reshape(-1, 3, 3)}
        self.probe.send(
            to_tensor_list(TensorFrame(header, outputs, auxiliary, card=card or self.card.id)), self._outputs
        )
        return header

    def frame(self, header: Header) -> TensorFrame:
        self.probe.wait_until(lambda: self._of(header), 'keypoints')
        return self._of(header)[0]

    def whole(self, source: np.ndarray, letterbox: Letterbox = WHOLE, **more: np.ndarray) -> tuple[Any, TensorFrame]:
        """Detections and keypoints of a whole image in which the network puts points at these source pixels."""
        points = np.column_stack((letterbox.points_to_input(source[:, :2]), source[:, 2]))
        header = self.send(points, {'letterbox': letterbox.to_array(), **more})
        self.probe.wait_until(lambda: self.probe.detections_of(header), 'detections')
        return self.probe.detections_of(header)[0], self.frame(header)

    def _of(self, header: Header) -> list[TensorFrame]:
        return [frame for frame in list(self.keypoints) if frame.header == header]

    def count(self, key: str) -> int:
        values = {pair.key: pair.value for pair in self.probe.wait_report('keypoints').values}
        return int(values.get(key, 0))


@pytest.fixture(scope='module')
def alone(make_graph: Callable[..., AbstractContextManager[Any]], dots: ModelCard) -> Iterator[Feeder]:
    with make_graph() as graph:
        yield Feeder(graph, dots)


@pytest.fixture(scope='module')
def behind(make_graph: Callable[..., AbstractContextManager[Any]], dots: ModelCard) -> Iterator[Feeder]:
    with make_graph() as graph:
        yield Feeder(graph, dots, publish_detections=False)


def test_a_person_is_a_detection_whose_box_the_sure_keypoints_span(alone: Feeder) -> None:
    array, frame = alone.whole(PERSON)
    [item] = array.detections
    assert item.results[0].hypothesis.class_id == 'person'
    assert item.results[0].hypothesis.score == pytest.approx(0.8, abs=1e-6)
    box = item.bbox
    assert (box.center.position.x, box.center.position.y) == pytest.approx((130, 150), abs=1e-3)
    assert (box.size_x, box.size_y) == pytest.approx((60, 200), abs=1e-3)
    np.testing.assert_allclose(frame.tensors['keypoints'], PERSON[None], atol=1e-3)
    assert frame.auxiliary[SOURCE_SIZE].tolist() == list(WH)


def test_nobody_is_an_empty_array_and_no_rows(alone: Feeder) -> None:
    array, frame = alone.whole(PERSON * (1, 1, 0.2))
    assert not array.detections
    assert frame.tensors['keypoints'].shape == (0, 3, 3)


def test_the_class_is_said_once(alone: Feeder) -> None:
    alone.probe.wait_until(lambda: alone.infos)
    assert [item.class_name for item in alone.infos[0].class_map] == ['person']


def test_a_keypoint_outside_of_the_image_is_not_seen_and_noted(alone: Feeder) -> None:
    """The feet are below the border: the letterbox shows padding there, whatever the network thinks of it."""
    cut = np.vstack((PERSON[:2], [[120.0, 490.0, 0.9]]))
    before = alone.count('noted.cut_at_border')
    array, frame = alone.whole(np.vstack((PERSON[:2], [[120.0, 470.0, 0.9]])))
    assert len(array.detections) == 1 and alone.count('noted.cut_at_border') == before
    array, frame = alone.whole(cut)
    assert not array.detections  # of three keypoints two are seen, and three are asked for
    assert frame.tensors['keypoints'].shape == (0, 3, 3)


def test_a_frame_without_a_letterbox_is_dropped(alone: Feeder) -> None:
    alone.send(PERSON, {})
    alone.probe.wait_until(lambda: 'no_letterbox' in alone.probe.status('keypoints').message)


def test_the_rectified_intrinsics_go_on(alone: Feeder) -> None:
    """They say that the keypoints are in pixels of the rectified image."""
    intrinsics = np.array([500.0, 500.0, 320.0, 240.0])
    _, frame = alone.whole(PERSON, **{RECTIFIED: intrinsics})
    assert frame.auxiliary[RECTIFIED].tolist() == intrinsics.tolist()


def test_outputs_that_are_not_finite_cost_the_frame(alone: Feeder) -> None:
    before = alone.count('dropped.non_finite_output')
    alone.send(np.full((1, 3, 3), np.nan), {'letterbox': WHOLE.to_array()})
    alone.probe.wait_until(lambda: alone.count('dropped.non_finite_output') == before + 1)


def crops(*boxes: Any, detections: int = 3) -> dict[str, np.ndarray]:
    made = tuple(crop_of(box, WH, INPUT, 1.25) for box in boxes)
    return CropRows(detections, tuple(range(len(boxes))), np.array(boxes, float), made, WH).auxiliary()


BOX = (90.0, 40.0, 170.0, 260.0)
CORNER = (560.0, 400.0, 640.0, 480.0)


def in_crop(source: np.ndarray, box: Any) -> np.ndarray:
    return np.column_stack((crop_of(box, WH, INPUT, 1.25).points_to_input(source[:, :2]), source[:, 2]))


def test_crops_give_a_row_for_each_detection_and_no_detections(behind: Feeder) -> None:
    other = PERSON + (480, 350, 0) - (60, 0, 0)
    frame = behind.frame(behind.send([in_crop(PERSON, BOX), in_crop(other, CORNER)], crops(BOX, CORNER)))
    rows = frame.tensors['keypoints']
    np.testing.assert_allclose(rows[0], PERSON, atol=1e-3)
    assert np.isnan(rows[2, :, :2]).all() and (rows[2, :, 2] == 0).all()
    assert not behind.probe.detections
    publishers = behind.probe.node.get_publishers_info_by_topic(f'{behind.probe.namespace}/detections')
    assert [info.node_name for info in publishers] == []


def test_a_person_cut_at_the_border_is_noted_and_what_lies_beyond_is_not_seen(behind: Feeder) -> None:
    """The crop reaches beyond the corner, and the network puts a foot there."""
    person = np.array([[600.0, 420.0, 0.9], [630.0, 440.0, 0.9], [610.0, 485.0, 0.9]])
    before = behind.count('noted.cut_at_border')
    [row, *_] = behind.frame(behind.send(in_crop(person, CORNER), crops(CORNER))).tensors['keypoints']
    np.testing.assert_allclose(row[:, :2], person[:, :2], atol=1e-3)
    assert row[:, 2] == pytest.approx([0.9, 0.9, 0.0])
    assert behind.count('noted.cut_at_border') == before + 1


def test_a_whole_image_is_refused_behind_a_detector(behind: Feeder) -> None:
    behind.send(PERSON, {'letterbox': WHOLE.to_array()})
    behind.probe.wait_until(lambda: 'no_crops' in behind.probe.status('keypoints').message)


def test_fewer_outputs_than_crops_cost_the_frame(behind: Feeder) -> None:
    before = behind.count('dropped.bad_tensor')
    behind.send(in_crop(PERSON, BOX), crops(BOX, CORNER))
    behind.probe.wait_until(lambda: behind.count('dropped.bad_tensor') == before + 1)


def test_crops_that_contradict_themselves_cost_the_frame(behind: Feeder) -> None:
    before = behind.count('dropped.bad_crops')
    behind.send(in_crop(PERSON, BOX), {**crops(BOX), 'crops_of': np.array([0], np.int32)})
    behind.probe.wait_until(lambda: behind.count('dropped.bad_crops') == before + 1)


def test_outputs_of_another_model_are_dropped(behind: Feeder) -> None:
    before = behind.count('dropped.other_model')
    behind.send(in_crop(PERSON, BOX), crops(BOX), CardId('0123456789abcdef', 'hands'))
    behind.probe.wait_until(lambda: behind.count('dropped.other_model') == before + 1)


@pytest.mark.parametrize(('plugin', 'name'), [('KeypointsNode', 'keypoints'), ('CropsNode', 'crops')])
def test_a_detector_is_no_top_down_model(empty_graph: Any, model: Any, plugin: str, name: str) -> None:
    empty_graph.load(plugin, name, model=str(model))
    empty_graph.probe.wait_until(lambda: 'configure failed' in empty_graph.probe.status(name).message)
    message = empty_graph.probe.status(name).message
    assert f'{model} is for detection' in message and 'expected a model for top_down_keypoints' in message


def test_detections_arrive_after_their_keypoints(alone: Feeder) -> None:
    node = next(node for node in alone.probe.nodes() if node.get_name() == 'keypoints')
    order = []
    for name, publisher in (('keypoints', node._keypoints), ('detections', node._detections)):
        publish = publisher.publish
        publisher.publish = lambda item, name=name, publish=publish: (order.append(name), publish(item))
    array, _ = alone.whole(PERSON)
    assert isinstance(array, Detection2DArray)
    assert order == ['keypoints', 'detections']


def test_what_is_shown_may_be_no_person(make_graph: Any, dots: ModelCard) -> None:
    with make_graph() as graph:
        feeder = Feeder(graph, dots, label='cup')
        array, _ = feeder.whole(PERSON)
        assert array.detections[0].results[0].hypothesis.class_id == 'cup'
        feeder.probe.wait_until(lambda: feeder.infos)
        assert [item.class_name for item in feeder.infos[0].class_map] == ['cup']


def test_a_frame_without_people_does_not_displace_the_one_before(behind: Feeder) -> None:
    """Its crops cost the network nothing, so that it comes right behind a frame that has cost much."""
    node = next(node for node in behind.probe.nodes() if node.get_name() == 'keypoints')
    empty = CropRows(1).auxiliary()
    with node._worker.condition:  # as if the worker came late: nothing is taken meanwhile
        box = next(box for box in node._worker._mailboxes)
        headers = [image_message().header for _ in range(2)]
        frames = ((in_crop(PERSON, BOX), crops(BOX, detections=1)), (np.empty((0, 3, 3)), empty))
        for header, (points, auxiliary) in zip(headers, frames, strict=True):
            outputs = {'keypoints': np.asarray(points, np.float32).reshape(-1, 3, 3)}
            box.put(TensorFrame(header, outputs, auxiliary, card=behind.card.id))
    first, second = (behind.frame(header).tensors['keypoints'] for header in headers)
    np.testing.assert_allclose(first[0], PERSON, atol=1e-3)
    assert (second[..., 2] == 0).all()
