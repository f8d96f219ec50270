# SPDX-License-Identifier: Apache-2.0
"""CompletionNode with a network, over real DDS: with the inference node, and with one that a test plays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, RegionOfInterest
from std_msgs.msg import Header
from support.dense.inference_stand_in import InferenceStandIn
from support.dense.networks import write_filler, write_matcher
from support.ros.probe import RELIABLE, image_message

from isaac_inference.evaluation.depth.errors import depth_errors
from isaac_inference.models import CardId
from isaac_inference.models.demo import completion_model
from isaac_inference.ops.depth.dense.complete import complete_depth
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ros.messages.camera_info import calibration, camera_info
from isaac_inference.ros.messages.depth import DepthEncoding, depth_frame
from isaac_inference.ros.messages.image import to_image_message
from isaac_inference.ros.messages.tensors import TENSORS
from isaac_inference.ros.nodes.shared import network_link
from isaac_inference.sim.completion import completion_sample


class NetworkBench:
    """A CompletionNode with a network, and a probe that plays an RGB-D camera."""

    def __init__(self, graph: Any, model: Path, **parameters: Any) -> None:
        self.probe = graph.probe
        self.node = graph.load(
            'CompletionNode', 'completion', model=str(model), image_qos__reliability='reliable', **parameters
        )
        self.found = self.probe.listen('depth/image', Image)
        self.infos = self.probe.listen('depth/camera_info', CameraInfo)
        make = self.probe.node.create_publisher
        self._depths = make(Image, 'sensor_depth/image', RELIABLE)
        self._infos = make(CameraInfo, 'camera_info', RELIABLE)
        self.probe.wait_active('completion')

    def put_camera(self, size: tuple[int, int], **fields: Any) -> None:
        """Of images of that size, but for what the fields say."""
        K = np.array([[80.0, 0, size[0] / 2], [0, 80, size[1] / 2], [0, 0, 1]])
        message = camera_info(Header(frame_id='lens'), CameraModel(*size, K))
        for name, value in fields.items():
            setattr(message, name, value)
        self.probe.send(message, self._infos)
        said = calibration(message)
        self.probe.wait_until(lambda: self.node._feed.calibration == said, 'the node knows the camera')

    def send(self, color: np.ndarray, depth: np.ndarray, later_s: int = 0, encoding: str = '32FC1') -> Header:
        message = image_message(color)
        self.probe.send(message)
        sent = to_image_message(depth_frame(depth, DepthEncoding(encoding), message.header, depth.shape[::-1]))
        sent.header.stamp.sec += later_s
        self.probe.send(sent, self._depths)
        return sent.header

    def of(self, messages: list[Any], header: Header) -> Any:
        self.probe.wait_until(lambda: any(one.header == header for one in list(messages)), 'the answer to depth')
        return next(one for one in list(messages) if one.header == header)

    def ask(self, color: np.ndarray, depth: np.ndarray, **how: Any) -> np.ndarray:
        message = self.of(self.found, self.send(color, depth, **how))
        return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)

    def count(self, reason: str) -> int:
        return int(self.probe.value('completion', f'dropped.{reason}') or 0)

    def refused(self, reason: str, color: np.ndarray, depth: np.ndarray, **how: Any) -> None:
        before, count = len(self.found), self.count(reason)
        self.send(color, depth, **how)
        self.probe.wait_until(lambda: self.count(reason) > count, f'dropped.{reason} is counted')
        assert len(self.found) == before


def words_of(bench: NetworkBench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the node says of frames that nobody takes, from now on."""
    said: list[str] = []
    warn = bench.node.health.warn

    def listen(key: str, text: str, **how: Any) -> None:
        said.extend([text] if key == 'no_inference' else [])
        warn(key, text, **how)

    monkeypatch.setattr(bench.node.health, 'warn', listen)
    return said


def image(size: tuple[int, int], value: int = 120) -> np.ndarray:
    return np.full((size[1], size[0], 3), value, np.uint8)


def measured(size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 m: a plane from 1.8 to 2.2 m, with a hole in its middle."""
    width, height = size
    depth = np.tile(np.linspace(1.8, 2.2, width, dtype=np.float32), (height, 1))
    depth[hole(size)] = np.nan
    return depth


def hole(size: tuple[int, int], margin: int = 0) -> tuple[slice, slice]:
    width, height = size
    return tuple(slice(side // 3 + margin, side // 2 - margin) for side in (height, width))  # type: ignore[return-value]


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_filler(tmp_path_factory.mktemp('completion') / 'filler.onnx')


@pytest.fixture(scope='module')
def real(make_graph: Callable[..., AbstractContextManager[Any]], model: Path) -> Iterator[NetworkBench]:
    with make_graph() as graph:
        graph.load('InferenceNode', 'inference', model=str(model))
        bench = NetworkBench(graph, model, network__wait_s=60.0)
        bench.probe.wait_active('inference')
        bench.put_camera((64, 48))
        yield bench


@pytest.mark.parametrize('size', [(64, 48), (128, 96), (129, 97), (101, 99), (320, 200), (33, 25)])
def test_holes_are_filled_at_every_size(real: NetworkBench, size: tuple[int, int]) -> None:
    real.put_camera(size)
    depth = measured(size)
    found = real.ask(image(size), depth)
    known = np.isfinite(depth)
    np.testing.assert_array_equal(found[known], depth[known])
    inner = found[hole(size, 1 + max(1, size[0] // 48))]
    assert np.abs(inner - 2.0).max(initial=0.0) < 1e-3 and np.isfinite(found[hole(size)]).all()
    real.probe.wait_until(lambda: '% filled' in real.probe.value('completion', 'known'), 'diagnostics show how much')


def test_the_package_s_own_network_is_ahead_of_the_classical_way(
    make_graph: Callable[..., AbstractContextManager[Any]],
) -> None:
    model, sample = completion_model(), completion_sample(7901)
    with make_graph() as graph:
        graph.load('InferenceNode', 'inference', model=str(model))
        bench = NetworkBench(graph, model, network__wait_s=60.0)
        confidences = bench.probe.listen('depth/confidence', Image)
        bench.probe.wait_active('inference')
        bench.put_camera((640, 480))
        header = bench.send(sample.color, sample.measured)
        depth = np.frombuffer(bench.of(bench.found, header).data, np.float32).reshape(480, 640)
        sure = np.frombuffer(bench.of(confidences, header).data, np.uint8).reshape(480, 640)
    truth, classical = sample.truth * np.float32(sample.scale), complete_depth(sample.measured, sample.color)
    holes = np.isnan(sample.measured)
    ours, theirs = (depth_errors(found, truth, holes) for found in (depth, classical))
    assert ours.abs_rel < 0.7 * theirs.abs_rel and ours.completeness > 0.95 * theirs.completeness
    whole, before = (depth_errors(found, truth) for found in (depth, classical))
    assert whole.rmse < 0.5 * before.rmse and whole.completeness > 0.93
    np.testing.assert_array_equal(sure > 0, np.isfinite(depth))


def test_an_image_of_another_resolution_and_millimetres(real: NetworkBench) -> None:
    real.put_camera((128, 96))
    depth = np.nan_to_num(measured((64, 48)) * np.float32(1000.0)).astype(np.uint16)
    header = real.send(image((128, 96)), measured((64, 48)), encoding='16UC1')
    message, info = real.of(real.found, header), real.of(real.infos, header)
    found = np.frombuffer(message.data, np.float32).reshape(48, 64)
    np.testing.assert_allclose(found[depth > 0], depth[depth > 0] / 1000.0, atol=1e-3)
    assert np.abs(found[hole((64, 48), 2)] - 2.0).max() < 1e-3
    assert (info.width, info.height, info.k[0]) == (64, 48, 40.0)


def cloud_of(bench: NetworkBench, clouds: list[Any], color: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(H, W, 3) m, the completed points of an image."""
    cloud = bench.of(clouds, bench.send(color, depth))
    rows = np.frombuffer(cloud.data, np.uint8).reshape(-1, cloud.point_step)[:, :12]
    return np.ascontiguousarray(rows).view(np.float32).reshape(*depth.shape, 3)


@pytest.mark.parametrize('binning', [(1, 1), (2, 2)])
def test_points_of_a_part_of_the_sensor_are_those_of_the_whole(real: NetworkBench, binning: tuple[int, int]) -> None:
    """Image and depth show the part; CameraInfo is of the whole sensor, with its roi and binning."""
    size, (x, y, width, height) = (128, 96), (16, 8, 96, 80)
    clouds = real.probe.listen('depth/points', PointCloud2)
    real.put_camera(size)
    depth = measured(size)
    whole = cloud_of(real, clouds, image(size), depth)[y : y + height, x : x + width]
    part = depth[y : y + height, x : x + width]
    columns, rows = width // binning[0], height // binning[1]
    joined = part.reshape(rows, binning[1], columns, binning[0]).mean(axis=(1, 3))
    roi = RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)
    real.put_camera(size, roi=roi, binning_x=binning[0], binning_y=binning[1])
    found = cloud_of(real, clouds, image((columns, rows)), joined)
    expected = whole.reshape(rows, binning[1], columns, binning[0], 3).mean(axis=(1, 3))
    there = np.isfinite(joined)
    assert np.abs(found - expected)[there].max() < 2e-3
    inner = hole(size, 4)
    middle = np.zeros(size[::-1], bool)
    middle[inner] = True
    middle = middle[y : y + height, x : x + width][:: binning[1], :: binning[0]]
    assert middle.any() and np.abs(found - expected)[middle].max() < 0.1, 'the hole is filled alike'
    real.probe.ignore('depth/points')


def test_there_is_a_cloud_in_colour(real: NetworkBench) -> None:
    real.put_camera((64, 48))
    clouds = real.probe.listen('depth/points', PointCloud2)
    header = real.send(image((64, 48)), measured((64, 48)))
    cloud = real.of(clouds, header)
    assert cloud.width == 64 * 48 and [field.name for field in cloud.fields] == ['x', 'y', 'z', 'rgb']
    real.probe.ignore('depth/points')


@pytest.fixture(scope='module')
def played(
    make_graph: Callable[..., AbstractContextManager[Any]], model: Path
) -> Iterator[tuple[NetworkBench, InferenceStandIn]]:
    with make_graph() as graph:
        bench = NetworkBench(graph, model, network__wait_s=60.0, wait_s=0.1)
        bench.put_camera((64, 48))
        yield bench, InferenceStandIn(bench.probe)


def good(value: float = 2.0) -> dict[str, np.ndarray]:
    return {'dense_depth': np.full((1, 1, 48, 64), value, np.float32)}


@pytest.fixture(autouse=True)
def sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """The node lives on after each test that plays the inference node."""
    yield
    if 'played' in request.fixturenames:
        bench, stand_in = request.getfixturevalue('played')
        stand_in.answer = lambda frame: good()
        assert np.isfinite(bench.ask(image((64, 48)), measured((64, 48)))).all()


@pytest.mark.parametrize(
    'outputs, reason',
    [
        ({'dense_depth': np.full((1, 1, 48, 64), np.nan, np.float32)}, 'bad_values'),
        ({'dense_depth': np.full((1, 1, 64, 48), 2.0, np.float32)}, 'bad_output_shape'),
        ({'dense_depth': np.full((1, 3, 48, 64), 2.0, np.float32)}, 'bad_output_shape'),
        ({'dense_depth': np.full((1, 1, 48, 64), -2.0, np.float32)}, 'completion_disagrees'),
        ({'dense_depth': np.full((1, 1, 48, 64), 2000.0, np.float32)}, 'completion_disagrees'),
        ({'other': np.full((1, 1, 48, 64), 2.0, np.float32)}, 'missing_output'),
    ],
)
def test_outputs_that_cannot_be_are_dropped(
    played: tuple[NetworkBench, InferenceStandIn], outputs: dict[str, np.ndarray], reason: str
) -> None:
    bench, stand_in = played
    stand_in.answer = lambda frame: outputs
    bench.refused(reason, image((64, 48)), measured((64, 48)))


@pytest.mark.parametrize(
    'reason, change, how',
    [
        ('depth_empty', lambda depth: np.full_like(depth, np.nan), {}),
        ('depth_unit', lambda depth: depth * np.float32(1000.0), {}),
        ('depth_unregistered', lambda depth: np.ascontiguousarray(depth[:, :40]), {}),
        ('unpaired_image', lambda depth: depth, {'later_s': 5000}),
    ],
)
def test_depth_that_cannot_be_used_never_reaches_the_network(
    played: tuple[NetworkBench, InferenceStandIn], reason: str, change: Any, how: dict[str, int]
) -> None:
    bench, stand_in = played
    stand_in.answer = lambda frame: good()
    count = len(stand_in.asked)
    bench.refused(reason, image((64, 48)), change(measured((64, 48))), **how)
    assert len(stand_in.asked) == count


def test_an_answer_of_another_model_is_dropped(played: tuple[NetworkBench, InferenceStandIn]) -> None:
    bench, stand_in = played
    stand_in.answer = lambda frame: stand_in.release(frame, good(), card=CardId('0' * 16, 'other'))
    bench.refused('other_model', image((64, 48)), measured((64, 48)))


def test_what_goes_to_the_network_is_as_its_card_says(played: tuple[NetworkBench, InferenceStandIn]) -> None:
    bench, stand_in = played
    stand_in.answer = lambda frame: good()
    depth = measured((64, 48))
    color = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    bench.ask(color, depth)
    tensors = stand_in.asked[-1].tensors
    np.testing.assert_allclose(tensors['image'][0].transpose(1, 2, 0)[..., ::-1], color / 255.0, atol=1e-6)
    np.testing.assert_array_equal(tensors['depth'][0, 0], np.nan_to_num(depth))


def test_what_no_reading_supports_stays_unknown(played: tuple[NetworkBench, InferenceStandIn]) -> None:
    bench, stand_in = played
    outputs = good()
    outputs['dense_depth'][0, 0, 18:20, 24:28] = (1.2, 1e6, np.nan, -3.0)
    stand_in.answer = lambda frame: outputs
    found = bench.ask(image((64, 48)), measured((64, 48)))
    assert np.isnan(found[18:20, 24:28]).all() and np.isfinite(found).sum() == found.size - 8


def test_nobody_runs_the_model(make_graph: Callable[..., AbstractContextManager[Any]], model: Path) -> None:
    with make_graph() as graph:
        bench = NetworkBench(graph, model)
        bench.put_camera((64, 48))
        bench.refused('no_inference', image((64, 48)), measured((64, 48)))


def test_while_the_inference_node_may_be_starting_frames_are_counted_and_nothing_is_said(
    make_graph: Callable[..., AbstractContextManager[Any]], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_graph() as graph:
        bench = NetworkBench(graph, model)
        said = words_of(bench, monkeypatch)
        bench.put_camera((64, 48))
        for _ in range(2):
            bench.refused('no_inference', image((64, 48)), measured((64, 48)))
        assert not said
        now = time.monotonic
        later = SimpleNamespace(monotonic=lambda: now() + network_link.STARTS_S, time_ns=time.time_ns)
        monkeypatch.setattr(network_link, 'time', later)
        bench.refused('no_inference', image((64, 48)), measured((64, 48)))
        bench.probe.wait_until(lambda: said, 'it lasts, and is said')
        assert 'start the inference node' in said[0]


def test_an_inference_node_that_has_gone_is_told_of_at_once(
    make_graph: Callable[..., AbstractContextManager[Any]], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_graph() as graph:
        bench = NetworkBench(graph, model, network__wait_s=60.0)
        said, asked = words_of(bench, monkeypatch), []
        bench.put_camera((64, 48))
        tensors, link = TENSORS.message_type, bench.node._link
        listener = bench.probe.node.create_subscription(tensors, 'input_tensors', asked.append, RELIABLE)
        bench.probe.wait_until(lambda: link._tensors.wanted, 'somebody takes the tensors')
        bench.send(image((64, 48)), measured((64, 48)))
        bench.probe.wait_until(lambda: asked, 'a frame is asked')
        bench.probe.node.destroy_subscription(listener)
        bench.probe.wait_until(lambda: not link._tensors.wanted, 'nobody takes the tensors')
        assert not said
        bench.refused('no_inference', image((64, 48)), measured((64, 48)))
        bench.probe.wait_until(lambda: said, 'it is said')
        assert 'start the inference node' in said[0]


def test_a_network_s_confidence_is_published(
    make_graph: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    model = write_filler(tmp_path / 'm.onnx', confidence=True)
    with make_graph() as graph:
        bench = NetworkBench(graph, model, network__wait_s=60.0)
        graph.load('InferenceNode', 'inference', model=str(model))
        confidences = bench.probe.listen('depth/confidence', Image)
        bench.probe.wait_active('inference')
        color = image((64, 48), 51)
        color[:, 28:] = 153
        header = bench.send(color, measured((64, 48)))
        depth = np.frombuffer(bench.of(bench.found, header).data, np.float32).reshape(48, 64)
        sure = np.frombuffer(bench.of(confidences, header).data, np.uint8).reshape(48, 64)
        rows, _ = hole((64, 48))
        assert np.isnan(depth[rows, 22:27]).all() and (sure[rows, 22:27] == 0).all()
        assert (depth[rows, 29:31] == 2.0).all() and np.abs(sure[rows, 29:31].astype(int) - 153).max() <= 1
        assert (sure[0] == 255).all()


def test_a_model_for_something_else_is_refused(
    make_graph: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    model = write_matcher(tmp_path / 'm.onnx')
    with make_graph() as graph:
        graph.load('CompletionNode', 'completion', model=str(model))
        graph.probe.wait_until(
            lambda: 'expected depth_completion: give a model' in graph.probe.status('completion').message,
            'configuring says so',
        )
