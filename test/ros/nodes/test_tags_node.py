# SPDX-License-Identifier: Apache-2.0
"""TagsNode over real DDS, and the poses that PoseNode and TrackNode make of what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from isaac_ros_tensor_list_interfaces.msg import TensorList
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from support.ros.node_graph import PATIENT, RELIABLE_IMAGES
from support.ros.pose_bench import pose_of
from support.ros.probe import LATCHED, RELIABLE
from support.scenes.tag_boards import PrintedTag, draw, facing, grid
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo

from isaac_inference.models import read_objects
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, launch_plan
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.image import image_frame_from_array, to_image_message
from isaac_inference.ros.messages.tensors import SOURCE_SIZE, from_tensor_list

CAMERA = CameraModel(1280, 960, np.array([[1100.0, 0.0, 639.5], [0.0, 1100.0, 479.5], [0.0, 0.0, 1.0]]))
CARD = """
name: cell
objects:
  board: {tag_grid: {family: 36h11, columns: 6, rows: 6, size: 0.03, gap: 0.009, print: opencv}}
  tool:
    size: [0.1, 0.06, 0.04]
    tags: [{family: 36h11, id: 100, size: 0.04, position: [0, 0, 0.02], print: opencv}]
"""
BOARD = grid(6, 6, 0.03, 0.009)
TOOL = [PrintedTag('DICT_APRILTAG_36h11', 100, 0.04, Pose(np.eye(3), np.array((0.0, 0.0, 0.02))))]


class Cell:
    """A tags node and a pose and a track node behind it, and a probe that plays their camera."""

    def __init__(self, graph: Any, card: Path) -> None:
        self.graph, self.probe, self.card = graph, graph.probe, card
        self.tags = graph.load('TagsNode', 'tags', model_card=str(card))
        self.poses = graph.load('PoseNode', 'pose', model_card=str(card), wait_s=10.0, publish_tf=False)
        self.found = self.probe.listen('detections', Detection2DArray)
        self.keypoints = self.probe.listen('keypoints', TensorList, read=from_tensor_list)
        self.objects = self.probe.listen('pose/detections_3d', Detection3DArray)
        self.info = self.probe.node.create_publisher(CameraInfo, 'camera_info', RELIABLE)
        self.probe.wait_active('tags', 'pose')
        self.probe.send(camera_info(Header(frame_id='lens'), CAMERA), self.info)
        self.probe.wait_until(lambda: self.poses._camera.camera is not None, 'the camera is known')
        self._stamp = 0

    def ask(self, picture: np.ndarray) -> tuple[Detection2DArray, Any, Detection3DArray]:
        """Detections, keypoints and objects of a picture."""
        self._stamp += 1
        header = Header(frame_id='lens')
        header.stamp.sec = 1_800_000_000 + self._stamp
        color = np.repeat(picture[..., None], 3, axis=2)
        self.probe.send(to_image_message(image_frame_from_array(color, 'bgr8', header)))

        def of(items: list[Any]) -> list[Any]:
            return [item for item in list(items) if item.header.stamp == header.stamp]

        self.probe.wait_until(lambda: of(self.objects), 'the objects of the picture')
        self.probe.wait_until(lambda: of(self.found) and of(self.keypoints), 'what they were made of')
        return of(self.found)[0], of(self.keypoints)[0], of(self.objects)[0]


@pytest.fixture(scope='module')
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('card') / 'cell.yaml'
    path.write_text(CARD)
    return path


@pytest.fixture(scope='module')
def cell(make_graph: Callable[..., AbstractContextManager[Any]], card: Path) -> Iterator[Cell]:
    with make_graph() as graph:
        yield Cell(graph, card)


def direct_pose(cell: Cell, keypoints: np.ndarray) -> Pose:
    """OpenCV's, on all corners of the board that are seen."""
    card = read_objects('', cell.card)
    assert card is not None
    points, used = np.array(card.objects['board'].keypoints), keypoints[:, 2] > 0
    pixels = keypoints[used, :2].astype(np.float64) - 0.5
    _, turn, position = cv2.solvePnP(points[used], pixels, CAMERA.K, None)
    return Pose(cv2.Rodrigues(turn)[0], position.ravel())


def test_a_board_of_36_tags_has_the_pose_of_a_direct_pnp(cell: Cell) -> None:
    rng = np.random.default_rng(5000)
    for seed in range(5000, 5005):
        truth = facing((*rng.uniform(-0.06, 0.06, 2), rng.uniform(0.4, 0.8)), rng.normal(0.0, 0.3, 3))
        found, keypoints, objects = cell.ask(draw(BOARD, truth, CAMERA, blur_px=rng.uniform(0.3, 0.9), seed=seed))
        (seen,), (item,) = found.detections, objects.detections
        assert seen.results[0].hypothesis.class_id == item.results[0].hypothesis.class_id == 'board'
        rows = keypoints.tensors['keypoints']
        assert rows.shape == (1, 144, 3)
        assert keypoints.auxiliary[SOURCE_SIZE].tolist() == [1280, 960]
        pose, direct = pose_of(item), direct_pose(cell, rows[0])
        assert np.linalg.norm(pose.translation - direct.translation) < 0.0005
        assert np.linalg.norm(pose.translation - truth.translation) < 0.001
        assert np.degrees(rotation_angle(pose.rotation @ truth.rotation.T)) < 0.2


def test_a_board_that_is_half_outside_keeps_its_pose(cell: Cell) -> None:
    truth = facing((0.3, 0.05, 0.6), (0.1, -0.2, 0.0))
    found, keypoints, objects = cell.ask(draw(BOARD, truth, CAMERA, seed=5100))
    confidence = keypoints.tensors['keypoints'][0, :, 2]
    assert 0 < np.count_nonzero(confidence) < 144
    assert found.detections[0].bbox.center.position.x + found.detections[0].bbox.size_x / 2 <= CAMERA.width
    assert np.linalg.norm(pose_of(objects.detections[0]).translation - truth.translation) < 0.002


def test_an_object_with_one_tag_is_found_beside_the_board(cell: Cell) -> None:
    board, tool = facing((-0.12, 0.0, 0.6)), facing((0.2, 0.1, 0.5), (0.3, 0.2, 0.1))
    picture = draw(BOARD, board, CAMERA, seed=5200)
    picture = draw(TOOL, tool, CAMERA, seed=5201, noise=0.0, background=picture)
    found, _, objects = cell.ask(picture)
    assert [item.results[0].hypothesis.class_id for item in found.detections] == ['board', 'tool']
    board_item, tool_item = objects.detections
    assert np.linalg.norm(pose_of(board_item).translation - board.translation) < 0.001
    assert np.linalg.norm(pose_of(tool_item).translation - tool.translation) < 0.003
    size = tool_item.bbox.size
    assert (size.x, size.y, size.z) == (0.1, 0.06, 0.04)


def test_nothing_seen_is_an_empty_array_with_its_keypoints(cell: Cell) -> None:
    found, keypoints, objects = cell.ask(np.full((960, 1280), 120, np.uint8))
    assert not found.detections and not objects.detections
    assert keypoints.tensors['keypoints'].shape == (0, 144, 3)


def test_what_is_of_no_use_is_counted(cell: Cell) -> None:
    left, right = facing((-0.15, 0.0, 0.6)), facing((0.15, 0.0, 0.6))
    picture = draw(BOARD, left, CAMERA, seed=5300)
    found, _, _ = cell.ask(draw(BOARD, right, CAMERA, seed=5301, noise=0.0, background=picture))
    assert not found.detections
    cell.probe.wait_until(lambda: int(cell.probe.value('tags', 'skipped.tag_twice') or 0) >= 60, 'they are counted')
    cell.ask(draw(grid(1, 1, 0.05, 0.0, first=300), facing((0.0, 0.0, 0.4)), CAMERA))
    cell.probe.wait_until(lambda: cell.probe.value('tags', 'unknown_tags') == '36h11 300', 'a stranger is shown')


def test_the_classes_are_told(cell: Cell) -> None:
    labels = cell.probe.listen('label_info', LabelInfo, LATCHED)
    cell.probe.wait_until(lambda: labels, 'label_info')
    assert [item.class_name for item in labels[0].class_map] == ['board', 'tool']


def test_a_pose_node_with_another_card_says_so(cell: Cell, tmp_path: Path) -> None:
    other = tmp_path / 'other.yaml'
    other.write_text(CARD.replace('size: 0.03', 'size: 0.04'))
    cell.graph.load('PoseNode', 'other', model_card=str(other), publish_tf=False)
    cell.probe.wait_active('other')
    cell.ask(draw(TOOL, facing((0.0, 0.0, 0.5)), CAMERA))
    cell.probe.wait_until(
        lambda: int(cell.probe.value('other', 'dropped.other_model') or 0) >= 1, 'another card is named'
    )


@pytest.mark.parametrize(
    'content, said',
    [
        (None, 'parameter model_card: got nothing'),
        ('objects: {cup: {size: [0.1, 0.1, 0.1]}}', 'got no object with tags'),
        ('objects: {cup: {tags: [{family: 35h9, id: x}]}}', 'family: got'),
    ],
)
def test_configure_says_what_is_wrong(empty_graph: Any, tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / 'cell.yaml'
    if content is not None:
        path.write_text(content)
    empty_graph.load('TagsNode', 'tags', model_card='' if content is None else str(path))
    probe = empty_graph.probe
    probe.wait_until(lambda: 'configure failed' in probe.status('tags').message, 'configure fails')
    assert said in probe.status('tags').message


def test_the_graph_as_it_is_launched_tracks_a_board(empty_graph: Any, card: Path) -> None:
    """Tags to track to pose and back to track, by the launch plan's own nodes, parameters and remappings."""
    probe = empty_graph.probe
    plan = launch_plan({**{item.name: item.default for item in ARGUMENTS}, 'tags': str(card), 'annotate': 'false'})
    for spec in plan.nodes:
        values = {**PATIENT, **(RELIABLE_IMAGES if spec.name != 'track' else {}), **spec.parameters}
        empty_graph.container.load(
            'isaac_inference',
            spec.plugin,
            node_name=spec.name,
            namespace=empty_graph.namespace,
            remappings=[f'{name}:={topic}' for name, topic in spec.remappings.items()],
            parameters=[Parameter(name, value=value) for name, value in values.items()],
        )
    smooth = probe.listen('track/detections_3d', Detection3DArray)
    info = probe.node.create_publisher(CameraInfo, 'camera_info', RELIABLE)
    probe.wait_active('tags', 'track', 'pose')
    probe.send(camera_info(Header(frame_id='lens'), CAMERA), info)
    truth = facing((0.02, 0.01, 0.5), (0.1, 0.2, 0.0))
    picture = np.repeat(draw(BOARD, truth, CAMERA, seed=5400)[..., None], 3, axis=2)
    pose_node = empty_graph.node('pose')
    probe.wait_until(lambda: pose_node._camera.camera is not None, 'the camera is known')
    for frame in range(6):
        header = Header(frame_id='lens')
        header.stamp.sec, header.stamp.nanosec = 1_800_000_000, frame * 50_000_000
        probe.send(to_image_message(image_frame_from_array(picture, 'bgr8', header)))
        probe.wait_until(lambda wanted=frame: len(smooth) > wanted, f'frame {frame} comes out')
    (item,) = smooth[-1].detections
    assert item.results[0].hypothesis.class_id == 'board'
    assert item.id == '1'
    assert np.linalg.norm(pose_of(item).translation - truth.translation) < 0.001
