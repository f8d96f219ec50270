# SPDX-License-Identifier: Apache-2.0
"""StereoNode over real DDS: depth as a sensor publishes it, and poses made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from support.ros.pose_bench import pose_of
from support.ros.probe import RELIABLE
from support.ros.stereo_bench import StereoBench, pair_infos, with_projection
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.evaluation.depth.errors import depth_errors
from isaac_inference.models.demo import demo_model
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.detections import detection_array
from isaac_inference.ros.messages.image import color_image, from_image_message
from isaac_inference.sim import LABELS, Scene, default_camera
from isaac_inference.sim.stereo import BASELINE, StereoSample, stereo_sample

SEED = 7600


@pytest.fixture(scope='module')
def sample() -> StereoSample:
    return stereo_sample(SEED)


@pytest.fixture(scope='module')
def bench(make_graph: Callable[..., AbstractContextManager[Any]], sample: StereoSample) -> Iterator[StereoBench]:
    with make_graph() as graph:
        bench = StereoBench(graph)
        bench.put_infos(*pair_infos(sample))
        yield bench


def test_depth_is_that_of_the_scene(bench: StereoBench, sample: StereoSample) -> None:
    depth = bench.ask(sample.left, sample.right)
    errors = depth_errors(depth, sample.depth, sample.visible)
    assert errors.median_rel < 0.015 and errors.completeness > 0.5


def test_its_calibration_comes_with_every_frame(bench: StereoBench, sample: StereoSample) -> None:
    header = bench.send(sample.left, sample.right)
    message, info = bench.of(bench.depths, header), bench.of(bench.infos, header)
    assert (message.encoding, message.header.frame_id) == ('32FC1', 'lens')
    assert (info.width, info.height, list(info.k)) == (640, 480, sample.left_camera.K.ravel().tolist())
    assert info.p[3] == 0.0


def test_the_disparity_image_gives_the_same_depth(bench: StereoBench, sample: StereoSample) -> None:
    header = bench.send(sample.left, sample.right)
    depth, found = bench.of(bench.depths, header), bench.of(bench.disparities, header)
    disparity = np.frombuffer(found.image.data, np.float32).reshape(480, 640)
    z = np.frombuffer(depth.data, np.float32).reshape(480, 640)
    valid = disparity >= found.min_disparity  # the message's definition
    np.testing.assert_array_equal(valid & (disparity > 0), np.isfinite(z))
    np.testing.assert_allclose(found.f * found.t / disparity[np.isfinite(z)], z[np.isfinite(z)], rtol=1e-5)
    assert found.t == pytest.approx(BASELINE) and found.max_disparity == 128.0
    assert found.delta_d == pytest.approx(1 / 16)


def test_cloud_and_confidence_come_while_somebody_looks(bench: StereoBench, sample: StereoSample) -> None:
    clouds = bench.probe.listen('depth/points', PointCloud2)
    confidences = bench.probe.listen('depth/confidence', Image)
    header = bench.send(sample.left, sample.right)
    depth = np.frombuffer(bench.of(bench.depths, header).data, np.float32).reshape(480, 640)
    confidence = np.frombuffer(bench.of(confidences, header).data, np.uint8).reshape(480, 640)
    np.testing.assert_array_equal(confidence > 0, np.isfinite(depth))
    cloud = bench.of(clouds, header)
    rows = np.frombuffer(cloud.data, [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('rgb', '<u4')])
    assert len(rows) == cloud.width == np.isfinite(depth).sum()
    pixels = sample.left_camera.project(np.column_stack([rows['x'], rows['y'], rows['z']]))
    column, row = np.rint(pixels).astype(int)[1000]
    assert depth[row, column] == rows['z'][1000]
    blue, green, red = (int(value) for value in sample.left[row, column])
    assert rows['rgb'][1000] == red << 16 | green << 8 | blue
    for topic in ('depth/points', 'depth/confidence'):
        bench.probe.ignore(topic)


def test_there_is_a_picture_for_people(bench: StereoBench, sample: StereoSample) -> None:
    pictures = bench.probe.listen('depth/picture', Image)
    header = bench.send(sample.left, sample.right)
    picture = bench.of(pictures, header)
    depth = np.frombuffer(bench.of(bench.depths, header).data, np.float32).reshape(480, 640)
    colors = np.frombuffer(picture.data, np.uint8).reshape(480, 640, 3)
    assert picture.encoding == 'bgr8' and (colors[:, :500][np.isnan(depth[:, :500])] == 40).all()
    bench.probe.ignore('depth/picture')


def test_grey_images_give_the_same_as_colour(bench: StereoBench, sample: StereoSample) -> None:
    grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (sample.left, sample.right)]
    np.testing.assert_array_equal(bench.ask(*grey), bench.ask(sample.left, sample.right))


def test_poses_are_made_of_its_depth_like_of_a_sensor_s(
    make_graph: Callable[..., AbstractContextManager[Any]], sample: StereoSample
) -> None:
    frame = Scene(default_camera(), SEED).frame(0.0)
    truths = [truth for truth in frame.truths if truth.visibility > 0.9]
    assert len(truths) >= 3
    with make_graph() as graph:
        bench, probe = StereoBench(graph), graph.probe
        graph.load('PoseNode', 'pose', model=str(demo_model()), method='depth', publish_tf=False, wait_s=10.0)
        objects = probe.listen('pose/detections_3d', Detection3DArray)
        boxes = probe.node.create_publisher(Detection2DArray, 'detections', RELIABLE)
        infos = probe.node.create_publisher(CameraInfo, 'camera_info', RELIABLE)
        probe.wait_active('pose')
        bench.put_infos(*pair_infos(sample))
        probe.send(camera_info(Header(frame_id='lens'), sample.left_camera), infos)
        header = bench.send(sample.left, sample.right)
        found = Detections(
            np.array([truth.box for truth in truths], np.float32),
            np.full(len(truths), 0.9, np.float32),
            np.array([LABELS.index(truth.kind.name) for truth in truths], np.int32),
        )
        probe.send(detection_array(header, found, LABELS), boxes)
        poses = bench.of(objects, header)
        by_name = {item.results[0].hypothesis.class_id: pose_of(item) for item in poses.detections}
        off = [
            float(np.linalg.norm(by_name[truth.kind.name].translation - truth.pose.translation))
            for truth in truths
            if truth.kind.name in by_name
        ]
        assert len(off) >= 3 and np.median(off) < 0.03, off


def test_raw_images_are_rectified(make_graph: Callable[..., AbstractContextManager[Any]]) -> None:
    lens, place = (
        default_camera(distorted=True),
        Pose(so3_exp(np.array([0.01, 0.02, -0.015])), np.array([0.06, 0.001, 0.002])),
    )
    sample = stereo_sample(7601, left_camera=lens, right_camera=lens, T_left_right=place)
    T, D = place.inverse(), np.array(lens.distortion)
    R1, R2, P1, P2, *_ = cv2.stereoRectify(lens.K, D, lens.K, D, (640, 480), T.rotation, T.translation, alpha=0)
    with make_graph() as graph:
        bench = StereoBench(graph)
        flat = bench.probe.listen('left/image_rect', Image)
        bench.put_infos(with_projection(lens, R1, P1), with_projection(lens, R2, P2))
        header = bench.send(sample.left, sample.right)
        depth = np.frombuffer(bench.of(bench.depths, header).data, np.float32).reshape(480, 640)
        rectified, _ = color_image(from_image_message(bench.of(flat, header)), ColorOrder.BGR)
        info = bench.of(bench.infos, header)
        assert not any(info.d)
        np.testing.assert_allclose(np.reshape(info.k, (3, 3)), P1[:, :3])
        # points that the depth gives are where the scene's are, by the true depth of the raw image
        known = np.argwhere(np.isfinite(depth))[::997]
        rays = np.column_stack(
            ((known[:, 1] - P1[0, 2]) / P1[0, 0], (known[:, 0] - P1[1, 2]) / P1[1, 1], np.ones(len(known)))
        )
        points = (rays * depth[known[:, 0], known[:, 1]][:, None]) @ R1
        at = np.rint(lens.project(points)).astype(int)
        inside = (at >= 0).all(axis=1) & (at < (640, 480)).all(axis=1)
        truth = sample.depth[at[inside, 1], at[inside, 0]]
        assert np.nanmedian(np.abs(points[inside, 2] - truth) / truth) < 0.015
        assert np.abs(rectified.astype(int) - sample.left).mean() > 5.0
        bench.probe.wait_report('stereo')


def test_an_uncalibrated_pair_says_what_is_missing(
    make_graph: Callable[..., AbstractContextManager[Any]], sample: StereoSample
) -> None:
    with make_graph() as graph:
        bench = StereoBench(graph)
        bench.refused('no_camera_info', sample.left, sample.right)
