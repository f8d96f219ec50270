# SPDX-License-Identifier: Apache-2.0
"""Every node and command takes the same detections out of an array, and leaves out the same ones for like reasons."""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rclpy.parameter import Parameter
from std_msgs.msg import Header
from support.waiting import wait_until
from vision_msgs.msg import Detection2D, Detection2DArray, Detection3D, Detection3DArray, ObjectHypothesisWithPose

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.pictures import SourceFrame
from isaac_inference.ros.bringup.clients.feeder import FeedAnswer
from isaac_inference.ros.bringup.clients.graph_client import GraphClient
from isaac_inference.ros.bringup.evaluation.messages import boxes_from_message, poses_from_message
from isaac_inference.ros.bringup.readouts.detections import DetectionReadout
from isaac_inference.ros.messages.depth import DepthEncoding, depth_frame
from isaac_inference.ros.messages.detections import read_detections
from isaac_inference.ros.messages.image import image_frame_from_array
from isaac_inference.ros.messages.poses import detection_3d
from isaac_inference.ros.messages.tensors import TensorFrame
from isaac_inference.ros.nodes.annotate.drawing import Trails, draw_detections, draw_poses
from isaac_inference.ros.nodes.pose import cloud as cloud_module
from isaac_inference.ros.nodes.pose.node import observed_objects
from isaac_inference.ros.nodes.track.node import TrackNode
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.sim import default_camera

WAIT_S = 60.0
NAN = math.nan
GOOD = ('can', 0.8)
REASONS = Counter({'no_class': 3, 'bad_score': 3, 'bad_box': 2})
REASONS_3D = Counter({'no_class': 3, 'bad_score': 3, 'bad_box': 1, 'bad_pose': 1})
BAD_RESULTS: list[list[tuple[str, float]]] = [
    [],
    [('', 0.9)],
    [('can', 0.1), ('', 0.9)],
    [('can', NAN)],
    [('can', 1.5)],
    [('can', 0.5), ('cup', -0.5), ('cup', 7.0)],
]
BEST_LAST = [('cup', 0.3), ('box', NAN), GOOD]


def results(*named: tuple[str, float]) -> list[ObjectHypothesisWithPose]:
    made = []
    for name, score in named:
        one = ObjectHypothesisWithPose()
        one.hypothesis.class_id, one.hypothesis.score = name, score
        one.pose.pose.position.z = 2.0 if (name, score) == GOOD else 1.0
        made.append(one)
    return made


def flat(named: list[tuple[str, float]], x: float = 100.0, width: float = 60.0) -> Detection2D:
    item = Detection2D(results=results(*named))
    item.bbox.center.position.x, item.bbox.center.position.y = x, 120.0
    item.bbox.size_x, item.bbox.size_y = width, 40.0
    return item


def solid(named: list[tuple[str, float]], identity: str, width: float = 0.1, z: float = 2.0) -> Detection3D:
    item = detection_3d(Header(), '', 0.0, Pose(np.eye(3), np.array([0.0, 0.0, z])), (width, 0.1, 0.1))
    item.id, item.results = identity, results(*named)
    if not math.isfinite(z):
        for one in item.results:
            one.pose.pose.position.z = z
    return item


@pytest.fixture
def array() -> Detection2DArray:
    """Eight detections that cannot be used, and two that can: the fifth and the last."""
    bad = [flat(named) for named in BAD_RESULTS] + [flat([GOOD], x=NAN), flat([GOOD], width=0.0)]
    items = [*bad[:4], flat(BEST_LAST, x=60.0), *bad[4:], flat([GOOD], x=200.0)]
    header = Header(frame_id='lens')
    header.stamp.sec = 1_800_000_000
    return Detection2DArray(header=header, detections=items)


@pytest.fixture
def array_3d() -> Detection3DArray:
    """The same in space."""
    bad = [solid(named, str(number)) for number, named in enumerate(BAD_RESULTS)]
    bad += [solid([GOOD], '8', width=-0.1), solid([GOOD], '9', z=NAN)]
    header = Header(frame_id='lens')
    header.stamp.sec = 1_800_000_000
    return Detection3DArray(header=header, detections=[*bad, solid(BEST_LAST, '10'), solid([GOOD], '11')])


class Told(Counter):
    """Counts reasons; in the place of `Health.skipped`."""

    def __call__(self, reason: str, text: str) -> None:
        self[reason] += 1


@pytest.fixture
def tracker(ros: None):
    """An active track node that nobody spins, and what it publishes by topic."""
    node = TrackNode(
        namespace='/one_reading',
        parameter_overrides=[Parameter('autostart', value=False), Parameter('publish_tf', value=False)],
    )
    node.trigger_configure()
    node.trigger_activate()
    node.answers = {}
    for name in ('_detections', '_detections_3d', '_poses'):
        told = SimpleNamespace(publish=lambda message, name=name: node.answers.update({name: message}), wanted=True)
        setattr(node, name, told)
    yield node
    node.destroy_node()


def hand_over(node: Any, topic: str, message: Any) -> None:
    qos = QosParameters(reliability=Reliability.RELIABLE, depth=10)
    with contextlib.closing(Publisher(node, plain(type(message)), topic, qos, node.health)) as publisher:
        publisher.publish(message)


def test_the_track_node_gives_ids_to_what_can_be_used_and_keeps_the_rest_in_its_place(tracker, array):
    hand_over(tracker, 'detections', array)
    wait_until(lambda: '_detections' in tracker.answers, WAIT_S)
    ids = [item.id for item in tracker.answers['_detections'].detections]
    assert [index for index, identity in enumerate(ids) if identity] == [4, 9]
    assert tracker.health.snapshot().skips == REASONS
    wait_until(lambda: tracker.health.snapshot().processed == 1, WAIT_S)
    assert tracker.health.snapshot().drops == {}


def test_the_track_node_smooths_the_poses_of_the_best_hypotheses(tracker, array_3d):
    hand_over(tracker, 'detections_3d', array_3d)
    wait_until(lambda: '_poses' in tracker.answers, WAIT_S)
    smooth = tracker.answers['_detections_3d'].detections
    assert [(item.id, item.results[0].hypothesis.class_id) for item in smooth] == [('10', 'can'), ('11', 'can')]
    assert [pose.position.z for pose in tracker.answers['_poses'].poses] == [2.0, 2.0]
    assert tracker.health.snapshot().skips == REASONS_3D


def test_the_pose_node_estimates_what_can_be_used_with_its_own_keypoints(array):
    told = Told()
    keypoints = np.arange(10 * 8 * 3, dtype=np.float32).reshape(10, 8, 3)
    _, seen = observed_objects(array, keypoints, told)
    assert [(item.label, item.score, item.box[0]) for _, item in seen] == [('can', 0.8, 30.0), ('can', 0.8, 170.0)]
    np.testing.assert_array_equal([item.keypoints for _, item in seen], keypoints[[4, 9]])
    assert told == REASONS


@pytest.mark.parametrize('rows', [0, 2, 9, 11])
def test_keypoints_of_other_detections_cost_the_pose_node_its_frame(array, rows):
    told = Told()
    with pytest.raises(FrameError) as caught:
        observed_objects(array, np.zeros((rows, 8, 3), np.float32), told)
    assert caught.value.reason == 'keypoint_count'
    assert not told


def test_the_objects_cloud_has_what_can_be_used(array, monkeypatch):
    given: list[Any] = []
    monkeypatch.setattr(cloud_module, 'object_points', lambda *arguments: given.extend(arguments) or points)
    monkeypatch.setattr(cloud_module, 'point_cloud', lambda header, points: header)
    monkeypatch.setattr(cloud_module, 'replace', lambda points, **changes: points)
    points, view = SimpleNamespace(xyz=np.zeros((1, 3))), SimpleNamespace(image=None, camera=None)
    parameters = SimpleNamespace(poses_qos=None, depth_tolerance=0.0)
    node = SimpleNamespace(
        parameters=parameters, advertise=lambda *arguments: None, health=SimpleNamespace(skipped=Told())
    )
    cloud = cloud_module.ObjectsCloud(node, ('cup', 'can'), lambda *depth: view, lambda: np.zeros(3))
    color = image_frame_from_array(np.zeros((4, 4, 3), np.uint8), 'bgr8', Header())
    cloud._message(array, color, depth_frame(np.ones((4, 4), np.float32), DepthEncoding.METRES, Header(), (4, 4)), None)
    *_, boxes, classes, instances, masks = given
    assert masks is None
    assert [box[0] for box in boxes.tolist()] == [30.0, 170.0]
    assert (classes.tolist(), instances.tolist()) == ([1, 1], [4, 9])


def test_what_can_be_used_is_drawn_in_the_color_of_its_best_class(array):
    told = Told()
    pictures = []
    for detections in (array.detections, [flat([GOOD], x=60.0), flat([GOOD], x=200.0)]):
        pictures.append(np.zeros((240, 320, 3), np.uint8))
        draw_detections(pictures[-1], read_detections(detections, told), Trails())
    assert np.array_equal(*pictures) and pictures[0].any()
    assert told == REASONS


def test_objects_that_can_be_used_are_drawn(array_3d):
    told, camera = Told(), default_camera(320, 240)
    pictures = []
    for detections in (array_3d.detections, [solid([GOOD], '1'), solid([GOOD], '2')]):
        pictures.append(np.zeros((240, 320, 3), np.uint8))
        draw_poses(pictures[-1], detections, camera, None, told)
    assert np.array_equal(*pictures) and pictures[0].any()
    assert told == REASONS_3D


def test_a_graph_client_answers_with_what_can_be_used(ros, array, monkeypatch):
    with contextlib.closing(GraphClient.start('/one_reading', pictures=False)) as client:
        answer = FeedAnswer({'detections': array})
        monkeypatch.setattr(client, 'show', lambda *arguments: answer)
        found = client.ask(SourceFrame(np.zeros((240, 320, 3), np.uint8), 'x.png'), WAIT_S).as_json()
        assert [(item['class_id'], item['score'], item['bbox'][0]) for item in found['detections']] == [
            ('can', 0.8, 60.0),
            ('can', 0.8, 200.0),
        ]
        assert client.health.snapshot().skips == REASONS


@pytest.mark.parametrize('missing', [('keypoints',), ('keypoints', 'keypoints/timings'), ('detection/label_info',)])
def test_half_an_answer_is_none_for_a_graph_client(ros, array, monkeypatch, missing):
    with contextlib.closing(
        GraphClient.start('/one_reading', DetectionReadout(keypoints=True), pictures=False)
    ) as client:
        monkeypatch.setattr(client, 'show', lambda *arguments: FeedAnswer({'detections': array}, missing=missing))
        monkeypatch.setattr(client, 'explain', lambda: '/keypoints: 3 dropped')
        found = client.ask(SourceFrame(np.zeros((240, 320, 3), np.uint8), 'x.png'), WAIT_S)
        assert found.error == f'no {", ".join(missing)} within {WAIT_S:g} s; /keypoints: 3 dropped'
        assert found.as_json()['detections'] is None


def test_a_graph_client_gives_each_detection_its_own_keypoints(ros, array, monkeypatch):
    rows = np.arange(len(array.detections) * 6, dtype=np.float32).reshape(-1, 2, 3)
    readout = DetectionReadout(keypoints=True)
    with contextlib.closing(GraphClient.start('/one_reading', readout, pictures=False)) as client:
        for sent, error in (
            (rows, ''),
            (rows[1:], f'keypoints: got shape .* for {len(rows)} detections'),
            (None, 'got none'),
        ):
            frame = TensorFrame(array.header, {} if sent is None else {'keypoints': sent})
            answer = FeedAnswer({'detections': array, 'keypoints': frame})
            monkeypatch.setattr(client, 'show', lambda *arguments, answer=answer: answer)
            found = client.ask(SourceFrame(np.zeros((240, 320, 3), np.uint8), 'x.png'), WAIT_S)
            if error:
                assert re.search(error, found.error) and found.as_json()['detections'] is None
            else:
                places = [seen.index for seen in read_detections(array.detections, Told())]
                assert places != list(range(len(rows))), 'some are left out'
                assert [item['keypoints'] for item in found.found] == rows[places].tolist()


def test_an_evaluation_leaves_the_same_objects_out_of_an_answer(array, array_3d):
    told, told_3d = Told(), Told()
    boxes, poses = boxes_from_message(array, told), poses_from_message(array_3d, told_3d)
    assert (boxes.classes, boxes.scores.tolist(), boxes.boxes[:, 0].tolist()) == (
        ('can', 'can'),
        [0.8, 0.8],
        [30.0, 170.0],
    )
    assert (poses.classes, poses.ids) == (('can', 'can'), ('10', '11'))
    assert (told, told_3d) == (REASONS, REASONS_3D)


def test_a_truth_that_has_something_unusable_is_none(array, array_3d):
    for read, message in ((boxes_from_message, array), (poses_from_message, array_3d)):
        with pytest.raises(FrameError) as caught:
            read(message)
        assert caught.value.reason == 'no_class'
