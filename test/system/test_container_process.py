# SPDX-License-Identifier: Apache-2.0
"""The container as a process of its own, filled through its services as `ros2 component load` does."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from support.onnx_models import known_detections, ultralytics_metadata, write_model
from support.ros.probe import LATCHED, Probe, image_message, probing
from support.waiting import LIMIT_S
from vision_msgs.msg import LabelInfo

from isaac_inference.ros.bringup.graph import perception_graph

NAMESPACE = '/by_services'
pytestmark = pytest.mark.system


@pytest.fixture(scope='module')
def container() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [
            sys.executable,
            '-c',
            'from isaac_inference.ros.runtime.container.container import main; main()',
            '--ros-args',
            '-r',
            f'__ns:={NAMESPACE}',
            '-r',
            '__node:=box',
        ]
    )
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope='module')
def probe(container: Any) -> Iterator[Probe]:
    with probing(NAMESPACE) as made:
        yield made


def call(probe: Probe, service: str, kind: Any, request: Any) -> Any:
    client = probe.node.create_client(kind, f'box/_container/{service}')
    probe.wait_until(client.service_is_ready, f'{service} is served')
    future = client.call_async(request)
    probe.wait_until(future.done, f'{service} answers')
    probe.node.destroy_client(client)
    return future.result()


def load_request(plugin: str, name: str = '', **parameters: Any) -> LoadNode.Request:
    return LoadNode.Request(
        package_name='isaac_inference',
        plugin_name=plugin,
        node_name=name,
        node_namespace=NAMESPACE,
        parameters=[Parameter(key, value=value).to_parameter_msg() for key, value in parameters.items()],
    )


def listed(probe: Probe) -> dict[int, str]:
    answer = call(probe, 'list_nodes', ListNodes, ListNodes.Request())
    return dict(zip(answer.unique_ids, answer.full_node_names, strict=True))


def test_a_pipeline_loaded_by_service_calls_detects_over_dds(
    container: subprocess.Popen[bytes], probe: Probe, tmp_path: Path
) -> None:
    metadata = ultralytics_metadata(['cup', 'can', 'box'], imgsz=(64, 64))
    model = str(write_model(tmp_path / 'cups.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata))
    pictures = probe.listen('annotate/debug_image', Image)
    labels = probe.listen('label_info', LabelInfo, LATCHED)
    answers = [
        call(
            probe,
            'load_node',
            LoadNode,
            load_request(spec.plugin, spec.name, **({'model': model} if spec.parameters else {})),
        )
        for spec in perception_graph(model=model)
    ]
    assert [(answer.success, answer.error_message) for answer in answers] == [(True, '')] * 4
    assert listed(probe) == {answer.unique_id: answer.full_node_name for answer in answers}

    probe.wait_active('preprocess', 'inference', 'detection', 'annotate')
    probe.introduce(lambda: pictures and labels)
    assert {picture.header.frame_id for picture in pictures} == {'lens'}
    image = image_message()
    array = probe.ask(image)

    assert [item.results[0].hypothesis.class_id for item in array.detections] == ['cup', 'can', 'box']
    for item, known in zip(array.detections, known_detections(3, (64, 64)), strict=True):
        x0, y0, x1, y1 = known.xyxy
        assert item.results[0].hypothesis.score == pytest.approx(known.score, abs=1e-3)
        assert (item.bbox.center.position.x, item.bbox.center.position.y) == pytest.approx(
            ((x0 + x1) / 2, (y0 + y1) / 2), abs=0.01
        )
        assert (item.bbox.size_x, item.bbox.size_y) == pytest.approx((x1 - x0, y1 - y0), abs=0.01)
        assert item.header == image.header
        assert item.id == ''
    assert [entry.class_name for entry in labels[0].class_map] == ['cup', 'can', 'box']


def test_a_node_that_can_not_be_loaded_says_why(container: subprocess.Popen[bytes], probe: Probe) -> None:
    answer = call(probe, 'load_node', LoadNode, load_request('isaac_inference::NoSuchNode'))
    assert not answer.success
    assert 'NoSuchNode' in answer.error_message
    assert 'isaac_inference::PreprocessNode' in answer.error_message


def test_a_bad_name_is_answered_not_raised(container: subprocess.Popen[bytes], probe: Probe) -> None:
    answer = call(probe, 'load_node', LoadNode, load_request('isaac_inference::PreprocessNode', 'not a name'))
    assert not answer.success
    assert 'not a name' in answer.error_message


def test_a_taken_name_is_refused_and_an_unloaded_one_is_free_again(
    container: subprocess.Popen[bytes], probe: Probe
) -> None:
    request = load_request('isaac_inference::AnnotateNode', 'twice')
    first = call(probe, 'load_node', LoadNode, request)
    second = call(probe, 'load_node', LoadNode, request)
    assert first.success
    assert not second.success
    assert f'as component {first.unique_id}' in second.error_message

    assert call(probe, 'unload_node', UnloadNode, UnloadNode.Request(unique_id=first.unique_id)).success
    assert f'{NAMESPACE}/twice' not in listed(probe).values()
    probe.wait_until(lambda: f'{NAMESPACE}/twice' not in probe.node.get_fully_qualified_node_names())
    assert call(probe, 'load_node', LoadNode, request).success


def test_unloading_what_is_not_loaded_names_what_is(container: subprocess.Popen[bytes], probe: Probe) -> None:
    answer = call(probe, 'unload_node', UnloadNode, UnloadNode.Request(unique_id=999))
    assert not answer.success
    assert 'component 999 is not loaded' in answer.error_message


def test_a_model_that_is_missing_leaves_the_node_loaded_with_an_error_status(
    container: subprocess.Popen[bytes], probe: Probe
) -> None:
    assert call(
        probe,
        'load_node',
        LoadNode,
        load_request('isaac_inference::InferenceNode', 'lost', model='/no/such/model.onnx'),
    ).success
    probe.wait_until(lambda: 'configure failed' in probe.status('lost').message)
    assert '/no/such/model.onnx' in probe.status('lost').message
    assert probe.value('lost', 'state') == 'unconfigured'


def test_it_ends_cleanly_on_sigint(container: subprocess.Popen[bytes], probe: Probe) -> None:
    container.send_signal(signal.SIGINT)
    assert container.wait(LIMIT_S) == 0
