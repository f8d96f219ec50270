# SPDX-License-Identifier: Apache-2.0
"""A node with several inputs reports its primary one: silence is STALE though all others flow, and what waits, expires
or is refused in the pairing is not processed."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from support.ros.pose_bench import PoseBench
from support.ros.pose_views import Card, View, view_of
from support.ros.probe import RELIABLE, image_message
from support.ros.stand_in_graph import frame_messages
from support.waiting import LIMIT_S, wait_until
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.bringup.clients.graph_client import GraphClient
from isaac_inference.ros.bringup.evaluation.client import AnswerTopics, EvaluationClient
from isaac_inference.ros.messages.camera_info import camera_info
from isaac_inference.ros.messages.poses import detection_3d
from isaac_inference.ros.runtime.health.diagnostics import judge
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.type_adapter import plain

STALE_S = 0.6
HERE = Pose(np.eye(3), np.array([0.1, 0.0, 0.8]))


@pytest.fixture(scope='module')
def around(make_graph: Any) -> Iterator[Any]:
    with make_graph() as graph:
        yield graph


@pytest.fixture(scope='module')
def pose_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Card().write(tmp_path_factory.mktemp('pose'))


@pytest.fixture(scope='module')
def view() -> View:
    return view_of()


class Watch:
    """The diagnostics of one node, and messages that flow while one looks at them."""

    def __init__(self, probe: Any, name: str) -> None:
        self.probe, self.name = probe, name

    def values(self, *keys: str) -> list[int]:
        """Numbers of the last diagnostics, 0 where there is none."""
        return [int(self.probe.value(self.name, key) or 0) for key in keys]

    def wait_values(self, **expected: int) -> None:
        """Wait until diagnostics say so; '__' stands for a dot."""
        keys = [key.replace('__', '.') for key in expected]
        wait_until(lambda: self.values(*keys) == list(expected.values()))

    def wait_while(self, flow: Callable[[], None], predicate: Callable[[], bool]) -> None:
        """Wait until `predicate()` while messages come like a camera's: `flow` some ten times a second."""
        end = time.monotonic() + LIMIT_S
        while not predicate():
            assert time.monotonic() < end, self.probe.status(self.name)
            flow()
            with contextlib.suppress(AssertionError):
                self.probe.wait_until(predicate, limit_s=0.1)

    def wait_stale(self, flow: Callable[[], None], topic: str, *others: str) -> None:
        """Wait until the node is STALE while `flow` goes on, and names `topic` and no other."""

        self.wait_while(
            flow,
            lambda: (
                self.probe.status(self.name).level == DiagnosticStatus.STALE
                and self.probe.status(self.name).message.startswith('no input')
            ),
        )
        message = self.probe.status(self.name).message
        named = [name for name in (topic, *others) if re.search(rf'{name}(?![\w/])', message)]
        assert named == [topic]


def stamped(ns: int, frame_id: str = 'lens') -> Header:
    return Header(stamp=Time(sec=ns // 10**9, nanosec=ns % 10**9), frame_id=frame_id)


# Pose


@pytest.fixture
def make_bench(around: Any, pose_model: Path) -> Iterator[Callable[..., tuple[PoseBench, Watch]]]:
    """Makes pose nodes with a short input timeout."""
    with contextlib.ExitStack() as stack:

        def make(**parameters: Any) -> tuple[PoseBench, Watch]:
            chosen = {'model': str(pose_model), 'input_timeout_s': STALE_S, **parameters}
            bench = stack.enter_context(contextlib.closing(PoseBench(around, **chosen)))
            return bench, Watch(bench.probe, bench.name)

        yield make


def test_a_pose_node_without_detections_is_stale_though_cameras_and_keypoints_flow(make_bench, view):
    bench, watch = make_bench(method='registration')
    small = np.ones((6, 8), np.float32)

    def flow() -> None:
        header = bench.stamp()
        bench.put_camera(view.camera, header)
        bench.put_depth(header, small)
        bench.put_keypoints(header, view.items[0].keypoints[None].astype(np.float32), (320, 240))

    space = f'{bench.graph.namespace}/{bench.name.removesuffix("/pose")}'
    others = [f'{space}/{name}' for name in ('camera_info', 'depth/image', 'depth/camera_info', 'keypoints', 'image')]
    watch.wait_stale(flow, f'{space}/detections', *others)
    watch.wait_while(flow, lambda: bench.node._camera.camera is not None)  # they do arrive
    watch.wait_values(received=0, processed=0, dropped=0)
    bench.ask(view, depth='32FC1')
    wait_until(lambda: watch.values('processed')[0] > 0)
    watch.wait_stale(flow, f'{space}/detections', *others)


def test_frames_that_expire_in_the_pairing_and_are_refused_then_are_not_processed(make_bench, view):
    bench, watch = make_bench(wait_s=0.2, input_timeout_s=LIMIT_S)
    for number in (1, 2, 3):
        header = bench.send(view, info=False, keypoints=False)
        bench.let_wait_end(header)
        watch.wait_values(received=number, dropped=number, dropped__no_camera_info=number)
    watch.wait_values(processed=0, skipped__unpaired_keypoints=3)


def test_every_frame_dropped_is_said_though_camera_infos_come(make_bench, view):
    bench, watch = make_bench(wait_s=0.05)
    wrong = view.camera.resized(640, 480)

    def flow() -> None:
        bench.put_camera(wrong)
        bench.send(view, info=False)

    def failed() -> bool:
        status = bench.probe.status(bench.name)
        return status.level == DiagnosticStatus.ERROR and 'every frame dropped: camera_info_size' in status.message

    watch.wait_while(flow, failed)
    assert watch.values('processed') == [0]


def test_frames_that_wait_are_neither_processed_nor_dropped_until_time_jumps(make_bench, view):
    bench, watch = make_bench(wait_s=10.0, input_timeout_s=LIMIT_S)
    bench.put_camera(view.camera)
    wait_until(lambda: bench.node._camera.camera is not None)
    for number in (1, 2):
        bench.send(view, info=False, keypoints=False)
        watch.wait_values(received=number, processed=0, dropped=0)
    bench.send(view, header=bench.stamp(-60_000_000_000), info=False)
    watch.wait_values(received=3, processed=1, dropped=2, dropped__time_jump=2)


def test_the_time_of_a_frame_is_that_of_its_work(make_bench, view):
    bench, watch = make_bench(wait_s=2.0, input_timeout_s=LIMIT_S)
    bench.put_camera(view.camera)
    wait_until(lambda: bench.node._camera.camera is not None)
    estimate = bench.node._estimate

    def slowly(*args: Any) -> None:
        time.sleep(0.1)
        estimate(*args)

    bench.node._estimate = slowly
    bench.let_wait_end(bench.send(view, info=False, keypoints=False))  # it waited for its keypoints, in vain
    watch.wait_values(processed=1)
    assert 100.0 <= float(bench.probe.value(bench.name, 'p99_ms')) < 2000.0


# Track


@pytest.fixture
def make_tracker(make_graph: Any) -> Iterator[Callable[..., tuple[Any, Watch, Callable[[], None]]]]:
    """Makes a track node; its graph, what diagnostics say of it, and what sends it one message of poses."""
    with contextlib.ExitStack() as stack:

        def make(**parameters: Any) -> tuple[Any, Watch, Callable[[], None]]:
            graph = stack.enter_context(make_graph())
            graph.load('TrackNode', 'track', **{'publish_tf': False, 'input_timeout_s': STALE_S, **parameters})
            objects = graph.probe.node.create_publisher(Detection3DArray, 'detections_3d', RELIABLE)
            stamps = iter(range(1_800_000_000 * 10**9, 2_000_000_000 * 10**9, 10**7))

            def flow() -> None:
                header = stamped(next(stamps))
                item = detection_3d(header, 'can', 0.9, HERE, (0.1, 0.1, 0.1), identity='7')
                objects.publish(Detection3DArray(header=header, detections=[item]))

            return graph, Watch(graph.probe, 'track'), flow

        yield make


def test_a_track_node_without_boxes_is_stale_though_poses_flow(make_tracker):
    graph, watch, flow = make_tracker()
    smooth = graph.probe.listen('track/detections_3d', Detection3DArray)
    watch.wait_stale(flow, f'{graph.namespace}/detections', f'{graph.namespace}/detections_3d')
    watch.wait_while(flow, lambda: bool(smooth))  # they are smoothed all the same
    watch.wait_values(received=0, processed=0, dropped=0)


def test_a_track_node_of_poses_alone_counts_those(make_tracker):
    graph, watch, flow = make_tracker(boxes=False)

    def runs() -> bool:
        return graph.probe.status('track').level == DiagnosticStatus.OK and watch.values('processed')[0] > 3

    watch.wait_while(flow, runs)
    watch.wait_stale(lambda: None, f'{graph.namespace}/detections_3d', f'{graph.namespace}/detections')


# Annotate


@pytest.fixture
def make_easel(make_graph: Any) -> Iterator[Callable[..., tuple[Any, Watch, dict[str, Any]]]]:
    """Makes an annotate node that somebody looks at; its graph, its diagnostics, and publishers by topic."""
    with contextlib.ExitStack() as stack:

        def make(**parameters: Any) -> tuple[Any, Watch, dict[str, Any]]:
            graph = stack.enter_context(make_graph())
            graph.load('AnnotateNode', 'annotate', **{'draw_poses': True, 'input_timeout_s': STALE_S, **parameters})
            kinds = {'detections': Detection2DArray, 'detections_3d': Detection3DArray, 'camera_info': CameraInfo}
            create = graph.probe.node.create_publisher
            writers = {topic: create(kind, topic, RELIABLE) for topic, kind in kinds.items()}
            writers['image'] = graph.probe.images
            graph.probe.listen('annotate/debug_image', Image)
            wait_until(lambda: writers['detections'].get_subscription_count() > 1)  # the probe is one
            others = ('detections_3d', 'camera_info', 'image')
            wait_until(lambda: all(writers[name].get_subscription_count() for name in others))
            return graph, Watch(graph.probe, 'annotate'), writers

        yield make


def test_an_annotate_node_without_detections_is_stale_though_images_and_poses_flow(make_easel, view):
    graph, watch, writers = make_easel()

    def flow() -> None:
        message = image_message()
        writers['image'].publish(message)
        writers['camera_info'].publish(camera_info(message.header, view.camera))
        writers['detections_3d'].publish(Detection3DArray(header=message.header))

    others = [f'{graph.namespace}/{name}' for name in ('image', 'camera_info', 'detections_3d')]
    watch.wait_stale(flow, f'{graph.namespace}/detections', *others)
    watch.wait_values(received=0, processed=0, dropped=0)


def test_detections_without_an_image_are_dropped_and_not_processed(make_easel):
    _, watch, writers = make_easel(wait_s=0.1, input_timeout_s=LIMIT_S)
    for number in (1, 2):
        writers['detections'].publish(Detection2DArray(header=image_message().header))
        watch.wait_values(received=number, processed=0, dropped=number, dropped__image_missing=number)


def test_detections_that_wait_for_poses_are_processed_when_their_picture_is_out(make_easel):
    graph, watch, writers = make_easel(wait_s=10.0, input_timeout_s=LIMIT_S)
    node = graph.container.nodes[0]
    image = image_message()
    writers['image'].publish(image)
    wait_until(lambda: bool(node._pairing._streams['image'].items))
    writers['detections'].publish(Detection2DArray(header=image.header))
    watch.wait_values(received=1, processed=0, dropped=0)
    writers['detections_3d'].publish(Detection3DArray(header=image.header))
    watch.wait_values(received=1, processed=1, dropped=0)


# Preprocess


@pytest.mark.parametrize(('transport', 'topic'), [('raw', 'image'), ('compressed', 'image/compressed')])
def test_a_preprocess_node_is_stale_without_images_of_its_transport(make_graph, model, transport, topic):
    with make_graph() as graph:
        graph.load('PreprocessNode', 'preprocess', model=str(model), transport=transport, input_timeout_s=STALE_S)
        other = graph.probe.node.create_publisher(CompressedImage, 'image/compressed', RELIABLE)

        def flow() -> None:
            if transport == 'raw':
                other.publish(CompressedImage(header=image_message().header))
            else:
                graph.probe.send(image_message())

        Watch(graph.probe, 'preprocess').wait_stale(flow, f'{graph.namespace}/{topic}')


# Commands


def hand_over(node: PipelineNode, topic: str, message: Any) -> None:
    """Publish one message for a node of this process."""
    qos = QosParameters(reliability=Reliability.RELIABLE, depth=100)
    with contextlib.closing(Publisher(node, plain(type(message)), topic, qos, node.health)) as publisher:
        publisher.publish(message)


def silence(node: PipelineNode) -> tuple[bytes, str]:
    """What diagnostics would say of a node that is active for long, were silence a fault of it."""
    node.health.input_timeout_s = 0.0
    quiet = node.health.look_at_input()[0].is_quiet
    return judge(node.health.snapshot(), state='active', silence='silent' if quiet else '')


def test_an_evaluation_client_counts_answers_not_truths_and_diagnostics(ros):
    with contextlib.closing(EvaluationClient.start('/honest', AnswerTopics())) as client:
        messages = frame_messages(10**18)
        answer = messages.pop('track/detections')
        for topic, message in messages.items():
            hand_over(client, topic, message)
        hand_over(client, '/diagnostics', DiagnosticArray(header=answer.header))
        wait_until(lambda: client.collector.has_stages(10**18))
        wait_until(lambda: bool(client.collector.truth_stamps()))
        assert silence(client)[0] == DiagnosticStatus.STALE
        assert client.health.snapshot().received == 0
        hand_over(client, 'track/detections', answer)
        wait_until(lambda: client.health.snapshot().processed == 1)
        assert client.health.snapshot().received == 1


def test_a_graph_client_counts_detections_not_diagnostics(ros):
    with contextlib.closing(GraphClient.start('/honest', pictures=False)) as client:
        messages = frame_messages(10**18)
        status = DiagnosticStatus(name='/honest/pose', level=DiagnosticStatus.OK)
        hand_over(client, 'detection/timings', messages['detection/timings'])
        hand_over(client, '/diagnostics', DiagnosticArray(header=messages['detection/timings'].header, status=[status]))
        wait_until(lambda: '/honest/pose' in client.statuses)
        assert silence(client)[0] == DiagnosticStatus.STALE
        hand_over(client, 'detections', messages['track/detections'])
        wait_until(lambda: client.health.snapshot().processed == 1)
        assert client.health.snapshot().received == 1
