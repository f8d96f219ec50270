# SPDX-License-Identifier: Apache-2.0
"""StereoNode with a network, over real DDS: with the inference node, and with one that a test plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import Image, PointCloud2, RegionOfInterest
from std_msgs.msg import Header
from support.dense.inference_stand_in import InferenceStandIn
from support.dense.networks import write_filler, write_matcher
from support.ros.stereo_bench import StereoBench

from isaac_inference.models import CardId
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ros.messages.camera_info import CameraFeed, camera_info

FOCAL, BASELINE = 200.0, 0.1
CHECK_NEVER = {'check_period_s': 0.0}  # noise and constant disparities are no scene


def infos(size: tuple[int, int], doffs: float = 0.0) -> tuple[Any, Any]:
    K = np.array([[FOCAL, 0, size[0] / 2], [0, FOCAL, size[1] / 2], [0, 0, 1.0]])
    other = K.copy()
    other[0, 2] += doffs
    left, right = (camera_info(Header(frame_id='lens'), CameraModel(*size, one)) for one in (K, other))
    right.p[3] = -FOCAL * BASELINE
    return left, right


def pair(size: tuple[int, int], shifts: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Left and right images of noise of 2 px, whose upper and lower half have these disparities."""
    width, height = size
    noise = np.random.default_rng(seed).integers(0, 255, (-(-height // 2), -(-width // 2), 3), np.uint8)
    left = np.kron(noise, np.ones((2, 2, 1), np.uint8))[:height, :width]
    halves = (left[: height // 2], left[height // 2 :])
    right = np.concatenate([np.roll(half, -shift, axis=1) for half, shift in zip(halves, shifts, strict=True)])
    return np.ascontiguousarray(left), right


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_matcher(tmp_path_factory.mktemp('stereo') / 'matcher.onnx')


@pytest.fixture(scope='module')
def real(make_graph: Callable[..., AbstractContextManager[Any]], model: Path) -> Iterator[StereoBench]:
    with make_graph() as graph:
        graph.load('InferenceNode', 'inference', model=str(model))
        bench = StereoBench(graph, model=str(model), network__wait_s=60.0, **CHECK_NEVER)
        bench.probe.wait_active('inference')
        yield bench


@pytest.mark.parametrize('size', [(192, 128), (192, 101), (98, 128), (96, 64)])
def test_depth_is_exact_at_every_size(real: StereoBench, size: tuple[int, int]) -> None:
    step = 1 if size == (96, 64) else 2
    shifts = (3 * step, 8 * step)
    real.put_infos(*infos(size))
    header = real.send(*pair(size, shifts))
    message, info = real.of(real.depths, header), real.of(real.infos, header)
    disparity = real.of(real.disparities, header)
    depth = np.frombuffer(message.data, np.float32).reshape(size[::-1])
    half, margin = size[1] // 2, 8 * step
    for rows, shift in ((slice(margin, half - margin), shifts[0]), (slice(half + margin, -margin), shifts[1])):
        part = depth[rows, shift + margin : -margin]
        assert part.size and np.abs(part - FOCAL * BASELINE / shift).max() < 1e-3
    assert (message.encoding, info.width, info.k[0]) == ('32FC1', size[0], FOCAL)
    values = np.frombuffer(disparity.image.data, np.float32).reshape(size[::-1])
    known = np.isfinite(depth)
    np.testing.assert_allclose(disparity.f * disparity.t / values[known], depth[known], rtol=1e-5)
    assert (values[~known] < disparity.min_disparity).all()
    assert np.isnan(depth[: half - margin, : shifts[0] - step]).all()  # what the right image cannot show


def test_principal_points_that_differ(real: StereoBench) -> None:
    """Disparities of far things are negative there, which no network gives."""
    size, doffs = (192, 128), 10.0
    real.put_infos(*infos(size, doffs))
    depth = real.ask(*pair(size, (-4, -4)))
    assert np.abs(depth[20:-20, 30:-30] - FOCAL * BASELINE / (doffs - 4)).max() < 1e-2


@pytest.mark.parametrize('binning', [(1, 1), (2, 2)])
@pytest.mark.parametrize('d', [[], [0.0] * 5], ids=['no lens', 'a flat lens'])
def test_a_part_of_the_sensor_with_joined_pixels_is_as_far_as_the_whole(
    real: StereoBench, binning: tuple[int, int], d: list[float]
) -> None:
    """K and P of the whole sensor, images of its middle: the network's disparities are pixels of the images."""
    size, shifts, (x, y, width, height) = (384, 256), (8, 16), (96, 64, 192, 128)
    whole = infos(size)
    left, right = infos(size)
    for message in (left, right):
        message.d, message.binning_x, message.binning_y = d, *binning
        message.roi = RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height, do_rectify=True)
    images = pair(size, shifts)
    real.put_infos(*whole)
    full = real.ask(*images)[y : y + height, x : x + width]
    real.put_infos(left, right)
    parts = [np.ascontiguousarray(one[y : y + height : binning[1], x : x + width : binning[0]]) for one in images]
    header = real.send(*parts)
    message, info = real.of(real.depths, header), real.of(real.infos, header)
    depth = np.frombuffer(message.data, np.float32).reshape(parts[0].shape[:2])
    margin = 16 // binning[0]
    half = len(depth) // 2
    for rows, shift in ((slice(margin, half - margin), shifts[0]), (slice(half + margin, -margin), shifts[1])):
        own = depth[rows, 2 * margin : -margin]
        assert own.size and np.abs(own - FOCAL * BASELINE / shift).max() < 1e-3
        np.testing.assert_allclose(own, full[:: binning[1], :: binning[0]][rows, 2 * margin : -margin], atol=1e-3)
    feed = CameraFeed()
    feed.put(info)
    K = np.array(whole[0].k).reshape(3, 3)
    assert feed.camera is not None
    expected = CameraModel(*size, K).window(x, y, width, height, binning)
    assert (feed.camera.width, feed.camera.height) == (expected.width, expected.height)
    np.testing.assert_allclose(feed.camera.K, expected.K, atol=1e-9)


def test_raw_pairs_are_rectified_for_the_network(real: StereoBench) -> None:
    size = (192, 128)
    left, right = infos(size)
    left.d = right.d = [-0.2, 0.05, 0.0, 0.0, 0.0]
    left.distortion_model = right.distortion_model = 'plumb_bob'
    real.put_infos(left, right)
    flat = real.probe.listen('left/image_rect', Image)
    header = real.send(*pair(size, (6, 6)))
    depth = np.frombuffer(real.of(real.depths, header).data, np.float32).reshape(128, 192)
    seen = np.frombuffer(real.of(flat, header).data, np.uint8).reshape(128, 192, 3)
    assert depth.shape == (128, 192) and np.abs(seen.astype(int) - pair(size, (6, 6))[0]).mean() > 3.0
    real.probe.ignore('left/image_rect')


def test_cloud_and_timings_as_without_a_network(real: StereoBench) -> None:
    size = (192, 128)
    real.put_infos(*infos(size))
    clouds = real.probe.listen('depth/points', PointCloud2)
    left, right = pair(size, (6, 6))
    header = real.send(left, right)
    depth = np.frombuffer(real.of(real.depths, header).data, np.float32).reshape(128, 192)
    cloud = real.of(clouds, header)
    rows = np.frombuffer(cloud.data, [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('rgb', '<u4')])
    places = np.argwhere(np.isfinite(depth))
    blue, green, red = (int(value) for value in left[tuple(places[500])])
    assert len(rows) == len(places) and rows['rgb'][500] == red << 16 | green << 8 | blue
    real.probe.ignore('depth/points')
    assert real.probe.wait_report('stereo').message and real.probe.value('stereo', 'model') == 'matcher'
    assert not any(
        topic.endswith('depth/confidence')
        for topic, _ in real.node.get_publisher_names_and_types_by_node(real.node.get_name(), real.node.get_namespace())
    )


@pytest.fixture(scope='module')
def played(make_graph: Callable[..., AbstractContextManager[Any]], model: Path) -> Iterator[tuple[StereoBench, Any]]:
    with make_graph() as graph:
        bench = StereoBench(graph, model=str(model), network__wait_s=60.0, wait_s=0.05)
        stand_in = InferenceStandIn(bench.probe)
        bench.put_infos(*infos((96, 64)))
        yield bench, stand_in


def good(value: float = 4.0) -> dict[str, np.ndarray]:
    return {'disparity': np.full((1, 1, 64, 96), value, np.float32)}


@pytest.fixture(autouse=True)
def sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """The node lives on after each test that plays the inference node."""
    yield
    if 'played' in request.fixturenames:
        bench, stand_in = request.getfixturevalue('played')
        stand_in.answer = lambda frame: good()
        bench.put_infos(*infos((96, 64)))
        assert np.isfinite(bench.ask(*pair((96, 64), (4, 4)))).any()


@pytest.mark.parametrize(
    'outputs, reason',
    [
        ({'disparity': np.full((1, 1, 64, 96), np.nan, np.float32)}, 'bad_values'),
        ({'disparity': np.full((1, 1, 32, 96), 4.0, np.float32)}, 'bad_output_shape'),
        ({'disparity': np.full((1, 2, 64, 96), 4.0, np.float32)}, 'bad_output_shape'),
        ({'disparity': np.full((1, 1, 64, 96), -4.0, np.float32)}, 'disparity_negative'),
        ({'other': np.full((1, 1, 64, 96), 4.0, np.float32)}, 'missing_output'),
    ],
)
def test_outputs_that_cannot_be_are_dropped(
    played: tuple[StereoBench, InferenceStandIn], outputs: dict[str, np.ndarray], reason: str
) -> None:
    bench, stand_in = played
    stand_in.answer = lambda frame: outputs
    bench.refused(reason, *pair((96, 64), (4, 4)))


def test_a_pair_that_is_none_never_reaches_the_network(played: tuple[StereoBench, InferenceStandIn]) -> None:
    bench, stand_in = played
    stand_in.answer = lambda frame: good()
    left, right = pair((96, 64), (4, 4))
    scene = cv2.resize(left[:24, :32], (384, 288), interpolation=cv2.INTER_CUBIC)
    count = len(stand_in.asked)
    bench.refused('stereo_unpaired', left, right, later_ms=30.0)
    bench.refused('stereo_size', left, np.ascontiguousarray(right[:32]))
    bench.refused('camera_info_size', left[::2, ::2].copy(), right[::2, ::2].copy())
    bench.put_infos(*infos((384, 288)))
    bench.node._next_check_s = 0.0
    bench.refused('stereo_swapped', np.roll(scene, -12, axis=1), scene)
    bench.node._next_check_s = 0.0
    bench.refused('stereo_unrectified', scene, np.roll(scene, 6, axis=0))
    left_info, right_info = infos((96, 64))
    right_info.p[3] = 0.0
    bench.put_infos(left_info, right_info)
    bench.refused('stereo_baseline', left, right)
    assert len(stand_in.asked) == count


def test_an_answer_of_another_model_is_dropped(played: tuple[StereoBench, InferenceStandIn]) -> None:
    bench, stand_in = played
    stand_in.answer = lambda frame: stand_in.release(frame, good(), card=CardId('0' * 16, 'other'))
    bench.refused('other_model', *pair((96, 64), (4, 4)))


def test_without_an_answer_a_frame_is_dropped_and_named(
    make_graph: Callable[..., AbstractContextManager[Any]], model: Path
) -> None:
    with make_graph() as graph:
        bench = StereoBench(graph, model=str(model), network__wait_s=0.1, **CHECK_NEVER)
        stand_in = InferenceStandIn(bench.probe)
        bench.put_infos(*infos((96, 64)))
        bench.refused('no_outputs', *pair((96, 64), (4, 4)))
        stand_in.release(stand_in.wait_asked(1), good())
        bench.probe.wait_until(lambda: bench.count('unasked_outputs') == 1, 'the late answer is counted')
        assert not bench.depths


def test_frames_that_the_inference_node_passed_over_are_superseded(
    played: tuple[StereoBench, InferenceStandIn],
) -> None:
    bench, stand_in = played
    stand_in.answer = lambda frame: None
    count, lost = len(stand_in.asked), bench.count('superseded')
    headers = []
    for seed in range(3):
        headers.append(bench.send(*pair((96, 64), (4, 4), seed)))
        stand_in.wait_asked(count + seed + 1)
    stand_in.release(stand_in.asked[count + 2], good())
    bench.of(bench.depths, headers[2])
    bench.probe.wait_until(lambda: bench.count('superseded') == lost + 2, 'both others are counted')
    assert not any(one.header.stamp in [header.stamp for header in headers[:2]] for one in bench.depths)


def test_what_goes_to_the_network_is_the_pair_as_its_card_says(played: tuple[StereoBench, InferenceStandIn]) -> None:
    bench, stand_in = played
    stand_in.answer = lambda frame: good()
    left, right = pair((96, 64), (4, 4), 9)
    bench.ask(left, right)
    frame = stand_in.asked[-1]
    for name, image in (('left', left), ('right', right)):
        np.testing.assert_allclose(frame.tensors[name][0].transpose(1, 2, 0)[..., ::-1], image / 255.0, atol=1e-6)
    assert frame.card is not None and frame.card.name == 'matcher' and frame.timings[0].stage == 'preprocess'
    assert list(frame.auxiliary['letterbox'][:4]) == [96, 64, 96, 64]


def test_nobody_runs_the_model(make_graph: Callable[..., AbstractContextManager[Any]], model: Path) -> None:
    with make_graph() as graph:
        bench = StereoBench(graph, model=str(model))
        bench.put_infos(*infos((96, 64)))
        bench.refused('no_inference', *pair((96, 64), (4, 4)))
        bench.probe.wait_until(lambda: 'no_inference' in bench.probe.status('stereo').message, 'diagnostics say so')


def test_a_network_s_confidence_is_published(
    make_graph: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    model = write_matcher(tmp_path / 'm.onnx', confidence=True)
    with make_graph() as graph:
        bench = StereoBench(graph, model=str(model), network__min_confidence=0.3, **CHECK_NEVER)
        stand_in = InferenceStandIn(bench.probe)
        confidences = bench.probe.listen('depth/confidence', Image)
        bench.put_infos(*infos((96, 64)))
        sure = np.full((1, 1, 64, 96), 0.2, np.float32)
        sure[..., 50:] = 0.4
        stand_in.answer = lambda frame: {**good(), 'confidence': sure}
        header = bench.send(*pair((96, 64), (4, 4)))
        depth = np.frombuffer(bench.of(bench.depths, header).data, np.float32).reshape(64, 96)
        found = np.frombuffer(bench.of(confidences, header).data, np.uint8).reshape(64, 96)
        assert np.isnan(depth[:, :50]).all() and (found[:, :50] == 0).all()
        assert np.allclose(depth[:, 50:], 5.0) and (found[:, 50:] == 102).all()


def test_a_model_for_something_else_is_refused(
    make_graph: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    model = write_filler(tmp_path / 'm.onnx')
    with make_graph() as graph:
        graph.load('StereoNode', 'stereo', model=str(model))
        graph.probe.wait_until(
            lambda: 'expected stereo_depth: give a model' in graph.probe.status('stereo').message, 'configuring says so'
        )
