# SPDX-License-Identifier: Apache-2.0
"""PoseNode and CameraInfo as sensor_msgs defines it: rectified images, binning, ROI, stereo pairs, lens models."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import RegionOfInterest
from support.ros.pose_bench import PoseBench, assert_near, pose_of
from support.ros.pose_views import View, seen_through, view_of

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.messages.tensors import RECTIFIED, SOURCE_SIZE, TensorFrame, to_tensor_list
from isaac_inference.sim import default_camera

WH = (320, 240)
FULL = (640, 480)
BASELINE_M = 0.12
SEEDS = (11, 3, 5, 8)


@pytest.fixture
def make_bench(around: Any, pose_model: Path) -> Iterator[Callable[..., PoseBench]]:
    with contextlib.ExitStack() as open_ones:

        def make(**how: Any) -> PoseBench:
            return open_ones.enter_context(contextlib.closing(PoseBench(around, model=str(pose_model), **how)))

        yield make


def lens(wh: tuple[int, int] = WH) -> CameraModel:
    """The raw camera: it bends."""
    return default_camera(*wh, distorted=True)


def rectified(wh: tuple[int, int] = WH) -> CameraModel:
    """Its rectified image, as camera_calibration makes it: zoomed until no empty corner is left, and centred anew."""
    raw = lens(wh)
    K, _ = cv2.getOptimalNewCameraMatrix(raw.K, np.array(raw.distortion), wh, 0.0)
    K = np.array(K)
    K[:2, 2] += (3.0, -2.0)
    return CameraModel(*wh, K)


def projection(camera: CameraModel, Tx: float = 0.0) -> list[float]:
    """P of a rectified image."""
    return np.column_stack((camera.K, (Tx, 0.0, 0.0))).ravel().tolist()


def scenes(camera: CameraModel, seeds: Sequence[int] = SEEDS) -> list[View]:
    """What that camera sees of several scenes."""
    views = [seen_through(view_of(seed, FULL), camera, 1.0) for seed in seeds]
    return [view for view in views if view.items]


def assert_right(bench: PoseBench, views: Sequence[View], m: float = 2e-4) -> None:
    """Of scenes of which CameraInfo has been told, every object is where it is."""
    assert sum(len(view.items) for view in views) >= 4
    for view in views:
        for found, item in zip(bench.ask(view, info=False).detections, view.items, strict=True):
            assert_near(found, item.pose, m=m, deg=0.05)


def assumed(bench: PoseBench, what: str) -> str:
    """What diagnostics say was assumed."""
    bench.probe.wait_report(bench.name)
    return bench.probe.value(bench.name, f'assumed.{what}')


# Rectified or raw


@pytest.mark.parametrize('given', [{'image_rectified': 'true'}, {'image_rectified': True}])
def test_a_rectified_image_is_seen_through_p(make_bench: Callable[..., PoseBench], given: dict[str, Any]) -> None:
    bench = make_bench(**given)
    bench.put_camera(lens(), p=projection(rectified()))
    assert_right(bench, scenes(rectified()))
    assert not assumed(bench, 'image_rectified'), 'the user said it'


@pytest.mark.parametrize('name', ['image_rect', 'image_rect_color', 'rectified/image'])
def test_the_image_s_name_tells_that_it_is_rectified(make_bench: Callable[..., PoseBench], name: str) -> None:
    bench = make_bench(topics={'image': name})
    bench.put_camera(lens(), p=projection(rectified()))
    assert_right(bench, scenes(rectified()))
    assert assumed(bench, 'image_rectified').startswith('true: the name of ')


@pytest.mark.parametrize('how', [{'topics': {'image': 'image_raw'}}, {'image_rectified': 'false'}, {}])
def test_a_raw_image_is_seen_through_k_and_d(make_bench: Callable[..., PoseBench], how: dict[str, Any]) -> None:
    bench = make_bench(**how)
    bench.put_camera(lens(), p=projection(rectified()))
    assert_right(bench, scenes(lens()))


@pytest.mark.parametrize('camera, says', [(rectified(), 'true: '), (lens(), 'false: ')])
def test_where_no_name_tells_it_the_keypoints_do(
    make_bench: Callable[..., PoseBench], camera: CameraModel, says: str
) -> None:
    bench = make_bench()
    bench.put_camera(lens(), p=projection(rectified()))
    assert assumed(bench, 'image_rectified') == 'false: nothing tells'
    for view in scenes(camera, range(20, 30)):
        bench.ask(view, info=False)
    assert assumed(bench, 'image_rectified') == f'{says}its keypoints show so'
    assert_right(bench, scenes(camera))


def test_a_camera_that_has_p_only_is_rectified(make_bench: Callable[..., PoseBench]) -> None:
    bench = make_bench()
    bench.put_camera(lens(), k=[0.0] * 9, p=projection(rectified()))
    assert_right(bench, scenes(rectified()))


def test_what_was_assumed_of_a_camera_is_not_said_of_the_next(make_bench: Callable[..., PoseBench]) -> None:
    bench = make_bench()
    bench.put_camera(lens(), p=projection(rectified()))
    assert assumed(bench, 'image_rectified')
    bench.put_camera(lens(), k=[-1.0] * 9)
    bench.wait_counted('dropped', 'bad_intrinsics')
    assert not assumed(bench, 'image_rectified')


def test_nothing_is_assumed_where_k_and_p_say_the_same(make_bench: Callable[..., PoseBench]) -> None:
    bench = make_bench()
    straight = default_camera(*WH)
    bench.put_camera(straight)
    assert_right(bench, scenes(straight))
    assert not assumed(bench, 'image_rectified')


def test_a_rectified_image_without_p_has_no_poses(make_bench: Callable[..., PoseBench]) -> None:
    bench = make_bench(image_rectified='true')
    bench.put_camera(lens(), p=[0.0] * 12)
    header = bench.send(scenes(rectified())[0], info=False)
    bench.wait_counted('dropped', 'no_camera_info')
    assert not bench.has_answered(header)


# Binning and regions of interest


def roi(x: int, y: int, width: int, height: int) -> RegionOfInterest:
    return RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)


@pytest.mark.parametrize('is_rectified', [False, True])
@pytest.mark.parametrize(
    'part, binning, fields',
    [
        ((0, 0, 640, 480), (2, 2), {}),
        ((0, 0, 640, 480), (2, 1), {}),
        ((0, 0, 640, 480), (2, 2), {'roi': roi(0, 0, 640, 480)}),
        ((96, 64, 480, 360), (1, 1), {'roi': roi(96, 64, 480, 360)}),
        ((96, 64, 480, 360), (2, 2), {'roi': roi(96, 64, 480, 360)}),
        # as drivers have it that give the size of the part
        ((96, 64, 480, 360), (1, 1), {'roi': roi(96, 64, 480, 360), 'width': 480, 'height': 360}),
    ],
)
def test_a_part_of_the_sensor_and_joined_pixels(
    make_bench: Callable[..., PoseBench],
    is_rectified: bool,
    part: tuple[int, int, int, int],
    binning: tuple[int, int],
    fields: dict[str, Any],
) -> None:
    bench = make_bench(image_rectified=is_rectified)
    raw, straight = lens(FULL), rectified(FULL)
    bench.put_camera(raw, p=projection(straight), binning_x=binning[0], binning_y=binning[1], **fields)
    camera = (straight if is_rectified else raw).window(*part, binning)
    assert_right(bench, scenes(camera))


def test_the_k_of_a_larger_image_without_its_roi_gives_no_pose(make_bench: Callable[..., PoseBench]) -> None:
    bench = make_bench()
    full = default_camera(*FULL)
    view = scenes(full.window(160, 120, 320, 240))[0]
    bench.put_camera(full, width=320, height=240)
    header = bench.send(view, info=False)
    bench.wait_counted('dropped', 'camera_info_roi')
    bench.wait_counted('dropped', 'no_camera_info')
    assert not bench.has_answered(header)


def test_a_k_that_may_be_of_a_larger_image_is_a_problem(make_bench: Callable[..., PoseBench]) -> None:
    bench = make_bench()
    odd = default_camera(*FULL).window(0, 0, 400, 300)
    bench.put_camera(odd)
    assert 'far from the middle' in bench.probe.wait_report(bench.name).message
    assert bench.probe.status(bench.name).level == DiagnosticStatus.WARN
    bench.put_camera(default_camera(*WH))
    assert 'far from the middle' not in bench.probe.wait_report(bench.name).message


# Stereo pairs


@pytest.mark.parametrize(
    'how, frame, shift_m',
    [
        ({}, '', BASELINE_M),
        ({}, '_right_optical_frame', 0.0),
        ({'stereo_frame': 'own'}, '', 0.0),
        ({'stereo_frame': 'first'}, '_right_optical_frame', BASELINE_M),
    ],
)
def test_the_second_camera_s_poses_are_where_its_frame_is(
    make_bench: Callable[..., PoseBench], how: dict[str, Any], frame: str, shift_m: float
) -> None:
    bench = make_bench(image_rectified='true', **how)
    bench.frame += frame
    straight = rectified()
    bench.put_camera(lens(), p=projection(straight, Tx=-straight.K[0, 0] * BASELINE_M))
    T_frame_camera = Pose(np.eye(3), np.array((shift_m, 0.0, 0.0)))
    for view in scenes(straight):
        for found, item in zip(bench.ask(view, info=False).detections, view.items, strict=True):
            assert_near(found, T_frame_camera @ item.pose, m=2e-4, deg=0.05)
    said = assumed(bench, 'stereo_frame')
    assert bool(said) is not bool(how)
    assert bench.frame in said or how


def test_a_second_camera_without_distortion_needs_no_name(make_bench: Callable[..., PoseBench]) -> None:
    bench, straight = make_bench(), default_camera(*WH)
    bench.put_camera(straight, p=projection(straight, Tx=-straight.K[0, 0] * BASELINE_M))
    for view in scenes(straight):
        for found, item in zip(bench.ask(view, info=False).detections, view.items, strict=True):
            assert_near(found, Pose(np.eye(3), np.array((BASELINE_M, 0.0, 0.0))) @ item.pose, m=2e-4, deg=0.05)
    assert assumed(bench, 'stereo_frame').startswith('first')
    assert not assumed(bench, 'image_rectified')


# Names


@pytest.mark.parametrize('name', ['Brown Conrady', 'radtan', 'radial-tangential', 'opencv', 'brown_conrady'])
def test_a_lens_model_has_many_names(make_bench: Callable[..., PoseBench], name: str) -> None:
    bench = make_bench()
    bench.put_camera(lens(), distortion_model=name)
    assert_right(bench, scenes(lens()))


@pytest.mark.parametrize('name', ['', 'pinhole', 'inverse_brown_conrady', 'fov'])
def test_a_lens_model_that_is_not_known_gives_no_pose(make_bench: Callable[..., PoseBench], name: str) -> None:
    bench = make_bench()
    bench.put_camera(lens(), distortion_model=name)
    header = bench.send(scenes(lens())[0], info=False)
    bench.wait_counted('dropped', 'unknown_distortion')
    assert not bench.has_answered(header)


def test_a_lens_model_that_is_not_known_does_not_matter_to_a_rectified_image(
    make_bench: Callable[..., PoseBench],
) -> None:
    bench = make_bench(image_rectified='true')
    bench.put_camera(lens(), distortion_model='fov', p=projection(rectified()))
    assert_right(bench, scenes(rectified()))


def test_a_camera_info_of_another_frame_is_a_problem(make_bench: Callable[..., PoseBench]) -> None:
    bench, view = make_bench(), scenes(lens())[0]
    other = bench.stamp()
    other.frame_id = 'another_lens'
    bench.put_camera(lens(), header=other)
    array = bench.ask(view, info=False)
    assert array.header.frame_id == bench.frame
    message = bench.probe.wait_report(bench.name).message
    assert 'another_lens' in message
    assert bench.frame in message
    same = bench.stamp()
    same.frame_id = f'/{bench.frame}'  # as older software writes it
    bench.put_camera(lens(), header=same)
    bench.ask(view, info=False)
    assert bench.probe.wait_report(bench.name).message == 'running'


def test_a_camera_info_that_changes_is_followed(make_bench: Callable[..., PoseBench]) -> None:
    """A driver may change roi and binning at any time."""
    bench = make_bench()
    full = default_camera(*FULL)
    for part in ((0, 0, 640, 480), (96, 64, 480, 360), (64, 96, 480, 360), (0, 0, 640, 480)):
        bench.put_camera(full, roi=roi(*part))
        assert_right(bench, scenes(full.window(*part)))
    view = scenes(full)[0]
    bench.put_camera(full, roi=roi(96, 64, 480, 360))
    other = replace(view, camera=full.resized(320, 240))
    header = bench.send(other, info=False)
    bench.wait_counted('dropped', 'camera_info_size')
    assert not bench.has_answered(header)


def test_an_image_of_the_whole_beside_a_roi_is_seen_whole(make_bench: Callable[..., PoseBench]) -> None:
    """The roi is that of another stream of the driver's, or of an image that is yet to come."""
    bench = make_bench()
    full, part = default_camera(*FULL), (96, 64, 480, 360)
    bench.put_camera(full, roi=roi(*part))
    for camera in (full, full.window(*part), full):
        assert_right(bench, scenes(camera))


# Rectified by the preprocess node


def rectified_frame(bench: PoseBench, view: View) -> Any:
    """A frame whose keypoints say that they were found in the rectified image of that camera."""
    header = bench.stamp()
    camera = view.camera
    said = {
        SOURCE_SIZE: np.array((camera.width, camera.height), np.int32),
        RECTIFIED: camera.K[(0, 1, 0, 1), (0, 1, 2, 2)],
    }
    rows = np.array([item.keypoints for item in view.items], np.float32)
    bench.put('keypoints', to_tensor_list(TensorFrame(header, {'keypoints': rows}, said)))
    bench.put_detections(header, view.items)
    return header


@pytest.mark.parametrize('how', [{}, {'image_rectified': 'true'}, {'topics': {'image': 'image_raw'}}])
def test_what_travels_with_keypoints_says_that_they_are_rectified(
    make_bench: Callable[..., PoseBench], how: dict[str, Any]
) -> None:
    """Though camera_info is still the raw image's, as long as its P is the one."""
    bench = make_bench(**how)
    bench.put_camera(lens(), p=projection(rectified()))
    views = scenes(rectified())
    assert sum(len(view.items) for view in views) >= 4
    for view in views:
        for found, item in zip(bench.answer(rectified_frame(bench, view)).detections, view.items, strict=True):
            assert_near(found, item.pose, m=2e-4, deg=0.05)


def test_frames_that_are_rectified_no_more_are_seen_by_k_and_d_again(make_bench: Callable[..., PoseBench]) -> None:
    """The preprocess node has been started anew, without rectify."""
    bench = make_bench(topics={'image': 'image_raw'})
    bench.put_camera(lens(), p=projection(rectified()))
    bench.answer(rectified_frame(bench, scenes(rectified())[0]))
    assert assumed(bench, 'image_rectified').startswith('true: what comes with its keypoints')
    assert_right(bench, scenes(lens()))
    assert assumed(bench, 'image_rectified').startswith('false: the name of ')


@pytest.mark.parametrize(
    'how, p',
    [({'image_rectified': 'false'}, projection(rectified())), ({}, projection(lens())), ({}, [0.0] * 12)],
)
def test_keypoints_of_a_rectified_image_with_another_camera_give_no_pose(
    make_bench: Callable[..., PoseBench], how: dict[str, Any], p: list[float]
) -> None:
    bench = make_bench(**how)
    bench.put_camera(lens(), p=p)
    view = scenes(rectified())[0]
    header = rectified_frame(bench, view)
    bench.wait_counted('dropped', 'image_rectified')
    assert not bench.has_answered(header)
    bench.put_camera(rectified())
    assert len(bench.answer(rectified_frame(bench, view)).detections) == len(view.items)


def test_depth_of_the_second_camera_is_at_its_own_centre(make_bench: Callable[..., PoseBench]) -> None:
    """What is published is in the first one's frame all the same."""
    view = view_of()
    bench = make_bench(method='registration')
    Tx = -view.camera.K[0, 0] * BASELINE_M
    bench.put_camera(view.camera, p=projection(view.camera, Tx=Tx))
    array = bench.ask(view, info=False, depth='32FC1')
    for found, item in zip(array.detections, view.items, strict=True):
        assert pose_of(found).translation[0] == pytest.approx(item.pose.translation[0] + BASELINE_M, abs=0.003)
