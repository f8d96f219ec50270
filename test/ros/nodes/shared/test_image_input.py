# SPDX-License-Identifier: Apache-2.0
"""Images as cameras publish them, over real DDS: raw or compressed, on either topic, and of few bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from support.ros.node_graph import PATIENT, RELIABLE_IMAGES
from support.ros.probe import RELIABLE, image_message
from support.waiting import wait_until

from isaac_inference.ros.messages.image import IMAGE, image_frame_from_array
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

WHITE = np.full((64, 64, 3), 255, np.uint8)  # of which the model sees something


def compressed(pixels: np.ndarray = WHITE, stated_format: str = 'bgr8; png compressed bgr8') -> CompressedImage:
    data = cv2.imencode('.png', pixels)[1].tobytes()
    return CompressedImage(header=image_message().header, format=stated_format, data=data)


def forget_raw(graph: Any) -> None:
    """The probe publishes no Image any more."""
    graph.probe.node.destroy_publisher(graph.probe.images)


def publisher(graph: Any, kind: type, topic: str) -> Any:
    return graph.probe.node.create_publisher(kind, topic, RELIABLE)


def wait_transport(graph: Any, node: str, value: str) -> None:
    graph.probe.wait_until(lambda: graph.probe.value(node, 'transport') == value, f'{node} takes {value}')


def ask(graph: Any, message: Any, writer: Any) -> Any:
    """The detections of one image."""
    graph.probe.send(message, writer)
    graph.probe.wait_until(lambda: graph.probe.detections_of(message.header))
    return graph.probe.detections_of(message.header)[0].detections


def test_where_only_the_compressed_topic_is_published_it_is_taken(empty_graph: Any, model: Path) -> None:
    graph = empty_graph
    forget_raw(graph)
    writer = publisher(graph, CompressedImage, 'image/compressed')
    graph.load_all(model, annotate=False)
    wait_transport(graph, 'preprocess', f'compressed ({graph.namespace}/image/compressed)')
    assert ask(graph, compressed(), writer)
    assert not ask(graph, compressed(WHITE * 0), writer)


def test_an_image_topic_that_is_itself_compressed_is_taken(make_graph: Any, model: Path) -> None:
    """As with image:=/camera/image_raw/compressed."""
    with make_graph(image_type=CompressedImage) as graph:
        graph.load_all(model, annotate=False)
        wait_transport(graph, 'preprocess', f'compressed ({graph.namespace}/image)')
        assert ask(graph, compressed(), graph.probe.images)


def test_a_raw_camera_that_comes_later_is_taken_again(empty_graph: Any, model: Path) -> None:
    graph = empty_graph
    forget_raw(graph)
    small = publisher(graph, CompressedImage, 'image/compressed')
    graph.load_all(model, annotate=False)
    wait_transport(graph, 'preprocess', f'compressed ({graph.namespace}/image/compressed)')
    assert ask(graph, compressed(), small)
    large = publisher(graph, Image, 'image')
    wait_transport(graph, 'preprocess', f'raw ({graph.namespace}/image)')
    assert ask(graph, image_message(), large)
    small.publish(compressed())
    assert ask(graph, image_message(), large)
    assert graph.probe.wait_report('preprocess')
    assert graph.probe.value('preprocess', 'received') == '3', 'nothing comes by both ways'
    graph.probe.node.destroy_publisher(large)
    wait_transport(graph, 'preprocess', f'compressed ({graph.namespace}/image/compressed)')
    assert ask(graph, compressed(), small)


def test_a_topic_changes_its_type(make_graph: Any, model: Path) -> None:
    """A driver is restarted with other settings."""
    with make_graph(image_type=CompressedImage) as graph:
        graph.load_all(model, annotate=False)
        assert ask(graph, compressed(), graph.probe.images)
        forget_raw(graph)
        graph.probe.wait_until(lambda: not graph.node('preprocess').count_publishers(f'{graph.namespace}/image'))
        graph.probe.images = publisher(graph, Image, 'image')
        wait_transport(graph, 'preprocess', f'raw ({graph.namespace}/image)')
        assert ask(graph, image_message(), graph.probe.images)
        assert graph.probe.status('preprocess').level == DiagnosticStatus.OK


def test_the_compressed_topic_is_below_the_one_that_image_is_remapped_to(empty_graph: Any, model: Path) -> None:
    graph = empty_graph
    values = {**PATIENT, **RELIABLE_IMAGES, 'model': str(model)}
    graph.container.load(
        'isaac_inference',
        'PreprocessNode',
        node_name='preprocess',
        namespace=graph.namespace,
        remappings=['image:=front/image_raw'],
        parameters=[Parameter(name, value=value) for name, value in values.items()],
    )
    writer = publisher(graph, CompressedImage, 'front/image_raw/compressed')
    wait_transport(graph, 'preprocess', f'compressed ({graph.namespace}/front/image_raw/compressed)')
    graph.probe.send(compressed(), writer)
    graph.probe.wait_until(lambda: graph.probe.value('preprocess', 'processed') == '1')


def test_a_camera_of_this_process_stays_raw(empty_graph: Any, model: Path) -> None:
    """Although somebody publishes a compressed copy."""
    graph = empty_graph
    forget_raw(graph)
    publisher(graph, CompressedImage, 'image/compressed')
    nodes = graph.load_all(model, annotate=False)
    wait_transport(graph, 'preprocess', f'compressed ({graph.namespace}/image/compressed)')
    node = nodes['inference']
    qos = QosParameters(reliability=Reliability.RELIABLE)
    camera = Publisher(node, IMAGE, 'image', qos, node.health)
    try:
        wait_transport(graph, 'preprocess', f'raw ({graph.namespace}/image)')
        wait_until(lambda: camera.wanted, 'the node listens')
        header = image_message().header
        camera.publish(image_frame_from_array(WHITE, 'bgr8', header))
        graph.probe.wait_until(lambda: graph.probe.detections_of(header))
    finally:
        camera.close()


@pytest.mark.parametrize('transport', ['auto', 'compressed'])
def test_pictures_are_drawn_of_compressed_images(empty_graph: Any, model: Path, transport: str) -> None:
    graph = empty_graph
    if transport == 'auto':
        forget_raw(graph)
    writer = publisher(graph, CompressedImage, 'image/compressed')
    graph.load_all(model, annotate=False, preprocess={'transport': transport})
    annotate = graph.load('AnnotateNode', 'annotate', transport=transport)
    graph.probe.wait_active('annotate')
    pictures = graph.probe.listen('annotate/debug_image', Image)
    for name in ('preprocess', 'annotate'):
        wait_transport(graph, name, f'compressed ({graph.namespace}/image/compressed)')
    graph.probe.wait_matched()
    tensors = graph.node('preprocess')._tensors
    publish = tensors.publish
    source = compressed()

    def publish_later(frame: Any) -> None:
        """A model this small could answer before the image has come to the other node."""
        images = annotate._pairing._streams['image']
        wait_until(lambda: stamp_ns(source.header) in list(images.stamps), 'annotate has the image')
        publish(frame)

    tensors.publish = publish_later
    assert ask(graph, source, writer)
    graph.probe.wait_until(lambda: pictures)
    assert pictures[0].header == source.header
    picture = np.frombuffer(pictures[0].data, np.uint8).reshape(64, 64, 3)
    assert (picture != 255).any(), 'the boxes'
    assert (picture == 255).mean() > 0.3, 'the camera image'
    assert graph.probe.value('annotate', 'dropped.image_missing') in ('', '0')


def test_video_packets_are_named_and_dropped(empty_graph: Any, model: Path) -> None:
    graph = empty_graph
    forget_raw(graph)
    graph.load('PreprocessNode', 'preprocess', model=str(model))
    writer = publisher(graph, CompressedImage, 'image/compressed')
    wait_transport(graph, 'preprocess', f'compressed ({graph.namespace}/image/compressed)')
    packet = CompressedImage(header=image_message().header, format='h264', data=b'\0\0\0\1\x67')
    graph.probe.send(packet, writer)
    graph.probe.wait_until(lambda: graph.probe.value('preprocess', 'dropped.video_packet') == '1')


def test_a_stream_that_no_node_here_decodes_is_named(empty_graph: Any, model: Path) -> None:
    """Its message package need not be installed: String stands for the packets."""
    graph = empty_graph
    forget_raw(graph)
    graph.load('PreprocessNode', 'preprocess', model=str(model), input_timeout_s=0.1)
    publisher(graph, String, 'image/ffmpeg')
    words = (f'{graph.namespace}/image/ffmpeg (std_msgs/msg/String)', f'CompressedImage on {graph.namespace}/image/')
    graph.probe.wait_until(lambda: all(word in graph.probe.status('preprocess').message for word in words))
    assert graph.probe.status('preprocess').level == DiagnosticStatus.ERROR, 'silence alone would be STALE'
    publisher(graph, Image, 'image')
    graph.probe.wait_until(lambda: 'ffmpeg' not in graph.probe.status('preprocess').message)


def test_compressed_that_is_asked_for_where_only_raw_is_published_is_told(empty_graph: Any, model: Path) -> None:
    graph = empty_graph
    graph.load('PreprocessNode', 'preprocess', model=str(model), transport='compressed')
    words = f'transport is compressed, but {graph.namespace}/image carries Image, and nobody publishes CompressedImage'
    graph.probe.wait_until(lambda: words in graph.probe.status('preprocess').message)
    assert graph.probe.status('preprocess').message.endswith('; set transport to auto or raw')


def test_a_node_that_wants_no_images_now_finds_nothing_amiss(empty_graph: Any, model: Path) -> None:
    graph = empty_graph
    forget_raw(graph)
    nodes = [graph.load(kind, name, model=str(model)) for kind, name in (('PreprocessNode', 'preprocess'),)]
    nodes.append(graph.load('AnnotateNode', 'annotate'))
    publisher(graph, String, 'image/ffmpeg')
    graph.probe.wait_until(lambda: 'image/ffmpeg' in graph.probe.status('preprocess').message)
    assert graph.probe.wait_report('annotate').level == DiagnosticStatus.OK
    nodes[0].trigger_deactivate()
    nodes[0].trigger_cleanup()
    assert nodes[0].health.snapshot().problems == ()
    assert 'transport' not in nodes[0].health.snapshot().shown


@pytest.mark.parametrize(('encoding', 'bits'), [('mono16', 10), ('mono16', 12), ('bayer_rggb16', 12), ('mono16', 16)])
def test_samples_in_the_low_end_are_as_bright_as_those_of_8_bits(
    empty_graph: Any, model: Path, encoding: str, bits: int
) -> None:
    graph = empty_graph
    graph.load_all(model, annotate=False)
    samples = np.full((64, 64), (1 << bits) - 1, np.uint16)
    assert graph.probe.ask(image_message(samples, encoding)).detections
    assert not graph.probe.ask(image_message(samples * 0, encoding)).detections
    graph.probe.wait_until(lambda: graph.probe.value('preprocess', 'bit_depth').startswith(f'{bits} (auto'))


def test_a_bit_depth_can_be_chosen(empty_graph: Any, model: Path) -> None:
    graph = empty_graph
    graph.load_all(model, annotate=False, preprocess={'bit_depth': '16'})
    samples = np.full((64, 64), 4095, np.uint16)
    assert not graph.probe.ask(image_message(samples, 'mono16')).detections, 'as dark as 16 bits make it'
    assert graph.probe.value('preprocess', 'bit_depth') in ('', '16 (chosen)')
    graph.probe.wait_until(lambda: graph.probe.value('preprocess', 'bit_depth') == '16 (chosen)')


def test_more_bits_than_chosen_are_told(empty_graph: Any, model: Path) -> None:
    graph = empty_graph
    graph.load_all(model, annotate=False, preprocess={'bit_depth': '10'})
    for level in (1000, 4000):
        assert graph.probe.ask(image_message(np.full((64, 64), level, np.uint16), 'mono16')).detections
    words = ('mono16 has values of 4000', 'more than 10 bits', 'bit_depth')
    graph.probe.wait_until(lambda: all(word in graph.probe.status('preprocess').message for word in words))
