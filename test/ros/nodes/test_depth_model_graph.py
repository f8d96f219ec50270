# SPDX-License-Identifier: Apache-2.0
"""The graph that a detector and a `depth_model` start, over real DDS: both networks run, and neither gets the other's
tensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from support.dense.networks import write_filler, write_matcher
from support.ros.node_graph import PATIENT, RELIABLE_IMAGES, Graph
from support.ros.probe import RELIABLE, image_message

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, launch_plan
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.depth import DepthEncoding, depth_frame
from isaac_inference.ros.messages.image import to_image_message

DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}
K = np.array([[80.0, 0, 48], [0, 80, 32], [0, 0, 1]])


def start(graph: Graph, **given: str) -> None:
    """All nodes of a launch plan, in the graph's container."""
    specs = launch_plan({**DEFAULTS, **given}).nodes
    for spec in specs:
        images = RELIABLE_IMAGES if spec.name in ('preprocess', 'annotate', 'stereo', 'completion') else {}
        more = {'wait_s': 10.0, 'network.wait_s': 60.0} if spec.name in ('stereo', 'completion') else {}
        graph.container.load(
            'isaac_inference',
            spec.plugin.split('::')[1],
            node_name=spec.name,
            namespace=graph.namespace,
            remappings=[f'{name}:={topic}' for name, topic in spec.remappings.items()],
            parameters=[
                Parameter(name, value=value) for name, value in {**PATIENT, **images, **more, **spec.parameters}.items()
            ],
        )
    graph.probe.wait_active(*(spec.name for spec in specs))


def send(graph: Graph, message: Any, topic: str) -> None:
    publisher = graph.probe.node.create_publisher(type(message), topic, RELIABLE)
    graph.probe.send(message, publisher)


def depth_of(graph: Graph, header: Header) -> np.ndarray:
    found = graph.probe.received['depth/image']
    graph.probe.wait_until(lambda: any(one.header == header for one in list(found)), 'depth')
    message = next(one for one in found if one.header == header)
    return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)


def test_objects_and_the_depth_of_two_cameras(empty_graph: Graph, model: Path, tmp_path: Path) -> None:
    graph = empty_graph
    topics = {'image': 'l/image', 'left': 'l/image', 'left_info': 'l/info', 'right': 'r/image', 'right_info': 'r/info'}
    start(graph, model=str(model), depth_model=str(write_matcher(tmp_path / 'stereo.onnx')), **topics)
    graph.probe.listen('depth/image', Image)
    graph.node('stereo')._next_check_s = float('inf')  # noise is no scene
    for side, shift in (('l', 0.0), ('r', -8.0)):
        info = camera_info(Header(frame_id='lens'), CameraModel(96, 64, K))
        info.p[3] = shift
        send(graph, info, f'{side}/info')
    feeds = graph.node('stereo')._cameras._feeds
    graph.probe.wait_until(lambda: all(feed.calibration for feed in feeds.values()), 'the node knows both cameras')
    left = np.random.default_rng(0).integers(200, 255, (64, 96, 3), np.uint8)
    message = image_message(left)
    send(graph, image_message(np.roll(left, -4, axis=1), header=message.header), 'r/image')
    send(graph, message, 'l/image')
    depth = depth_of(graph, message.header)
    np.testing.assert_allclose(depth[8:-8, 12:-8], 2.0, rtol=1e-3)
    graph.probe.wait_until(lambda: graph.probe.detections_of(message.header), 'detections of the left image')
    assert graph.probe.detections_of(message.header)[0].detections


@pytest.mark.parametrize('has_detector', [True, False])
def test_objects_and_a_sensor_s_depth_without_holes(
    empty_graph: Graph, model: Path, tmp_path: Path, has_detector: bool
) -> None:
    graph = empty_graph
    network = str(write_filler(tmp_path / 'completion.onnx'))
    given = {'model': str(model), 'depth_model': network} if has_detector else {'model': network}
    start(graph, depth='sensor', **given)
    graph.probe.listen('depth/image', Image)
    graph.probe.listen('depth/camera_info', CameraInfo)
    message = image_message()
    depth = np.full((64, 64), 2.0, np.float32)
    depth[20:30, 20:30] = np.nan
    send(graph, camera_info(Header(frame_id='lens'), CameraModel(64, 64, K)), 'camera_info')
    graph.probe.wait_until(lambda: graph.node('completion')._feed.camera is not None, 'the node knows the camera')
    graph.probe.send(message)
    send(graph, to_image_message(depth_frame(depth, DepthEncoding.METRES, message.header, (64, 64))), 'sensor')
    np.testing.assert_allclose(depth_of(graph, message.header), 2.0, rtol=1e-6)
    if has_detector:
        graph.probe.wait_until(lambda: graph.probe.detections_of(message.header), 'detections of the image')
