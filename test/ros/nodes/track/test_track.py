# SPDX-License-Identifier: Apache-2.0
"""TrackNode over DDS: ids, smooth poses, /tf, what is refused and what starts it anew."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseArray
from std_msgs.msg import Header
from support.onnx_models import ultralytics_metadata, write_model
from support.ros.probe import RELIABLE
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2D, Detection2DArray, Detection3D, Detection3DArray, ObjectHypothesisWithPose

from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ros.messages.poses import detection_3d, pose_from_message

FRAME_NS = 33_333_333
T0_NS = 1_700_000_000 * 10**9
HERE = Pose(np.eye(3), np.array([0.1, 0.0, 0.8]))
SIZE = (0.08, 0.08, 0.12)
_numbers = itertools.count(1)


class Bench:
    """One node, what feeds it and what hears it."""

    def __init__(self, graph: Any, **parameters: Any) -> None:
        self.probe, self.name = graph.probe, f'track_{next(_numbers)}'
        self.node = graph.load('TrackNode', self.name, **parameters)
        self.boxes = self.probe.node.create_publisher(Detection2DArray, 'detections', RELIABLE)
        self.objects = self.probe.node.create_publisher(Detection3DArray, 'detections_3d', RELIABLE)
        self.tracked = self.probe.listen(f'{self.name}/detections', Detection2DArray)
        self.smooth = self.probe.listen(f'{self.name}/detections_3d', Detection3DArray)
        self.poses = self.probe.listen(f'{self.name}/poses', PoseArray)
        self.transforms: list[TFMessage] = self.probe.listen('/tf', TFMessage)
        self.probe.wait_active(self.name)
        writer = self.node._broadcaster._dynamic_writer
        self.probe.wait_until(lambda: writer.get_subscription_count() > 0, 'the probe hears /tf')

    def track(self, frame: float, items: Sequence[Detection2D], frame_id: str = 'lens') -> Detection2DArray:
        """Send boxes; the answer."""
        message = Detection2DArray(header=header(frame, frame_id), detections=list(items))
        return self._ask(self.boxes, message, self.tracked)

    def filter(self, frame: float, items: Sequence[Detection3D], frame_id: str = 'lens') -> Detection3DArray:
        """Send objects; the answer."""
        message = Detection3DArray(header=header(frame, frame_id), detections=list(items))
        return self._ask(self.objects, message, self.smooth)

    def counted(self, reason: str, count: int = 1) -> None:
        """Wait until diagnostics have counted so many."""
        self.probe.wait_until(
            lambda: self.probe.value(self.name, f'skipped.{reason}') == str(count), f'skipped.{reason} is {count}'
        )

    def assert_nothing_on_tf(self) -> None:
        """The first that comes on /tf is what is sent now, by the node's own publisher."""
        self.node._broadcaster.send([('lens', 'marker', 1, (0, 0, 0), (0, 0, 0, 1))])
        self.probe.wait_until(lambda: self.transforms, 'the marker comes')
        assert [item.child_frame_id for item in self.transforms[0].transforms] == ['marker']

    def _ask(self, publisher: Any, message: Any, answers: list[Any]) -> Any:
        before = len(answers)
        self.probe.send(message, publisher)
        self.probe.wait_until(lambda: len(answers) > before, f'{self.name} answers')
        assert answers[-1].header == message.header
        return answers[-1]


@pytest.fixture
def make_bench(
    make_graph: Callable[..., contextlib.AbstractContextManager[Any]],
) -> Callable[..., contextlib.AbstractContextManager[Bench]]:
    """Makes nodes; '__' in a parameter's name stands for a dot."""

    @contextlib.contextmanager
    def make(**parameters: Any) -> Iterator[Bench]:
        with make_graph() as graph:
            yield Bench(graph, **parameters)

    return make


def header(frame: float, frame_id: str = 'lens') -> Header:
    made, stamp_ns = Header(frame_id=frame_id), T0_NS + round(frame * FRAME_NS)
    made.stamp.sec, made.stamp.nanosec = divmod(stamp_ns, 10**9)
    return made


def flat(x: float, name: str = 'can', score: float = 0.9, width: float = 60.0, y: float = 200.0) -> Detection2D:
    item, result = Detection2D(), ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = name, score
    item.bbox.center.position.x, item.bbox.center.position.y = x, y
    item.bbox.size_x, item.bbox.size_y, item.results = width, 60.0, [result]
    return item


def solid(pose: Pose = HERE, identity: str = '1', name: str = 'can', **fields: Any) -> Detection3D:
    return detection_3d(Header(), name, fields.pop('score', 0.9), pose, SIZE, identity=identity, **fields)


def ids(message: Any) -> list[str]:
    return [item.id for item in message.detections]


def place(item: Detection3D) -> list[float]:
    position = item.results[0].pose.pose.position
    return [position.x, position.y, position.z]


def test_ids_stay_through_a_gap_and_everything_else_is_as_it_came(make_bench: Any) -> None:
    with make_bench() as bench:
        for frame in range(12):
            sent = [flat(500.0, 'box'), flat(100.0 + 5 * frame)]
            if 4 <= frame < 9:
                sent = sent[:1]
            answer = bench.track(frame, sent)
            assert ids(answer) == ['1', '2'][: len(sent)]
            for item, original in zip(answer.detections, sent, strict=True):
                assert (item.bbox, item.results, item.header) == (original.bbox, original.results, original.header)


def test_tentative_detections_come_without_an_id_or_not_at_all(make_bench: Any) -> None:
    with make_bench(publish_tentative=False, confirm_hits=2) as bench:
        bench.track(0, [flat(100.0)])
        answers = [bench.track(frame, [flat(400.0), flat(100.0)]) for frame in (1, 2)]
        assert [ids(answer) for answer in answers] == [['1'], ['2', '1']]


def test_unusable_detections_keep_their_place_and_are_named(make_bench: Any) -> None:
    with make_bench() as bench:
        unnamed = Detection2D(bbox=flat(1.0).bbox)
        sent = [flat(math.nan), flat(300.0, width=-60.0), flat(300.0, score=math.nan), unnamed, flat(100.0)]
        assert ids(bench.track(0, sent)) == ['', '', '', '', '1']
        for reason, count in {'bad_box': 2, 'bad_score': 1, 'no_class': 1}.items():
            bench.counted(reason, count)
        assert ids(bench.track(1, [flat(100.0)])) == ['1']


def test_a_break_starts_both_streams_anew_and_no_id_comes_twice(make_bench: Any) -> None:
    breaks = (('', 0, 'lens'), ('time_backwards', -5, 'lens'), ('time_jump', 100, 'lens'), ('frame_id', 101, 'other'))
    with make_bench() as bench:
        for number, (reason, frame, frame_id) in enumerate(breaks):
            assert ids(bench.track(frame, [flat(100.0)], frame_id)) == [str(number + 1)]
            anywhere = Pose(np.eye(3), np.full(3, number + 1.0))
            assert place(bench.filter(frame, [solid(anywhere)], frame_id).detections[0]) == [number + 1.0] * 3
            if reason:
                bench.counted(f'reset_{reason}', 2)
        assert bench.probe.value(bench.name, 'dropped') == '0'


def test_poses_are_smoothed_in_order_and_published_thrice(make_bench: Any) -> None:
    rng = np.random.default_rng(1)
    with make_bench() as bench:
        covariance = np.diag([0.005**2] * 3 + [0.05**2] * 3)
        errors = []
        for frame in range(25):
            measured = Pose(so3_exp(rng.normal(0, 0.05, 3)), HERE.translation + rng.normal(0, 0.005, 3))
            loose = Pose(np.eye(3), np.array([frame * 1.0, 0.0, 1.0]))
            sent = [solid(loose, '', 'mug'), solid(measured, '7', 'tin can', score=0.8, covariance=covariance)]
            answer = bench.filter(frame, sent)
            assert ids(answer) == ['', '7']
            assert place(answer.detections[0]) == [frame * 1.0, 0.0, 1.0]  # no id: as it came
            errors.append(np.subtract(place(answer.detections[1]), HERE.translation))
        assert np.std(errors[10:]) < 0.6 * 0.005
        last = answer.detections[1]
        assert last.results[0].hypothesis.class_id == 'tin can' and last.results[0].hypothesis.score == 0.8
        assert last.bbox.center == last.results[0].pose.pose
        assert (last.bbox.size.x, last.bbox.size.y, last.bbox.size.z) == SIZE
        assert 0.0 < last.results[0].pose.covariance[0] < covariance[0, 0]
        bench.probe.wait_until(lambda: bench.poses[-1:] and bench.poses[-1].header == answer.header)
        assert bench.poses[-1].poses == [item.results[0].pose.pose for item in answer.detections]
        bench.probe.wait_until(lambda: bench.transforms and bench.transforms[-1].transforms[0].header == answer.header)
        (transform,) = bench.transforms[-1].transforms
        assert transform.child_frame_id == f'{bench.node.get_namespace()[1:]}/tin_can_7'
        turn, wanted = transform.transform.rotation, last.results[0].pose.pose.orientation
        assert [turn.x, turn.y, turn.z, turn.w] == pytest.approx([wanted.x, wanted.y, wanted.z, wanted.w], abs=1e-9)
        move = transform.transform.translation
        assert [move.x, move.y, move.z] == place(last)


def test_a_flip_is_left_out_and_counted(make_bench: Any) -> None:
    with make_bench() as bench:
        for frame in range(6):
            bench.filter(frame, [solid(), solid(identity='2')])
        flipped = Pose(so3_exp([0, 0, math.pi]), HERE.translation)
        answer = bench.filter(6, [solid(flipped), solid(identity='2')])
        assert ids(answer) == ['2']
        bench.probe.wait_until(lambda: len(bench.poses) > 0 and len(bench.poses[-1].poses) == 1)
        bench.counted('pose_outlier')
        assert ids(bench.filter(7, [solid(), solid(identity='2')])) == ['1', '2']


def test_unusable_poses_are_left_out_and_named(make_bench: Any) -> None:
    with make_bench(publish_tf=False) as bench:
        nowhere, unset, doubtful, negative = solid(), solid(), solid(), solid()
        nowhere.results[0].pose.pose.position.x = math.nan
        unset.results[0].pose.pose.orientation.w = 0.0
        doubtful.results[0].pose.covariance[0] = math.nan
        negative.bbox.size.x = -1.0
        answer = bench.filter(0, [nowhere, unset, doubtful, negative, Detection3D(), solid(), solid()])
        assert ids(answer) == ['1']
        for reason, count in {'bad_pose': 3, 'bad_box': 1, 'no_class': 1, 'duplicate_id': 1}.items():
            bench.counted(reason, count)
        bench.assert_nothing_on_tf()


def test_a_missing_pose_is_predicted_only_where_that_is_asked_for(make_bench: Any) -> None:
    def moving(frame: float) -> list[Detection3D]:
        return [solid(Pose(np.eye(3), HERE.translation + (0.01 * frame, 0.0, 0.0)))]

    for predict_s, expected in ((0.0, []), (0.2, ['1'])):
        with make_bench(predict_s=predict_s) as bench:
            for frame in range(15):
                bench.filter(frame, moving(frame))
            answer = bench.filter(18, [])
            assert ids(answer) == expected
            if expected:
                (item,) = answer.detections
                np.testing.assert_allclose(place(item), place(moving(18)[0]), atol=0.003)
                assert item.results[0].hypothesis.score == pytest.approx(0.9 * (1 - 4 / 30 / 0.2), abs=0.01)
                assert ids(bench.filter(22, [])) == []


def test_without_a_frame_id_there_is_no_tf(make_bench: Any) -> None:
    with make_bench() as bench:
        assert ids(bench.filter(0, [solid()], frame_id='')) == ['1']
        bench.counted('no_frame_id')
        bench.assert_nothing_on_tf()


def test_without_a_stamp_there_is_no_tf(make_bench: Any) -> None:
    with make_bench() as bench:
        message = Detection3DArray(header=Header(frame_id='lens'), detections=[solid()])
        assert ids(bench._ask(bench.objects, message, bench.smooth)) == ['1']
        bench.counted('tf_zero_stamp')
        bench.assert_nothing_on_tf()


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of cans, round about z, and boxes."""
    folder = tmp_path_factory.mktemp('model')
    (folder / 'tiny.yaml').write_text('objects: {can: {symmetry: [{axis: z, order: 0}]}}')
    metadata = ultralytics_metadata(['can', 'box', 'cup'], imgsz=(64, 64))
    return write_model(folder / 'tiny.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata)


def test_a_model_s_card_gives_symmetries_and_class_names(make_bench: Any, model: Path) -> None:
    with make_bench(model=str(model)) as bench:
        for frame in range(8):
            turned = Pose(so3_exp([0.0, 0.0, 2.0 * frame]), HERE.translation)
            answer = bench.filter(frame, [solid(turned), solid(identity='2', name='box')])
            assert ids(answer) == ['1', '2']
        assert ids(bench.track(0, [flat(100.0, 'zebra'), flat(300.0)])) == ['', '1']
        bench.counted('unknown_class')


def test_a_model_that_is_missing_stops_configuration(empty_graph: Any) -> None:
    empty_graph.load('TrackNode', 'track', model='/nowhere.onnx')
    status = lambda: empty_graph.probe.status('track')  # noqa: E731
    empty_graph.probe.wait_until(lambda: status().level == DiagnosticStatus.ERROR, 'an error')
    assert '/nowhere.onnx' in status().message


def test_the_box_of_an_object_stays_where_it_is_on_the_object(make_bench: Any) -> None:
    """Its middle need not be what the pose is of: a mesh's file has its origin where it likes."""
    middle = np.array((0.05, -0.02, 0.12))
    turned = Pose(so3_exp((0.3, -0.8, 0.2)), np.array((0.1, 0.0, 0.8)))
    with make_bench() as bench:
        for frame in range(4):
            (item,) = bench.filter(frame, [solid(turned, box_center=middle)]).detections
        pose, box = (pose_from_message(part) for part in (item.results[0].pose.pose, item.bbox.center))
        np.testing.assert_allclose(pose.translation, turned.translation, atol=1e-6)
        np.testing.assert_allclose(box.translation, turned.apply(middle[None])[0], atol=1e-6)
        np.testing.assert_allclose(box.rotation, turned.rotation, atol=1e-6)


def test_a_card_of_objects_alone_brings_their_symmetries_and_any_class(make_bench: Any, tmp_path: Path) -> None:
    card = tmp_path / 'cell.yaml'
    card.write_text('objects: {can: {size: [0.08, 0.08, 0.12], symmetry: [{axis: z, order: 2}]}}')
    with make_bench(model_card=str(card)) as bench:
        half_turn = Pose(so3_exp((0.0, 0.0, math.pi)), HERE.translation)
        for frame in range(6):
            answer = bench.filter(frame, [solid(HERE if frame % 2 else half_turn), solid(HERE, '2', 'parcel')])
            assert ids(answer) == ['1', '2']
        assert bench.probe.value(bench.name, 'skipped.pose_outlier') in ('', '0')
        assert ids(bench.track(0, [flat(100.0, 'parcel')])) == ['1']


def test_labels_of_a_card_alone_close_the_list_of_classes(make_bench: Any, tmp_path: Path) -> None:
    card = tmp_path / 'cell.yaml'
    card.write_text('labels: [can]\nobjects: {can: {size: [0.08, 0.08, 0.12]}}')
    with make_bench(model_card=str(card)) as bench:
        assert ids(bench.filter(0, [solid(HERE), solid(HERE, '2', 'parcel')])) == ['1']
        bench.counted('unknown_class')
