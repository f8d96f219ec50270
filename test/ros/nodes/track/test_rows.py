# SPDX-License-Identifier: Apache-2.0
"""TrackNode over DDS: keypoints and masks go out in the rows of the tracked detections, and keypoints smoothed."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from support.onnx_models import ultralytics_metadata, write_model
from support.ros.probe import RELIABLE, image_message
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from isaac_inference.ros.messages.image import from_image_message, to_image_message
from isaac_inference.ros.messages.masks import instance_array, instance_frame
from isaac_inference.ros.messages.tensors import SOURCE_SIZE, TensorFrame, from_tensor_list, to_tensor_list
from isaac_inference.ros.nodes.track.rows import BUFFER, PATIENCE_S, RowStream, TrackedRows
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

FRAME_NS = 33_333_333
T0_NS = 1_700_000_000 * 10**9
SIZE = np.array((640, 480), np.int32)
_numbers = itertools.count(1)


class Bench:
    """One node, what feeds it and what hears it; what is not to be heard is named in `deaf`."""

    def __init__(self, graph: Any, deaf: Sequence[str] = (), **parameters: Any) -> None:
        self.probe, self.name = graph.probe, f'rows_{next(_numbers)}'
        self.node = graph.load('TrackNode', self.name, **parameters)
        self.boxes = self.probe.node.create_publisher(Detection2DArray, 'detections', RELIABLE)
        self.points = self.probe.node.create_publisher(TensorList, 'keypoints', RELIABLE)
        self.masks = self.probe.node.create_publisher(Image, 'instance_mask', RELIABLE)
        heard = {
            'detections': (Detection2DArray, lambda message: message),
            'keypoints': (TensorList, from_tensor_list),
            'instance_mask': (Image, from_image_message),
        }
        self.heard = {
            topic: self.probe.listen(f'{self.name}/{topic}', kind, read=read)
            for topic, (kind, read) in heard.items()
            if topic not in deaf
        }
        self.probe.wait_active(self.name)
        if self.node.parameters.boxes:
            publishers = {
                'detections': self.node._detections,
                'keypoints': self.node._keypoints,
                'instance_mask': self.node._masks,
            }
            self.probe.wait_until(lambda: all(publishers[topic].wanted for topic in self.heard), 'it is heard')
            inputs = {'keypoints': self.points, 'instance_mask': self.masks}
            hearing = [inputs[topic] for topic in self.heard if topic in inputs]
            self.probe.wait_until(lambda: all(one.get_subscription_count() for one in hearing), 'it hears')
        self.probe.wait_matched()

    def send(self, publisher: Any, message: Any) -> None:
        self.probe.send(message, publisher)

    def track(self, frame: float, items: Sequence[Detection2D]) -> list[str]:
        """Send boxes; the ids that come back."""
        message = Detection2DArray(header=header(frame), detections=list(items))
        self.send(self.boxes, message)
        return [item.id for item in self.answer('detections', frame).detections]

    def put_points(self, frame: float, points: np.ndarray) -> None:
        """Send keypoints (N, K, 3), and wait until the node has them."""
        tensors = TensorFrame(header(frame), {'keypoints': points.astype(np.float32)}, {SOURCE_SIZE: SIZE})
        self.send(self.points, to_tensor_list(tensors))

    def put_masks(self, frame: float, image: np.ndarray) -> None:
        self.send(self.masks, to_image_message(instance_frame(header(frame), image.astype(np.uint16))))

    def wait_kept(self, rows: Any, frame: float) -> None:
        """Until the node has put aside what was sent for a frame that is not tracked yet."""
        self.probe.wait_until(lambda: stamp_ns(header(frame)) in list(rows._items), 'it is kept')

    def answer(self, topic: str, frame: float) -> Any:
        """The message of a frame."""
        wanted = header(frame)
        found = lambda: [one for one in list(self.heard[topic]) if one.header == wanted]  # noqa: E731
        self.probe.wait_until(found, f'{topic} of frame {frame}')
        (message,) = found()
        return message

    def points_of(self, frame: float) -> np.ndarray:
        tensors = self.answer('keypoints', frame)
        assert tensors.auxiliary[SOURCE_SIZE].tolist() == SIZE.tolist()
        return tensors.tensors['keypoints']

    def masks_of(self, frame: float) -> np.ndarray:
        return instance_array(self.answer('instance_mask', frame))

    def counted(self, reason: str) -> None:
        self.probe.wait_until(lambda: self.node.health.snapshot().skips.get(reason, 0) == 1, f'{reason} is counted')


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


def header(frame: float) -> Header:
    made, stamp = Header(frame_id='lens'), T0_NS + round(frame * FRAME_NS)
    made.stamp.sec, made.stamp.nanosec = divmod(stamp, 10**9)
    return made


def person(x: float, name: str = 'person', score: float = 0.9, y: float = 200.0) -> Detection2D:
    item, result = Detection2D(), ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = name, score
    item.bbox.center.position.x, item.bbox.center.position.y = x, y
    item.bbox.size_x = item.bbox.size_y = 60.0
    item.results = [result]
    return item


def points(*places: float, confidence: float = 0.9) -> np.ndarray:
    """(N, 2, 3), two keypoints of objects at those x."""
    return np.array([[(x, 180.0, confidence), (x, 220.0, confidence)] for x in places], np.float32)


def instances(*places: float) -> np.ndarray:
    """(480, 640) uint16, i + 1 at the i-th x."""
    image = np.zeros((480, 640), np.uint16)
    for row, x in enumerate(places):
        image[180:220, int(x) - 20 : int(x) + 20] = row + 1
    return image


@pytest.mark.parametrize('before', [True, False], ids=['before the detections', 'after them'])
def test_rows_that_are_left_out_are_gone_from_keypoints_and_masks(make_bench: Any, before: bool) -> None:
    """The second frame's first row is new, and so has no id yet."""
    with make_bench(publish_tentative=False, confirm_hits=2, smooth_keypoints='false') as bench:
        bench.track(0, [person(100.0), person(300.0)])
        where = (500.0, 100.0, 300.0)

        def put() -> None:
            bench.put_points(1, points(*where))
            bench.put_masks(1, instances(*where))

        if before:
            put()
            bench.wait_kept(bench.node._keypoint_rows, 1)
            bench.wait_kept(bench.node._mask_rows, 1)
        assert bench.track(1, [person(x) for x in where]) == ['1', '2']
        if not before:
            put()
        np.testing.assert_array_equal(bench.points_of(1), points(100.0, 300.0))
        np.testing.assert_array_equal(bench.masks_of(1), instances(100.0, 300.0))


def test_all_rows_are_there_where_none_is_left_out(make_bench: Any) -> None:
    with make_bench(smooth_keypoints='false') as bench:
        bench.track(0, [person(100.0)])
        where = (500.0, 100.0)
        assert bench.track(1, [person(x) for x in where]) == ['', '1']
        bench.put_points(1, points(*where))
        bench.put_masks(1, instances(*where))
        np.testing.assert_array_equal(bench.points_of(1), points(*where))
        np.testing.assert_array_equal(bench.masks_of(1), instances(*where))


def test_an_empty_frame_has_empty_rows(make_bench: Any) -> None:
    with make_bench(publish_tentative=False) as bench:
        assert bench.track(0, []) == []
        bench.put_points(0, np.zeros((0, 2, 3)))
        bench.put_masks(0, instances())
        assert bench.points_of(0).shape == (0, 2, 3)
        assert not bench.masks_of(0).any()


def test_keypoints_are_smoothed_by_track_and_not_by_row(make_bench: Any) -> None:
    with make_bench() as bench:
        bench.put_points(0, points(100.0, 300.0))
        assert bench.track(0, [person(100.0), person(300.0)]) == ['1', '2']
        bench.put_points(1, points(302.0, 100.0))
        assert bench.track(1, [person(300.0), person(100.0)]) == ['2', '1']
        found = bench.points_of(1)
        assert (found[0, :, 0] > 300.0).all() and (found[0, :, 0] < 301.9).all()
        np.testing.assert_allclose(found[1, :, 0], 100.0, atol=1e-4)
        np.testing.assert_array_equal(found[..., 2], points(0.0, 0.0)[..., 2])


def test_an_unsure_keypoint_comes_as_it_was_and_a_jump_in_time_starts_anew(make_bench: Any) -> None:
    with make_bench(one_euro__min_confidence=0.5) as bench:
        for frame, x, confidence, expected in (
            (0, 100, 0.9, 100),
            (1, 110, 0.4, 110),
            (200, 104, 0.9, 104),
            (2, 9, 0.9, 9),
        ):
            bench.put_points(frame, points(x, confidence=confidence))
            bench.track(frame, [person(100.0)])
            assert (bench.points_of(frame)[0, :, 0] == expected).all()


def test_keypoints_that_come_long_after_their_detections_still_go_out(make_bench: Any) -> None:
    """50 frames late, as behind a network that takes over a second."""
    with make_bench(smooth_keypoints='false') as bench:
        for frame in range(51):
            assert bench.track(frame, [person(100.0)]) == ['1']
        for frame in (0, 20, 50):
            bench.put_points(frame, points(100.0 + frame))
            bench.put_masks(frame, instances(100.0))
            np.testing.assert_array_equal(bench.points_of(frame), points(100.0 + frame))
            np.testing.assert_array_equal(bench.masks_of(frame), instances(100.0))
        assert not bench.node.health.snapshot().skips


def test_keypoints_that_come_too_late_are_counted_and_named(make_bench: Any) -> None:
    last = round(PATIENCE_S * 1e9 / FRAME_NS) + 2
    with make_bench(smooth_keypoints='false', max_gap_s=2 * PATIENCE_S) as bench:
        for frame in (1, last):
            bench.track(frame, [person(100.0)])
        bench.put_points(0, points(100.0))  # of before: nobody listened yet
        bench.put_points(1, points(100.0))
        bench.counted('keypoints_without_detections')
        bench.put_points(last, points(100.0))
        bench.points_of(last)
        assert bench.node.health.snapshot().skips == {'keypoints_without_detections': 1}


def test_keypoints_without_detections_are_counted_and_named(make_bench: Any) -> None:
    with make_bench() as bench:
        for frame in range(BUFFER + 1):
            bench.put_points(frame, points(100.0))
            bench.put_masks(frame, instances(100.0))
            for rows in (bench.node._keypoint_rows, bench.node._mask_rows):
                bench.wait_kept(rows, frame)
        bench.counted('keypoints_without_detections')
        bench.counted('masks_without_detections')


def test_tracked_frames_are_kept_for_a_time_and_never_without_end() -> None:
    rows, lost = TrackedRows(Detection2DArray(), 0.0, (), (), None), []
    stream: RowStream[str] = RowStream(lost.append)
    for step in range(2000):
        assert stream.track(10**9 + step, rows) is None
    assert len(stream._frames) == 512 and stream.is_awaited(10**9 + 1999)
    stream.track(10**9 + 1999 + round(PATIENCE_S * 1e9) + 1, rows)
    assert len(stream._frames) == 1 and not lost
    assert stream.put(10**9 + 1999, 'late') is None
    assert len(lost) == 1 and 'more than 3 s' in lost[0]
    stream.forget_tracked()
    assert stream.put(10**9 + 1999, 'of a recording that starts over') is None and len(lost) == 1
    assert stream.track(10**9 + 1999, rows) == 'of a recording that starts over'


def test_one_slow_network_leaves_frames_out_and_that_is_no_fault() -> None:
    rows, lost = TrackedRows(Detection2DArray(), 0.0, (), (), None), []
    stream: RowStream[int] = RowStream(lost.append)
    for frame in range(1, 1000):
        assert stream.track(frame * FRAME_NS, rows) is None
        if frame > 30 and not frame % 4:
            assert stream.put((frame - 30) * FRAME_NS, frame) is rows
    assert not lost


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    """A card with an object whose poses are made of its keypoints, and one without."""
    card = tmp_path / 'cell.yaml'
    card.write_text('objects: {can: {keypoints: [[0, 0, 0], [0, 0, 0.1]]}, person: {size: [0.5, 0.3, 1.7]}}')
    return card


@pytest.mark.parametrize(('choice', 'smooth'), [('auto', [False, True]), ('true', [True] * 2), ('false', [False] * 2)])
def test_what_poses_are_made_of_is_smoothed_only_if_asked_for(
    make_bench: Any, cell: Path, choice: str, smooth: list[bool]
) -> None:
    with make_bench(model_card=str(cell), smooth_keypoints=choice) as bench:
        for frame in range(2):
            sent = points(100.0 + 2 * frame, 300.0 + 2 * frame)
            bench.put_points(frame, sent)
            bench.track(frame, [person(100.0, 'can'), person(300.0)])
        moved = (bench.points_of(1) != sent).any(axis=(1, 2))
        assert moved.tolist() == smooth


def test_rows_of_others_cost_them_and_not_the_detections(make_bench: Any) -> None:
    with make_bench(publish_tentative=False) as bench:
        bench.track(0, [person(100.0)])
        bench.put_points(1, points(100.0))
        bench.put_masks(1, instances(100.0, 300.0, 500.0))
        for rows in (bench.node._keypoint_rows, bench.node._mask_rows):
            bench.wait_kept(rows, 1)
        assert bench.track(1, [person(100.0), person(300.0)]) == ['1']
        bench.counted('keypoint_count')
        bench.counted('mask_count')


def test_while_nobody_looks_they_are_not_even_listened_to(make_bench: Any) -> None:
    with make_bench(deaf=('keypoints', 'instance_mask')) as bench:
        assert bench.track(0, [person(100.0)]) == ['1']
        assert bench.points.get_subscription_count() == bench.masks.get_subscription_count() == 0


def test_masks_tell_apart_what_boxes_cannot(make_bench: Any) -> None:
    """Two diagonal bars that cross: their boxes are the same. They change their rows."""
    image = np.zeros((480, 640), np.uint16)
    y, x = np.mgrid[:60, :60]
    image[170:230, 70:130][np.abs(x - y) < 6] = 1
    image[170:230, 70:130][np.abs(x + y - 60) < 6] = 2
    sent = [person(100.0), person(100.0)]
    with make_bench(association='masks', wait_s=10.0) as bench:
        for frame, mask, ids in ((0, image, ['1', '2']), (1, np.array([0, 2, 1], np.uint16)[image], ['2', '1'])):
            bench.put_masks(frame, mask)
            assert bench.track(frame, sent) == ids
            np.testing.assert_array_equal(bench.masks_of(frame), mask)


def test_without_masks_in_time_detections_are_tracked_by_their_boxes(make_bench: Any) -> None:
    with make_bench(association='masks', wait_s=0.0) as bench:
        assert bench.track(0, [person(100.0)]) == ['1']
        bench.counted('unpaired_masks')
        bench.put_masks(1, np.full((480, 640), 9))
        bench.probe.wait_until(lambda: bench.node._pairing._streams['masks'].stamps, 'the masks are there')
        assert bench.track(1, [person(100.0)]) == ['1']
        bench.counted('mask_count')


@pytest.fixture(scope='module')
def pose_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cup, can and box on white, eight keypoints each; nothing on black."""
    metadata = ultralytics_metadata(['cup', 'can', 'box'], imgsz=(64, 64), task='pose', kpt_shape=[8, 3])
    path = tmp_path_factory.mktemp('model') / 'pose.onnx'
    return write_model(path, 'yolov8_pose', input_wh=(64, 64), metadata=metadata)


def test_in_one_process_with_the_detector_each_frame_has_its_rows(
    make_graph: Callable[..., contextlib.AbstractContextManager[Any]], pose_model: Path
) -> None:
    """Nothing; three objects that are new, and left out; the same again, with their ids."""
    with make_graph() as graph:
        probe = graph.probe
        graph.load_all(pose_model, annotate=False)
        graph.load('TrackNode', 'track', publish_tentative=False, confirm_hits=2)
        tracked = probe.listen('track/detections', Detection2DArray)
        found = probe.listen('track/keypoints', TensorList, read=from_tensor_list)
        probe.wait_active('track')
        probe.wait_until(lambda: graph.node('track')._keypoints.wanted, 'the keypoints are heard')
        raw = probe.listen('keypoints', TensorList, read=from_tensor_list)
        probe.wait_matched()
        for shade, count in ((0, 0), (255, 0), (255, 3)):
            stamp = probe.send(image_message(np.full((128, 128, 3), shade, np.uint8))).header
            answers = [_of_stamp(probe, messages, stamp) for messages in (tracked, found, raw)]
            assert len(answers[0].detections) == count
            rows, every = (frame.tensors['keypoints'] for frame in answers[1:])
            assert every.shape == (3 if shade else 0, 8, 3)
            np.testing.assert_allclose(rows, every[:count], atol=1e-3)


def _of_stamp(probe: Any, messages: list[Any], wanted: Header) -> Any:
    probe.wait_until(lambda: any(one.header == wanted for one in list(messages)), 'the message of that stamp')
    return next(one for one in messages if one.header == wanted)
