# SPDX-License-Identifier: Apache-2.0
"""AnnotateNode over DDS: what is drawn, what is waited for, and that nothing is done while nobody looks."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header
from support.ros.probe import RELIABLE, image_message
from vision_msgs.msg import Detection2D, Detection2DArray, Detection3DArray, ObjectHypothesisWithPose

from isaac_inference.ops.drawing.boxes import class_color
from isaac_inference.ops.drawing.skeletons import side_color
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ros.messages.camera_info import calibration, camera_info
from isaac_inference.ros.messages.poses import detection_3d
from isaac_inference.ros.messages.tensors import TensorFrame, to_tensor_list
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.transforms import TransformError
from isaac_inference.ros.runtime.transforms.broadcaster import TransformBroadcaster
from isaac_inference.sim import default_camera

MakeGraph = Callable[..., AbstractContextManager[Any]]
CAMERA = default_camera(320, 240)
BLACK = np.zeros((240, 320, 3), np.uint8)
POSE = Pose(so3_exp(np.array([0.3, 0.5, 0.1])), np.array([0.05, 0.02, 0.8]))
SIZE = (0.2, 0.15, 0.1)
BOX = (20.0, 150.0, 80.0, 210.0)  # away from the cuboid
_numbers = itertools.count(1)


def box_message(xyxy: Sequence[float] = BOX, name: str = 'cup', identity: str = '') -> Detection2D:
    x0, y0, x1, y1 = xyxy
    message, result = Detection2D(id=identity), ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = name, 0.9
    message.results = [result]
    message.bbox.center.position.x, message.bbox.center.position.y = (x0 + x1) / 2, (y0 + y1) / 2
    message.bbox.size_x, message.bbox.size_y = float(x1 - x0), float(y1 - y0)  # of an int rclpy sends garbage
    return message


class Easel:
    """An annotate node, everything that feeds it, and its pictures. For its pairing time stands still."""

    def __init__(self, graph: Any, **parameters: Any) -> None:
        name = f'annotate_{next(_numbers)}'
        self.graph, self.name, self.probe = graph, name, graph.probe
        self.node = graph.load('AnnotateNode', name, draw_rate=False, **parameters)
        self.probe.wait_active(name)
        self._now_s = 0.0
        self.node._pairing._now = lambda: self._now_s
        create = self.probe.node.create_publisher
        self.boxes = create(Detection2DArray, 'detections', RELIABLE)
        self.objects = create(Detection3DArray, 'detections_3d', RELIABLE)
        self.infos = create(CameraInfo, 'camera_info', RELIABLE)
        self.pictures: list[Image] = []

    def look(self) -> None:
        """Subscribe to the pictures, and wait until the node takes images."""
        self.pictures = self.probe.listen(f'{self.name}/debug_image', Image)
        self.probe.wait_until(lambda: self.node._pictures.wanted)
        self.probe.wait_matched()

    def ask(
        self,
        boxes: Sequence[Detection2D] = (),
        poses: Sequence[Pose] | None = None,
        frame_id: str = 'lens',
        before: Callable[[Header], None] = lambda header: None,
        info: bool = True,
    ) -> np.ndarray:
        """Publish a frame; its picture, (H, W, 3) BGR. `before` is called with its header first."""
        image = image_message(BLACK)
        header = image.header
        before(header)
        if info and self.node.parameters.draw_poses:
            self.probe.send(camera_info(header, CAMERA), self.infos)
            self.probe.wait_until(lambda: self.node._feed.camera is not None, 'the camera is known')
        self.probe.send(image)
        if poses is not None:
            there = Header(stamp=header.stamp, frame_id=frame_id)
            items = [detection_3d(there, 'can', 0.9, pose, SIZE, identity='7') for pose in poses]
            self.probe.send(Detection3DArray(header=there, detections=items), self.objects)
        # detections of an image that is still on its way would find none
        images = self.node._pairing._streams['image'].stamps
        self.probe.wait_until(lambda: stamp_ns(header) in list(images), 'the node has the image')
        self.probe.send(Detection2DArray(header=header, detections=list(boxes)), self.boxes)
        if poses is None and self.node.parameters.draw_poses:
            self.probe.wait_until(lambda: self.node._pairing._pending, 'the picture waits for its poses')
            self._now_s += self.node.parameters.wait_s + 0.001
        self.probe.wait_until(lambda: any(one.header == header for one in list(self.pictures)), 'the picture')
        picture = next(one for one in self.pictures if one.header == header)
        assert picture.encoding == 'bgr8'
        return np.frombuffer(bytes(picture.data), np.uint8).reshape(picture.height, picture.width, 3)

    def skipped(self, reason: str) -> None:
        """Wait until the diagnostics count a picture without its poses under this reason."""
        self.probe.wait_until(
            lambda: int(self.probe.value(self.name, f'skipped.{reason}') or 0) > 0, f'skipped.{reason}'
        )


@pytest.fixture(scope='module')
def around(make_graph: MakeGraph) -> Iterator[Any]:
    with make_graph() as graph:
        yield graph


@pytest.fixture
def easel(empty_graph: Any) -> Easel:
    """Boxes only."""
    return Easel(empty_graph)


@pytest.fixture(scope='module')
def posed(around: Any) -> Easel:
    """With poses."""
    made = Easel(around, draw_poses=True, wait_s=0.3)
    made.look()
    return made


def pixel(picture: np.ndarray, point: Sequence[float]) -> np.ndarray:
    return picture[round(point[1]), round(point[0])].astype(int)


def is_cup_colored(found: np.ndarray) -> bool:
    return bool(np.abs(found - class_color('cup')).max() < 40)  # lines are drawn smoothly


def projected(*points: Sequence[float]) -> np.ndarray:
    """Where points of the object at POSE are in the picture."""
    return CAMERA.project(POSE.apply(np.array(points, float)))


def topics(easel: Easel) -> set[str]:
    return {subscription.topic_name for subscription in easel.node.subscriptions}


def test_boxes_names_and_trails_are_drawn_while_somebody_looks(easel):
    easel.probe.wait_matched()
    assert easel.probe.images.get_subscription_count() == 0  # nobody looks: no image is taken
    easel.look()
    picture = easel.ask([box_message()])
    assert is_cup_colored(pixel(picture, (50, BOX[3]))) and is_cup_colored(pixel(picture, (BOX[2], 180)))
    assert not picture[:, 160:].any()

    assert not pixel(picture, (50, 180)).any()
    for x in (30, 50, 70):
        picture = easel.ask([box_message((x - 10, 170, x + 10, 190), identity='3')])
    assert pixel(picture, (40, 180)).any() and pixel(picture, (55, 180)).any()  # where it has been
    picture = easel.ask([box_message((60, 170, 80, 190), identity='4')])
    assert not pixel(picture, (40, 180)).any()


def test_without_draw_poses_neither_poses_nor_tf_are_listened_to(easel):
    easel.look()
    easel.ask([box_message()], [POSE], 'elsewhere')
    assert easel.objects.get_subscription_count() == easel.infos.get_subscription_count() == 0
    assert '/tf' not in topics(easel)


def test_axes_and_cuboid_are_drawn_where_the_pose_is(posed):
    picture = posed.ask([box_message()], [POSE])
    length = 0.6 * max(SIZE)
    for axis, channel in enumerate((2, 1, 0)):  # red, green, blue
        [point] = projected(np.eye(3)[axis] * length / 2)
        assert pixel(picture, point).argmax() == channel
    [edge] = projected((0, SIZE[1] / 2, SIZE[2] / 2))
    assert picture[round(edge[1]) - 1 : round(edge[1]) + 2, round(edge[0]) - 1 : round(edge[0]) + 2].any()
    assert is_cup_colored(pixel(picture, (50, BOX[3])))
    assert '/tf' not in topics(posed)


def test_poses_are_drawn_through_p_where_the_image_is_rectified(empty_graph):
    """Here that of a stereo pair's second camera, whose poses are in the first one's frame."""
    easel = Easel(empty_graph, draw_poses=True, image_rectified='true')
    easel.look()
    baseline_m = 0.1

    def tell(header: Header) -> None:
        message = camera_info(header, CAMERA)
        message.k, message.d = (CAMERA.K * [[0.5], [0.5], [1.0]]).ravel().tolist(), [-0.3, 0.1, 0.0, 0.0, 0.0]
        message.p[3] = -CAMERA.K[0, 0] * baseline_m
        easel.probe.send(message, easel.infos)
        easel.probe.wait_until(lambda: easel.node._feed.camera is not None, 'the camera is known')

    in_first = Pose(POSE.rotation, POSE.translation + (baseline_m, 0.0, 0.0))
    picture = easel.ask([box_message()], [in_first], before=tell, info=False)
    for axis, channel in enumerate((2, 1, 0)):
        [point] = projected(np.eye(3)[axis] * 0.6 * max(SIZE) / 2)
        assert pixel(picture, point).argmax() == channel


def test_poses_in_another_frame_come_back_by_tf_at_the_image_s_stamp(posed):
    here = posed.ask([box_message()], [POSE])
    T_base_camera = Pose(so3_exp(np.array([1.2, -0.4, 2.0])), np.array([0.3, -0.2, 0.9]))
    broadcaster = TransformBroadcaster(posed.probe.node)
    posed.ask([box_message()], [POSE], 'base')  # from now on the node listens to /tf
    writer, source = broadcaster._dynamic_writer, posed.node._transforms
    posed.probe.wait_until(lambda: writer.get_subscription_count() > 0, 'the node hears /tf')

    def send(header: Header, T: Pose = T_base_camera, ns: int = 0) -> None:
        sent_ns = stamp_ns(header) + ns
        broadcaster.send([('base', 'lens', sent_ns, T.translation.tolist(), T.quaternion().tolist())])
        posed.probe.wait_until(lambda: is_known(sent_ns), 'the node knows the transform')

    def is_known(at_ns: int) -> bool:
        with contextlib.suppress(TransformError):
            source.lookup('base', 'lens', at_ns)
            return True
        return False

    def around(header: Header) -> None:
        """The camera moves: only the middle between two samples is right."""
        half = np.array([0.1, 0.0, 0.0])
        send(header, Pose(T_base_camera.rotation, T_base_camera.translation - half), -1_000_000)
        send(header, Pose(T_base_camera.rotation, T_base_camera.translation + half), 1_000_000)

    there = T_base_camera @ POSE
    drawn = lambda picture: np.abs(picture.astype(int) - here).mean() < 0.1  # noqa: E731
    assert drawn(posed.ask([box_message()], [there], 'base', send))
    assert drawn(posed.ask([box_message()], [there], 'base', around))
    assert not drawn(posed.ask([box_message()], [], 'base'))
    broadcaster.close()


def test_without_a_transform_the_picture_comes_without_poses_and_says_so(posed):
    picture = posed.ask([box_message()], [POSE], 'nowhere')
    assert np.array_equal(picture, posed.ask([box_message()], []))
    posed.skipped('tf_unknown_frame')


def test_a_broken_pose_costs_the_poses_not_the_picture(posed):
    broken = Pose(np.eye(3), np.array([np.nan, 0.0, 1.0]))
    assert np.array_equal(posed.ask([box_message()], [broken]), posed.ask([box_message()], []))
    posed.skipped('bad_pose')


def test_a_picture_waits_for_its_poses_and_then_goes_without(posed):
    assert np.array_equal(posed.ask([box_message()], None), posed.ask([box_message()], []))


def test_keypoints_are_drawn_on_the_picture_of_their_detections(empty_graph):
    easel = Easel(empty_graph, draw_keypoints=True)
    publisher = easel.probe.node.create_publisher(TensorList, 'keypoints', RELIABLE)
    easel.look()

    def keypoints(*rows: Sequence[Sequence[float]]) -> Callable[[Header], None]:
        def send(header: Header) -> None:
            frame = TensorFrame(header, {'keypoints': np.array(rows, np.float32).reshape(len(rows), -1, 3)})
            easel.probe.send(to_tensor_list(frame), publisher)
            held = easel.node._pairing._streams['keypoints'].stamps
            easel.probe.wait_until(lambda: stamp_ns(header) in list(held), 'the node has the keypoints')

        return send

    one = [(50.5, 180.5, 0.9), (250.5, 100.5, 0.3), (200.5, 50.5, 0.1), (-5.0, 1e9, 0.9), (np.nan, 10.0, 0.9)]
    picture = easel.ask([box_message()], before=keypoints(one))
    assert is_cup_colored(pixel(picture, (50, 180))) and is_cup_colored(pixel(picture, (250, 100)))
    assert not pixel(picture, (200, 50)).any(), 'too unsure'
    plain = easel.ask([box_message()], before=keypoints(one, one))  # not one row for each detection
    assert not pixel(plain, (50, 180)).any() and is_cup_colored(pixel(plain, (50, BOX[3])))
    easel.skipped('keypoint_count')


def test_skeletons_are_drawn_with_their_sides_apart(empty_graph, tmp_path):
    card = tmp_path / 'people.yaml'
    card.write_text('keypoints: {skeleton: coco17}\n')
    easel = Easel(empty_graph, draw_skeletons=True, model_card=str(card))
    publisher = easel.probe.node.create_publisher(TensorList, 'keypoints', RELIABLE)
    easel.look()

    def keypoints(rows: np.ndarray) -> Callable[[Header], None]:
        def send(header: Header) -> None:
            easel.probe.send(to_tensor_list(TensorFrame(header, {'keypoints': rows})), publisher)
            held = easel.node._pairing._streams['keypoints'].stamps
            easel.probe.wait_until(lambda: stamp_ns(header) in list(held), 'the node has the keypoints')

        return send

    rows = np.zeros((1, 17, 3), np.float32)
    rows[0, [5, 7]] = (200.5, 40.5, 0.9), (200.5, 120.5, 0.9)  # the left shoulder and elbow
    rows[0, [6, 8]] = (120.5, 40.5, 0.9), (120.5, 120.5, 0.9)
    picture = easel.ask([box_message()], before=keypoints(rows))
    for place, side in (((200, 80), 1), ((120, 80), -1), ((160, 40), 0)):
        assert np.abs(pixel(picture, place) - side_color(side)).max() < 40  # lines are drawn smoothly
    plain = easel.ask([box_message()], before=keypoints(rows[:, :13]))
    assert not pixel(plain, (200, 80)).any()
    easel.skipped('keypoint_count')


def test_skeletons_without_a_card_are_refused(empty_graph):
    node = empty_graph.load('AnnotateNode', 'without_card', draw_skeletons=True)
    empty_graph.probe.wait_until(lambda: 'model_card' in empty_graph.probe.status('without_card').message, 'it says so')
    assert node.state == 'unconfigured'


def test_without_camera_info_the_poses_are_left_out(empty_graph):
    easel = Easel(empty_graph, draw_poses=True)
    easel.look()
    picture = easel.ask([box_message()], [POSE], info=False)
    assert not picture[:, 160:].any() and picture.any()
    easel.skipped('no_camera_info')


def told(easel: Easel, camera: CameraModel, **fields: Any) -> Callable[[Header], None]:
    """What tells an easel of another camera than its own, before a frame."""

    def tell(header: Header) -> None:
        message = camera_info(header, camera)
        for name, value in fields.items():
            setattr(message, name, value)
        easel.probe.send(message, easel.infos)
        easel.probe.wait_until(lambda: easel.node._feed.calibration == calibration(message), 'the camera is known')

    return tell


def test_on_an_image_of_the_whole_poses_are_drawn_as_such_whatever_roi_says(empty_graph):
    easel = Easel(empty_graph, draw_poses=True)
    easel.look()
    part = RegionOfInterest(x_offset=40, y_offset=30, width=240, height=180)
    picture = easel.ask([box_message()], [POSE], before=told(easel, CAMERA, roi=part), info=False)
    for axis, channel in enumerate((2, 1, 0)):
        [point] = projected(np.eye(3)[axis] * 0.6 * max(SIZE) / 2)
        assert pixel(picture, point).argmax() == channel


def test_on_an_image_of_another_size_no_poses_are_drawn(empty_graph):
    easel = Easel(empty_graph, draw_poses=True)
    easel.look()
    other = default_camera(400, 200)
    picture = easel.ask([box_message()], [POSE], before=told(easel, other), info=False)
    assert not picture[:, 160:].any() and picture.any()
    easel.skipped('camera_info_size')
