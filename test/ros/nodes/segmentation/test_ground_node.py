# SPDX-License-Identifier: Apache-2.0
"""The ground node over DDS: clouds as nav2's obstacle and voxel layers read them, a grid as its static layer does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import OccupancyGrid
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from support.ros.probe import LATCHED, RELIABLE
from support.scenes.flat_ground import BOX, CAMERA, NAMES, ROAD, Box, flat_ground, mounted
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import LabelInfo

from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.class_mask import class_mask_frame, label_info
from isaac_inference.ros.messages.depth import DepthEncoding, depth_frame
from isaac_inference.ros.messages.image import to_image_message

_numbers = itertools.count(1)
MOUNTED = mounted()
CRATE = Box(near=2.0, far=2.6, left=0.4, right=-0.3, height=0.5)
SCENE = flat_ground(MOUNTED, CRATE)
CLASSES = {'ground_classes': ['road'], 'obstacle_classes': ['box']}
GRID = {'grid_resolution': 0.1, 'grid_size': [6.0, 4.0], 'grid_origin': [0.0, -2.0], 'max_range': 5.0, 'stride': 2}


class Bench:
    """A ground node in a graph of its own, its camera's messages, and what comes out."""

    def __init__(self, graph: Any, **parameters: Any) -> None:
        number = next(_numbers)  # /tf is everybody's
        self.graph, self.probe = graph, graph.probe
        self.frame, self.base = f'lens_{number}', f'base_{number}'
        patient = {'image_qos__reliability': 'reliable', 'transform_wait_s': 10.0, 'wait_s': 5.0}
        values = {**CLASSES, **GRID, 'base_frame': self.base, **patient, **parameters}
        self.node = graph.load('GroundNode', 'ground', **values)
        node = self.probe.node
        self._masks = node.create_publisher(Image, 'class_mask', RELIABLE)
        self._depths = None
        self._infos = node.create_publisher(CameraInfo, 'camera_info', RELIABLE)
        self._labels = node.create_publisher(LabelInfo, 'label_info', LATCHED)
        self._tf = node.create_publisher(TFMessage, '/tf_static', LATCHED)
        self.drivable = self.probe.listen('ground/drivable_points', PointCloud2)
        self.obstacles = self.probe.listen('ground/obstacle_points', PointCloud2)
        self.grids = self.probe.listen('ground/grid', OccupancyGrid, qos=LATCHED)

    def start(self, *, mount: bool = True, labels: bool = True, camera: bool = True) -> Bench:
        """Send what is sent once, and wait until it has arrived."""
        self.probe.wait_active('ground')
        if mount:
            self._tf.publish(TFMessage(transforms=[_transform(self.base, self.frame, MOUNTED)]))
        if labels:
            self._labels.publish(label_info(Time(), NAMES, 0.0))
            self.probe.wait_until(lambda: self.node._kinds, 'the labels have arrived')
        if camera:
            self.probe.send(camera_info(Header(frame_id=self.frame), CAMERA), self._infos)
            self.probe.wait_until(lambda: self.node._camera.camera, 'the camera info has arrived')
        return self

    def header(self) -> Header:
        return Header(stamp=Time(sec=1_700_000_000 + next(_numbers)), frame_id=self.frame)

    def send_mask(self, mask: np.ndarray = SCENE.mask, header: Header | None = None) -> Header:
        header = header or self.header()
        self.probe.send(to_image_message(class_mask_frame(mask, header)), self._masks)
        return header

    def publish_depth(self) -> Bench:
        """Be a depth camera from now on."""
        self._depths = self.probe.node.create_publisher(Image, 'depth/image', RELIABLE)
        self.probe.wait_until(self.node._uses_depth, 'the node knows of depth')
        return self

    def send_depth(self, header: Header, depth: np.ndarray = SCENE.depth) -> None:
        wh = (depth.shape[1], depth.shape[0])
        self.probe.send(to_image_message(depth_frame(depth, DepthEncoding.METRES, header, wh)), self._depths)

    def answers(self, header: Header) -> tuple[PointCloud2, PointCloud2, OccupancyGrid]:
        """What came of one mask."""

        def of(messages: list[Any]) -> list[Any]:
            return [message for message in list(messages) if message.header.stamp == header.stamp]

        lists = (self.drivable, self.obstacles, self.grids)
        self.probe.wait_until(lambda: all(of(messages) for messages in lists), 'clouds and grid of the mask')
        drivable, obstacles, grid = (of(messages)[0] for messages in lists)
        return drivable, obstacles, grid

    def dropped(self, reason: str) -> None:
        """A frame is dropped, counted and named."""
        self.probe.wait_until(lambda: self.probe.value('ground', f'dropped.{reason}') == '1', f'{reason} is counted')
        assert any(reason in status.message for status in self.probe.reports_of('ground'))
        assert not (self.drivable or self.obstacles or self.grids)


def _transform(parent: str, child: str, pose: Pose) -> TransformStamped:
    message = TransformStamped(header=Header(frame_id=parent), child_frame_id=child)
    shift, turn = message.transform.translation, message.transform.rotation
    shift.x, shift.y, shift.z = pose.translation.tolist()
    turn.x, turn.y, turn.z, turn.w = pose.quaternion()
    return message


def read_cloud(cloud: PointCloud2) -> np.ndarray:
    """The points of a cloud by its own fields, as any reader of PointCloud2 does it."""
    kinds = {7: '<f4', 6: '<u4'}
    dtype = np.dtype(
        {
            'names': [field.name for field in cloud.fields],
            'formats': [kinds[field.datatype] for field in cloud.fields],
            'offsets': [field.offset for field in cloud.fields],
            'itemsize': cloud.point_step,
        }
    )
    assert len(cloud.data) == cloud.row_step * cloud.height == cloud.point_step * cloud.width * cloud.height
    return np.frombuffer(bytes(cloud.data), dtype)


def in_base(cloud: PointCloud2) -> np.ndarray:
    rows = read_cloud(cloud)
    return MOUNTED.apply(np.stack((rows['x'], rows['y'], rows['z']), axis=1).astype(np.float64))


def cells(grid: OccupancyGrid) -> np.ndarray:
    return np.array(grid.data, np.int8).reshape(grid.info.height, grid.info.width)


@pytest.fixture
def bench(empty_graph: Any) -> Iterator[Bench]:
    yield Bench(empty_graph)


def test_a_flat_ground_without_depth(bench: Bench) -> None:
    bench.start()
    header = bench.send_mask()
    drivable, obstacles, grid = bench.answers(header)
    for cloud in (drivable, obstacles):
        assert cloud.header == header
        assert [field.name for field in cloud.fields] == ['x', 'y', 'z', 'class_id']
    np.testing.assert_allclose(in_base(drivable)[:, 2], 0.0, atol=2e-3)
    np.testing.assert_allclose(in_base(obstacles)[:, 0], 2.0, atol=0.08)
    assert set(read_cloud(drivable)['class_id']) == {ROAD}
    assert set(read_cloud(obstacles)['class_id']) == {BOX}
    assert (grid.header.frame_id, grid.header.stamp) == (bench.base, header.stamp)
    info = grid.info
    assert (info.width, info.height) == (60, 40)
    assert info.resolution == pytest.approx(0.1)
    assert (info.origin.position.x, info.origin.position.y, info.origin.orientation.w) == (0.0, -2.0, 1.0)
    values = cells(grid)
    assert set(np.unique(values)) == {-1, 0, 100}
    assert (values[15:25, 10:18] == 0).all()  # the road between the robot and the box
    assert (values[18:23, 19:21] == 100).any(axis=1).all()  # where the box stands
    assert (values[19:22, 32:45] == -1).all()  # behind it


def test_depth_is_taken_where_it_is_published(bench: Bench) -> None:
    bench.start().publish_depth()
    header = bench.header()
    bench.send_depth(header)
    bench.send_mask(header=header)
    drivable, obstacles, grid = bench.answers(header)
    base = in_base(obstacles)
    assert (np.abs(base[:, 2] - 0.5) < 5e-3).sum() > 20  # its top, which only depth can place
    assert (np.abs(base[:, 0] - 2.0) < 5e-3).sum() > 50
    np.testing.assert_allclose(in_base(drivable)[:, 2], 0.0, atol=2e-3)
    assert (cells(grid) == 100).sum() > 20


def test_nothing_in_view_clears(bench: Bench) -> None:
    bench.start()
    header = bench.send_mask(np.zeros_like(SCENE.mask))
    drivable, obstacles, grid = bench.answers(header)
    assert drivable.width == obstacles.width == 0
    assert (cells(grid) == -1).all()


def test_names_decide_and_may_change_while_it_runs(bench: Bench) -> None:
    bench.start()
    bench.answers(bench.send_mask())
    bench.node.set_parameters([Parameter('ground_classes', value=['road', 'grass'])])
    drivable, _, _ = bench.answers(bench.send_mask())
    assert set(read_cloud(drivable)['class_id']) == {1, 2}
    refused = bench.node.set_parameters([Parameter('obstacle_classes', value=['grass'])])[0]
    assert not refused.successful and 'grass in both' in refused.reason


def test_a_class_that_the_mask_does_not_have_is_an_error_with_those_that_it_has(empty_graph: Any) -> None:
    bench = Bench(empty_graph, obstacle_classes=['bux']).start()
    status = bench.probe.wait_report('ground')
    assert 'bux: no class of the mask; label_info has sky, road, grass, box' in status.message


@pytest.mark.parametrize(
    ('missing', 'reason'), [('labels', 'no_label_info'), ('camera', 'no_camera_info'), ('mount', 'tf_unknown_frame')]
)
def test_what_has_not_arrived_is_named(empty_graph: Any, missing: str, reason: str) -> None:
    bench = Bench(empty_graph, transform_wait_s=0.0).start(**{missing: False})
    bench.send_mask()
    bench.dropped(reason)


def test_a_mask_of_another_size_than_the_camera_s(bench: Bench) -> None:
    bench.start()
    bench.send_mask(SCENE.mask[:60])
    bench.dropped('camera_info_size')


def test_a_picture_in_the_place_of_the_mask(bench: Bench) -> None:
    bench.start()
    message = to_image_message(class_mask_frame(SCENE.mask, bench.header()))
    message.encoding = 'bgr8'
    bench.probe.send(message, bench._masks)
    bench.dropped('mask_encoding')


def test_depth_in_another_frame_and_depth_that_does_not_come(empty_graph: Any) -> None:
    bench = Bench(empty_graph, wait_s=1.0).start().publish_depth()
    header = bench.header()
    bench.send_depth(Header(stamp=header.stamp, frame_id='depth_lens'))
    bench.send_mask(header=header)
    bench.dropped('depth_unregistered')
    bench.send_mask()
    bench.dropped('depth_missing')


def test_no_classes_is_a_refusal(empty_graph: Any) -> None:
    empty_graph.load('GroundNode', 'ground')
    empty_graph.probe.wait_until(lambda: 'ground_classes' in empty_graph.probe.status('ground').message)
    assert 'ground_classes: [road, sidewalk]' in empty_graph.probe.status('ground').message
    assert empty_graph.probe.value('ground', 'state') == 'unconfigured'


def test_parameters_may_be_set_one_by_one_before_it_is_configured(empty_graph: Any) -> None:
    node = empty_graph.load('GroundNode', 'ground', autostart=False)
    for name, value in (('max_range', 3.0), ('ground_classes', ['road'])):
        assert node.set_parameters([Parameter(name, value=value)])[0].successful
    node.trigger_configure()
    assert node.state == 'inactive'
    assert node._finder.settings.max_range == 3.0
