# SPDX-License-Identifier: Apache-2.0
"""Graphs of several cameras and models, running: over DDS, each camera's frames come out as its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from isaac_ros_tensor_list_interfaces.msg import TensorList
from sensor_msgs.msg import Image
from support.keypoints.dots import dots_of, scene
from support.onnx_models import known_detections, ultralytics_metadata, write_model
from support.pipelines import load
from support.ros.node_graph import Graph, empty_container
from support.ros.probe import image_message
from vision_msgs.msg import Detection2DArray

from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, LaunchPlan, launch_plan
from isaac_inference.ros.bringup.pipelines.topics import outputs
from isaac_inference.ros.messages.tensors import from_tensor_list

WHITE, BLACK = np.full((48, 64, 3), 255, np.uint8), np.zeros((48, 64, 3), np.uint8)
CAMERAS = ('front', 'left')
WH = (128, 128)
BOX = tuple(2.0 * value for value in known_detections(1, (64, 64))[0].xyxy)  # of an image of 128x128 px
DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}
pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Running:
    """A graph of pipelines, and its plan."""

    graph: Graph
    plan: LaunchPlan


@pytest.fixture(scope='module', params=['', 'realtime'], ids=['own qos', 'realtime'])
def running(
    request: pytest.FixtureRequest, ros: None, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """cups and plates share preprocessing, lanes has its own; two cameras, of which lanes has one."""
    path = tmp_path_factory.mktemp('file') / 'pipelines.yaml'
    pipelines = [
        {'name': 'cups', 'model': f'{models}/cups.onnx', 'priority': 3, 'tasks': ['track']},
        {'name': 'plates', 'model': f'{models}/plates.onnx', 'tasks': ['annotate'], 'priority': 0},
        {'name': 'lanes', 'model': f'{models}/lanes.onnx', 'cameras': ['left'], 'tasks': [], 'target_rate_hz': 5},
    ]
    path.write_text(yaml.safe_dump({'cameras': {name: {} for name in CAMERAS}, 'pipelines': pipelines}))
    with empty_container() as graph:
        plan = launch_plan({**DEFAULTS, 'pipelines': str(path), 'qos': request.param}, graph.namespace)
        load(graph, plan)
        yield Running(graph, plan)


def classes(message: Detection2DArray) -> set[str]:
    return {result.hypothesis.class_id for one in message.detections for result in one.results}


def test_each_camera_s_frames_come_out_as_its_own(running: Running) -> None:
    """Found only where the camera saw something, with the camera's stamp and frame, for both models."""
    graph = running.graph
    found = {
        (pipeline, camera): graph.probe.listen(f'{pipeline}/{camera}/detections', Detection2DArray)
        for pipeline in ('cups', 'plates')
        for camera in CAMERAS
    }
    cameras = {name: graph.probe.node.create_publisher(Image, f'{name}/image', 10) for name in CAMERAS}
    graph.probe.wait_matched()
    for number in range(1, 6):
        sent = {}
        for name, pixels in (('front', WHITE), ('left', BLACK)):
            sent[name] = image_message(pixels)
            sent[name].header.frame_id = f'{name}_optical_frame'
            sent[name].header.stamp.sec += number  # another frame each time
            graph.probe.send(sent[name], cameras[name])
        graph.probe.wait_until(
            lambda sent=sent: all(got and got[-1].header == sent[key[1]].header for key, got in found.items()),
            'each model has answered for each camera',
        )
    for (pipeline, camera), messages in found.items():
        assert {message.header.frame_id for message in messages} == {f'{camera}_optical_frame'}
        expected = {f'{pipeline}_a', f'{pipeline}_b'} if camera == 'front' else set()
        assert all(classes(message) == expected for message in messages)
    for node in ('cups/inference', 'plates/inference'):
        assert graph.probe.value(node, 'dropped.other_model') == ''


def test_the_nodes_publish_what_the_table_promises(running: Running) -> None:
    graph, plan = running.graph, running.plan
    promised = {name for spec in plan.nodes for name in outputs(spec, plan.namespace)}
    assert len(promised) > 10
    graph.probe.wait_until(
        lambda: promised <= {name for name, _ in graph.probe.node.get_topic_names_and_types()},
        f'{promised} are there',
    )
    published = {name for name in promised if graph.probe.node.count_publishers(name)}
    assert published == promised


def test_the_rate_of_a_pipeline_is_watched_for_each_of_its_cameras(running: Running) -> None:
    watchers = [spec for spec in running.plan.nodes if spec.name == 'budget']
    assert [(spec.namespace, spec.parameters['target_rate_hz']) for spec in watchers] == [('lanes/left', 5.0)]


def test_a_chain_of_two_models_runs_for_each_camera(ros: None, models: Path, tmp_path: Path) -> None:
    """People's keypoints are those of their own camera, though both models run once for all cameras."""
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64))
    person = write_model(tmp_path / 'person.onnx', 'yolov8', classes=1, input_wh=(64, 64), metadata=metadata)
    chain = {'models': f'{person},{models}/pose.onnx', 'cameras': ','.join(CAMERAS), 'annotate': 'false'}
    with empty_container() as graph:
        load(graph, launch_plan({**DEFAULTS, **chain}, graph.namespace))
        probe = graph.probe
        found = {name: probe.listen(f'{name}/keypoints', TensorList, read=from_tensor_list) for name in CAMERAS}
        cameras = {name: probe.node.create_publisher(Image, f'{name}/image', 10) for name in CAMERAS}
        probe.wait_matched()
        pixels = {'front': scene(WH, [BOX]), 'left': np.zeros((*WH, 3), np.uint8)}
        sent = {name: image_message(pixels[name], encoding='bgr8') for name in CAMERAS}
        for name in CAMERAS:
            sent[name].header.frame_id = name
            probe.send(sent[name], cameras[name])
        probe.wait_until(
            lambda: all(got and got[-1].header == sent[name].header for name, got in found.items()),
            'keypoints of both cameras',
        )
        [row] = found['front'][-1].tensors['keypoints']
        assert np.abs(row[:, :2] - dots_of(BOX)).max() <= 0.5
        assert found['left'][-1].tensors['keypoints'].shape[0] == 0
