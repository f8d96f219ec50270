# SPDX-License-Identifier: Apache-2.0
"""CompletionNode over real DDS."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from support.ros.probe import RELIABLE, image_message

from isaac_inference.ops.depth.dense.complete import complete_depth
from isaac_inference.ros.messages.camera_info import calibration, camera_info
from isaac_inference.ros.messages.depth import DepthEncoding, depth_frame
from isaac_inference.ros.messages.image import to_image_message
from isaac_inference.sim.completion import CompletionSample, completion_sample


class CompletionBench:
    """A CompletionNode, and a probe that plays an RGB-D camera."""

    def __init__(self, graph: Any) -> None:
        self.probe = graph.probe
        self.node = graph.load('CompletionNode', 'completion', image_qos__reliability='reliable', wait_s=0.3)
        self.found = self.probe.listen('depth/image', Image)
        self.infos = self.probe.listen('depth/camera_info', CameraInfo)
        make = self.probe.node.create_publisher
        self._depths, self._infos, self._depth_infos = (
            make(Image, 'sensor_depth/image', RELIABLE),
            make(CameraInfo, 'camera_info', RELIABLE),
            make(CameraInfo, 'sensor_depth/camera_info', RELIABLE),
        )
        self.probe.wait_active('completion')

    def put_camera(self, sample: CompletionSample) -> None:
        self.probe.send(camera_info(Header(frame_id='lens'), sample.camera), self._infos)
        self.probe.wait_until(lambda: self.node._feed.camera is not None, 'the node knows the camera')

    def put_infos(self, color: CameraInfo, depth: CameraInfo) -> None:
        """What is said of the image and of depth."""
        self.probe.send(color, self._infos)
        self.probe.send(depth, self._depth_infos)
        self.probe.wait_until(
            lambda: all(
                feed.calibration == calibration(info)
                for feed, info in ((self.node._feed, color), (self.node._own, depth))
            ),
            'the node knows both cameras',
        )

    def send(self, color: np.ndarray | None, depth: np.ndarray, encoding: str = '32FC1', **fields: Any) -> Header:
        message = image_message(color)
        if color is not None:
            self.probe.send(message)
        frame = depth_frame(depth, DepthEncoding(encoding), message.header, depth.shape[::-1])
        sent = to_image_message(frame)
        for name, value in fields.items():
            setattr(sent.header, name, value)
        self.probe.send(sent, self._depths)
        return message.header

    def of(self, messages: list[Any], header: Header) -> Any:
        self.probe.wait_until(lambda: any(one.header == header for one in list(messages)), 'the answer to depth')
        return next(one for one in list(messages) if one.header == header)

    def depth_of(self, header: Header) -> np.ndarray:
        message = self.of(self.found, header)
        return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)

    def refused(self, reason: str, *what: Any, **how: Any) -> None:
        def count() -> int:
            return int(self.probe.value('completion', f'dropped.{reason}') or 0)

        before, dropped = len(self.found), count()
        self.send(*what, **how)
        self.probe.wait_until(lambda: count() > dropped, f'dropped.{reason} is counted')
        assert len(self.found) == before


@pytest.fixture(scope='module')
def sample() -> CompletionSample:
    return completion_sample(7900)


@pytest.fixture(scope='module')
def bench(
    make_graph: Callable[..., AbstractContextManager[Any]], sample: CompletionSample
) -> Iterator[CompletionBench]:
    with make_graph() as graph:
        bench = CompletionBench(graph)
        bench.put_camera(sample)
        yield bench


def test_holes_are_filled(bench: CompletionBench, sample: CompletionSample) -> None:
    header = bench.send(sample.color, sample.measured)
    found = bench.depth_of(header)
    np.testing.assert_array_equal(found, complete_depth(sample.measured, sample.color))
    assert np.isfinite(found).mean() > np.isfinite(sample.measured).mean() + 0.02
    assert list(bench.of(bench.infos, header).k) == sample.camera.K.ravel().tolist()
    bench.probe.wait_until(lambda: '% read' in bench.probe.value('completion', 'known'), 'diagnostics show how much')


def test_millimetres_and_another_resolution(bench: CompletionBench, sample: CompletionSample) -> None:
    small = np.ascontiguousarray(sample.measured[::2, ::2])
    header = bench.send(sample.color, small, '16UC1')
    found, info = bench.depth_of(header), bench.of(bench.infos, header)
    assert found.shape == (240, 320) and (info.width, info.height) == (320, 240)
    guide = cv2.resize(sample.color, (320, 240), interpolation=cv2.INTER_AREA)
    expected = complete_depth(small, guide)
    both = np.isfinite(found) & np.isfinite(expected)
    assert both.mean() > 0.9
    np.testing.assert_allclose(found[both], expected[both], rtol=0.05)


def test_there_is_a_cloud_in_colour(bench: CompletionBench, sample: CompletionSample) -> None:
    clouds = bench.probe.listen('depth/points', PointCloud2)
    header = bench.send(sample.color, sample.measured)
    cloud, found = bench.of(clouds, header), bench.depth_of(header)
    assert cloud.width == np.isfinite(found).sum() and [field.name for field in cloud.fields] == ['x', 'y', 'z', 'rgb']
    bench.probe.ignore('depth/points')


def test_what_cannot_be_filled_is_named(bench: CompletionBench, sample: CompletionSample) -> None:
    bench.refused('depth_empty', sample.color, np.full((480, 640), np.nan, np.float32))
    bench.refused('depth_unregistered', sample.color, np.ascontiguousarray(sample.measured[:, :400]))
    bench.refused('depth_unregistered', sample.color, sample.measured, frame_id='other_lens')
    bench.refused('depth_unit', sample.color, sample.measured * np.float32(1000.0))
    bench.refused('unpaired_image', None, sample.measured)
    assert np.isfinite(bench.depth_of(bench.send(sample.color, sample.measured))).any()


def test_depth_of_the_whole_sensor_beside_an_image_of_a_part_is_refused(
    make_graph: Callable[..., AbstractContextManager[Any]], sample: CompletionSample
) -> None:
    """Both are 4:3, in one frame."""
    whole = camera_info(Header(frame_id='lens'), sample.camera)
    part, other_place = copy.deepcopy(whole), copy.deepcopy(whole)
    part.roi.x_offset, part.roi.y_offset, part.roi.width, part.roi.height = 160, 120, 320, 240
    other_place.roi.x_offset, other_place.roi.width, other_place.roi.height = 320, 320, 240
    image, depth = (np.ascontiguousarray(one[120:360, 160:480]) for one in (sample.color, sample.measured))
    with make_graph() as graph:
        bench = CompletionBench(graph)
        bench.put_infos(part, whole)
        bench.refused('depth_unregistered', image, sample.measured)
        bench.put_infos(part, other_place)
        bench.refused('depth_unregistered', image, depth)
        for color, own, sent in ((part, part, (image, depth)), (whole, whole, (sample.color, sample.measured))):
            bench.put_infos(color, own)
            assert np.isfinite(bench.depth_of(bench.send(*sent))).any()
        bench.put_infos(whole, whole)
        small = np.ascontiguousarray(sample.measured[::2, ::2])
        assert np.isfinite(bench.depth_of(bench.send(sample.color, small))).any(), 'of the whole, at another resolution'
