# SPDX-License-Identifier: Apache-2.0
"""The real graph on a GPU: the same YAML with `backend: tensorrt` gives the same detections; tensors stay there."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from support.onnx_models import ultralytics_metadata, write_model
from support.ros.node_graph import empty_container
from support.ros.probe import image_message, value_of
from support.waiting import LIMIT_S

from isaac_inference.models import read_card
from isaac_inference.ros.messages.tensors import from_tensor_list
from isaac_inference.stages import Preprocessor

LABELS = ['cup', 'can', 'box']
BUILD_S = 2 * LIMIT_S
BEST_EFFORT = QoSProfile(depth=10, reliability=QoSReliabilityPolicy.BEST_EFFORT)
# 8.6 can do without cuBLAS and cuDNN then, which the machine may lack
ENGINE = {
    'tensorrt__preset': 'fastest',
    'tensorrt__tactic_sources': ['JIT_CONVOLUTIONS', 'EDGE_MASK_CONVOLUTIONS'],
}


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    metadata = ultralytics_metadata(LABELS, imgsz=(64, 64))
    return write_model(tmp_path_factory.mktemp('model') / 'tiny.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata)


@pytest.fixture(scope='module')
def large_model(tmp_path_factory):
    """Needs some MiB of buffers."""
    metadata = ultralytics_metadata(LABELS, imgsz=(640, 640))
    path = tmp_path_factory.mktemp('model') / 'large.onnx'
    return write_model(path, 'yolov8', input_wh=(640, 640), metadata=metadata)


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp('cache'))


@contextlib.contextmanager
def running(model, cache, inference=None, **parameters: dict[str, Any]):
    """The whole graph with TensorRT, active."""
    engine = {'backend': 'tensorrt', 'tensorrt__cache_dir': cache, **ENGINE, **(inference or {})}
    with empty_container() as graph:
        graph.load_all(model, limit_s=BUILD_S, annotate=False, inference=engine, **parameters)
        yield graph


def pictures():
    random = np.random.default_rng(3)
    yield np.full((64, 64, 3), 255, np.uint8)
    for height, width in ((48, 64), (480, 640), (1080, 1920)):
        coarse = random.integers(0, 256, (6, 8, 3), np.uint8)
        yield np.kron(coarse, np.ones((height // 6, width // 8, 1), np.uint8)).astype(np.uint8)


def used_gpu(graph, stage):
    """Whether the stage has measured GPU time; a measurement is read when the next frame comes."""
    for _ in range(2):
        graph.probe.ask(image_message())
    return float(value_of(graph.probe.wait_report(stage), 'gpu_ms.p50') or 0.0) > 0.0


def boxes(array):
    return [
        (
            one.results[0].hypothesis.class_id,
            one.results[0].hypothesis.score,
            one.bbox.center.position.x,
            one.bbox.center.position.y,
            one.bbox.size_x,
            one.bbox.size_y,
        )
        for one in array.detections
    ]


def test_a_missing_engine_is_built_while_the_node_says_so_and_activates_itself(ros, model, tmp_path):
    with empty_container() as graph:
        engine = {'backend': 'tensorrt', 'tensorrt__cache_dir': str(tmp_path), **ENGINE}
        graph.load('InferenceNode', 'inference', model=str(model), **engine)
        graph.probe.wait_until(lambda: 'BUILDING' in graph.probe.status('inference').message)
        assert graph.probe.value('inference', 'state') == 'inactive'
        graph.probe.wait_active('inference', limit_s=BUILD_S)
        assert 'TensorRT' in graph.probe.value('inference', 'device')
        assert 'BUILDING' not in graph.probe.status('inference').message


def test_the_same_parameters_give_the_same_detections_on_tensorrt(ros, model, cache):
    with empty_container() as graph:
        graph.load_all(model, annotate=False, inference={'backend': 'onnxruntime'})
        expected = [boxes(graph.probe.ask(image_message(picture))) for picture in pictures()]
    with running(model, cache) as graph:
        found = [boxes(graph.probe.ask(image_message(picture))) for picture in pictures()]
        for stage in ('preprocess', 'inference', 'detection'):
            assert used_gpu(graph, stage), f'{stage} did not use the GPU'
    assert any(expected)
    for one, other in zip(found, expected, strict=True):
        assert [name for name, *_ in one] == [name for name, *_ in other]
        np.testing.assert_allclose([rest for _, *rest in one], [rest for _, *rest in other], atol=0.5)


def test_a_subscriber_elsewhere_gets_the_bytes_of_tensors_on_the_gpu(ros, model, cache):
    messages = pytest.importorskip('isaac_ros_tensor_list_interfaces.msg')
    picture = next(picture for picture in pictures() if picture.shape[0] == 480)
    with running(model, cache) as graph:
        tensors = graph.probe.listen('input_tensors', messages.TensorList, BEST_EFFORT)
        outputs = graph.probe.listen('output_tensors', messages.TensorList, BEST_EFFORT)
        for _ in range(20):  # best effort may lose one
            graph.probe.ask(image_message(picture))
            if tensors and outputs:
                break
        graph.probe.wait_until(lambda: tensors and outputs)
        got = from_tensor_list(tensors[-1]).tensors
        assert graph.probe.ask(image_message(picture)).detections is not None
    expected, _ = Preprocessor(read_card(str(model)))(picture)
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, atol=1.01 / 255)


@pytest.mark.parametrize(('stage', 'other'), [('preprocess', 'detection'), ('detection', 'preprocess')])
def test_a_stage_can_stay_on_the_cpu(ros, model, cache, stage, other):
    with running(model, cache, **{stage: {'device': 'cpu'}}) as graph:
        assert [name for name, *_ in boxes(graph.probe.ask(image_message()))] == LABELS
        assert used_gpu(graph, other)
        assert graph.probe.value(stage, 'gpu_ms.p50') == ''


def test_a_frame_that_cannot_be_used_is_dropped_and_the_next_one_goes_through(ros, model, cache):
    with running(model, cache) as graph:
        graph.probe.send(image_message(step=1))
        graph.probe.wait_until(lambda: graph.probe.value('preprocess', 'dropped.bad_step') == '1')
        assert [name for name, *_ in boxes(graph.probe.ask(image_message()))] == LABELS


def test_too_little_memory_leaves_the_node_inactive_with_the_figures(ros, large_model, cache):
    with empty_container() as graph:
        limit = {'tensorrt__memory_limit_mib': 1, 'tensorrt__cache_dir': cache, **ENGINE}
        graph.load('InferenceNode', 'inference', model=str(large_model), backend='tensorrt', **limit)
        graph.probe.wait_until(lambda: 'MiB are free' in graph.probe.status('inference').message, limit_s=BUILD_S)
        assert graph.probe.value('inference', 'state') != 'active'


def test_with_fallback_it_runs_on_the_cpu_instead_and_says_so(ros, large_model, cache):
    with running(large_model, cache, {'tensorrt__memory_limit_mib': 1, 'fallback': True}) as graph:
        assert [name for name, *_ in boxes(graph.probe.ask(image_message()))] == LABELS
        assert graph.probe.value('inference', 'device').startswith('CPU')
        assert 'MiB are free' in graph.probe.status('inference').message


def test_without_auto_build_the_error_names_the_command(ros, model, tmp_path):
    with empty_container() as graph:
        values = {'tensorrt__auto_build': False, 'tensorrt__cache_dir': str(tmp_path), **ENGINE}
        graph.load('InferenceNode', 'inference', model=str(model), backend='tensorrt', **values)
        graph.probe.wait_until(lambda: 'isaac-inference build' in graph.probe.status('inference').message)


def test_a_thousand_frames_lose_no_buffer(ros, model, cache):
    with running(model, cache) as graph:
        message = image_message(np.full((480, 640, 3), 255, np.uint8))
        for _ in range(1000):
            graph.probe.send(message)
        assert [name for name, *_ in boxes(graph.probe.ask(image_message()))] == LABELS
        for stage in ('preprocess', 'inference', 'detection'):
            assert not graph.probe.value(stage, 'dropped.device_buffers_busy'), stage
            assert not graph.probe.value(stage, 'dropped.internal_error'), stage
