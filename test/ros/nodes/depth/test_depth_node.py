# SPDX-License-Identifier: Apache-2.0
"""DepthNode over real DDS behind preprocessing and inference: a network whose numbers are the picture's brightness."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from support.cards import known_to_nodes
from support.depth_cards import depth_card, write_brightness
from support.ros.probe import LATCHED, RELIABLE, image_message
from tf2_msgs.msg import TFMessage

from isaac_inference.models.card.tasks import DepthKind
from isaac_inference.ops.depth.dense.ground import ground_depths
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.depth import DepthEncoding, depth_frame
from isaac_inference.ros.messages.image import to_image_message

SIZE = (64, 48)
CAMERA = CameraModel(*SIZE, np.array([[55.0, 0, 31.5], [0, 55, 23.5], [0, 0, 1]]))
SCALE, SHIFT = 1.6, 0.2  # 1/m


class DepthBench:
    """Preprocess, inference and depth of one model, and a probe that plays camera and depth sensor."""

    def __init__(self, graph: Any, model: Path, **parameters: Any) -> None:
        self.probe = graph.probe
        graph.load('PreprocessNode', 'preprocess', model=str(model))
        graph.load('InferenceNode', 'inference', model=str(model))
        self.node = graph.load('DepthNode', 'depth', model=str(model), image_qos__reliability='reliable', **parameters)
        self.relative = self.probe.listen('depth/relative', Image)
        self.metric = self.probe.listen('depth/image', Image)
        self.infos = self.probe.listen('depth/camera_info', CameraInfo)
        make = self.probe.node.create_publisher
        self._depths, self._infos = make(Image, 'align_depth', RELIABLE), make(CameraInfo, 'camera_info', RELIABLE)
        self.probe.wait_active('preprocess', 'inference', 'depth')

    def put_camera(self) -> None:
        self.probe.send(camera_info(Header(frame_id='lens'), CAMERA), self._infos)
        self.probe.wait_until(lambda: self.node._feed.camera is not None, 'the node knows the camera')

    def send(self, grey: np.ndarray, depth: np.ndarray | None = None) -> Header:
        """A picture, after the depth that a sensor has of it."""
        message = image_message(np.repeat(grey[..., None], 3, axis=2))
        if depth is not None:
            frame = depth_frame(depth, DepthEncoding.METRES, message.header, depth.shape[::-1])
            self.probe.send(to_image_message(frame), self._depths)
        self.probe.send(message)
        return message.header

    def of(self, messages: list[Any], header: Header) -> np.ndarray:
        """What came with that header."""
        self.probe.wait_until(lambda: any(one.header == header for one in list(messages)), 'the answer to a picture')
        found = next(one for one in list(messages) if one.header == header)
        return np.frombuffer(found.data, np.float32).reshape(found.height, found.width)

    def refused(self, reason: str, grey: np.ndarray, depth: np.ndarray | None = None) -> None:
        """The frame is dropped under that reason, and nothing in metres is published."""
        before, count = len(self.metric), self.count(reason)
        self.send(grey, depth)
        self.probe.wait_until(lambda: self.count(reason) > count, f'dropped.{reason} is counted')
        assert len(self.metric) == before

    def count(self, reason: str) -> int:
        return int(self.probe.value('depth', f'dropped.{reason}') or 0)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('depth')


def model_in(folder: Path, name: str, *how: Any) -> Path:
    path = write_brightness(folder / f'{name}.onnx', SIZE)
    return known_to_nodes(depth_card(path, *how)).path


@pytest.fixture(scope='module')
def aligned(make_graph: Callable[..., AbstractContextManager[Any]], folder: Path) -> Iterator[DepthBench]:
    with make_graph() as graph:
        bench = DepthBench(graph, model_in(folder, 'aligned'), align='depth', smoothing=1.0, wait_s=0.3)
        bench.put_camera()
        yield bench


def picture(seed: int) -> np.ndarray:
    """(48, 64) uint8, blobs."""
    noise = np.random.default_rng(seed).random((48, 64), np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4.0), None, 20, 250, cv2.NORM_MINMAX).astype(np.uint8)


def truth(grey: np.ndarray) -> np.ndarray:
    """m, of the scene that a picture of blobs shows."""
    return (1.0 / (SCALE * grey / np.float32(255.0) + SHIFT)).astype(np.float32)


def test_relative_depth_is_published_as_such_and_nothing_in_metres(
    make_graph: Callable[..., AbstractContextManager[Any]], folder: Path
) -> None:
    with make_graph() as graph:
        bench = DepthBench(graph, model_in(folder, 'relative'))
        pictures = bench.probe.listen('depth/picture', Image)
        for size in ((48, 64), (96, 128), (100, 64)):
            grey = cv2.resize(picture(1), size[::-1])
            header = bench.send(grey)
            found = bench.of(bench.relative, header)
            assert found.shape == size
            if size == (48, 64):
                np.testing.assert_allclose(found, grey / 255.0, atol=1e-4)
        bench.probe.wait_until(lambda: len(pictures) == 3, 'pictures for people')
        bench.probe.wait_report('depth')
        assert not bench.metric and not bench.infos


def test_a_sensor_s_depth_makes_it_metric(aligned: DepthBench) -> None:
    grey = picture(2)
    known = truth(grey)
    known[np.random.default_rng(2).random(known.shape) < 0.5] = np.nan
    known[:10] = 9.0  # a part that is wrong
    header = aligned.send(grey, known)
    np.testing.assert_allclose(aligned.of(aligned.metric, header), truth(grey), rtol=0.01)
    np.testing.assert_allclose(aligned.of(aligned.relative, header), grey / 255.0, atol=1e-4)
    aligned.probe.wait_until(lambda: '1/m = 1.6' in aligned.probe.value('depth', 'align'), 'the fit is shown')
    info = next(one for one in aligned.infos if one.header == header)
    assert list(info.k) == CAMERA.K.ravel().tolist()


def test_depth_of_another_resolution_serves_too(aligned: DepthBench) -> None:
    grey = picture(3)
    header = aligned.send(grey, np.ascontiguousarray(truth(grey)[::2, ::2]))
    found = aligned.of(aligned.metric, header)
    assert np.median(np.abs(found - truth(grey)) / truth(grey)) < 0.05


def test_there_is_a_cloud_while_somebody_looks(aligned: DepthBench) -> None:
    clouds, grey = aligned.probe.listen('depth/points', PointCloud2), picture(4)
    header = aligned.send(grey, truth(grey))
    aligned.probe.wait_until(lambda: any(one.header == header for one in list(clouds)), 'a cloud')
    cloud = next(one for one in clouds if one.header == header)
    points = np.frombuffer(cloud.data, np.float32).reshape(-1, 3)
    np.testing.assert_allclose(points[:, 2].reshape(48, 64), aligned.of(aligned.metric, header))
    aligned.probe.ignore('depth/points')


@pytest.mark.parametrize(
    'reason, known',
    [
        ('align_disagrees', lambda depth: depth[::-1, ::-1].copy()),
        ('depth_empty', lambda depth: np.full_like(depth, np.nan)),
        ('align_few_points', lambda depth: np.where(np.arange(depth.size).reshape(depth.shape) < 20, depth, np.nan)),
        ('align_one_distance', lambda depth: np.full_like(depth, 2.0)),
        ('depth_unregistered', lambda depth: np.ascontiguousarray(depth[:, :30])),
        ('depth_unit', lambda depth: depth * np.float32(1000.0)),
        ('unpaired_align_depth', lambda depth: None),
    ],
)
def test_a_fit_that_cannot_be_trusted_gives_no_metres(aligned: DepthBench, reason: str, known: Any) -> None:
    grey = picture(5)
    if reason == 'align_one_distance':
        grey = np.full_like(grey, 90)
        grey[::2] = 91
    aligned.refused(reason, grey, known(truth(grey)))
    good = picture(6)
    assert np.isfinite(aligned.of(aligned.metric, aligned.send(good, truth(good)))).all()  # the node lives on


def test_the_ground_makes_it_metric(make_graph: Callable[..., AbstractContextManager[Any]], folder: Path) -> None:
    optical = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    place = Pose(so3_exp(np.array([0.0, 0.6, 0.0])) @ optical, np.array([0.1, 0.0, 1.2]))
    columns, rows = np.meshgrid(np.arange(64), np.arange(48))
    depth = ground_depths(CAMERA, place, np.column_stack((columns.ravel(), rows.ravel())), 100.0).reshape(48, 64)
    depth[20:40, 10:24] = 1.3  # a thing that stands there
    target = np.nan_to_num(1.0 / depth)
    grey = np.clip(np.rint(255 * (target - 0.02) / 1.0), 0, 255).astype(np.uint8)
    with make_graph() as graph:
        bench = DepthBench(
            graph, model_in(folder, 'ground'), align='ground', ground_frame='mono_floor', transform_wait_s=10.0
        )
        static = bench.probe.node.create_publisher(TFMessage, '/tf_static', LATCHED)
        bench.refused('no_camera_info', grey)
        bench.put_camera()
        link = TransformStamped(header=Header(frame_id='mono_floor'), child_frame_id='lens')
        shift, turn = link.transform.translation, link.transform.rotation
        shift.x, shift.y, shift.z = place.translation.tolist()
        turn.x, turn.y, turn.z, turn.w = place.quaternion()
        static.publish(TFMessage(transforms=[link]))
        found = bench.of(bench.metric, bench.send(grey))
        known = np.isfinite(depth) & (depth < 5.0)
        assert np.median(np.abs(found - depth)[known] / depth[known]) < 0.02
        assert np.median(found[22:38, 12:22]) == pytest.approx(1.3, rel=0.05)
        bench.refused('align_disagrees', grey[::-1].copy())
        bench.probe.node.destroy_publisher(static)


def test_the_card_s_scale_makes_it_metric_and_its_lack_is_said(
    make_graph: Callable[..., AbstractContextManager[Any]], folder: Path
) -> None:
    grey = picture(7)
    with make_graph() as graph:
        bench = DepthBench(
            graph, model_in(folder, 'card', DepthKind.INVERSE, (SCALE, SHIFT)), align='card', max_depth=1.0
        )
        found, expected = bench.of(bench.metric, bench.send(grey)), truth(grey)
        np.testing.assert_allclose(found[expected < 0.99], expected[expected < 0.99], rtol=1e-4)
        assert np.isnan(found[expected > 1.01]).all()
        bare = model_in(folder, 'bare')
        graph.load('DepthNode', 'bare', model=str(bare), align='card')
        bench.probe.wait_until(
            lambda: 'its card gives no scale' in bench.probe.status('bare').message, 'configuring says so'
        )


def test_a_metric_network_needs_no_alignment(
    make_graph: Callable[..., AbstractContextManager[Any]], folder: Path
) -> None:
    grey = picture(8)
    with make_graph() as graph:
        bench = DepthBench(graph, model_in(folder, 'metric', DepthKind.METRIC, (4.0, 0.5)))
        np.testing.assert_allclose(bench.of(bench.metric, bench.send(grey)), 4.0 * grey / 255.0 + 0.5, rtol=1e-4)
        assert not bench.relative


def test_an_output_that_is_a_bare_gradient_is_said_with_the_lines_of_the_card(
    make_graph: Callable[..., AbstractContextManager[Any]], folder: Path
) -> None:
    ramp = np.repeat(np.linspace(20, 220, 48).astype(np.uint8)[:, None], 64, axis=1)
    with make_graph() as graph:
        bench = DepthBench(graph, model_in(folder, 'flat'), flat_frames=3)
        for _ in range(3):
            bench.of(bench.relative, bench.send(ramp))
        bench.probe.wait_until(
            lambda: 'one and the same gradient' in bench.probe.status('depth').message, 'diagnostics say so'
        )
        assert 'scale: 0.00392157' in bench.probe.status('depth').message
        bench.of(bench.relative, bench.send(picture(9)))
        bench.probe.wait_until(lambda: 'gradient' not in bench.probe.status('depth').message, 'it is over')


def test_a_frame_of_another_model_is_dropped(aligned: DepthBench, folder: Path) -> None:
    card = aligned.node.card
    aligned.node.card = replace(card, name='other', labels=('x',))
    try:
        aligned.refused('other_model', picture(10), truth(picture(10)))
    finally:
        aligned.node.card = card
