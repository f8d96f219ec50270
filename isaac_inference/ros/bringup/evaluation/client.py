# SPDX-License-Identifier: Apache-2.0
"""A node that listens to the truth and to the graph's answers, and shows the graph one frame at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Empty
from vision_msgs.msg import Detection2DArray, Detection3DArray

from isaac_inference.ros.bringup.clients.graph_watcher import GraphWatcher
from isaac_inference.ros.bringup.evaluation.collector import FrameCollector
from isaac_inference.ros.bringup.evaluation.messages import boxes_from_message, poses_from_message
from isaac_inference.ros.messages.image import IMAGE, from_image_message
from isaac_inference.ros.messages.left_out import read_left_out
from isaac_inference.ros.runtime.health.diagnostics import parse_timings
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain

TRUTH_BOXES, TRUTH_POSES = 'truth/detections', 'truth/detections_3d'
STEP = 'step'
LEFT_OUT = 'pose/left_out'
IMAGES, INFOS = ('image', 'depth/image'), ('camera_info', 'depth/camera_info')
_RELIABLE = QosParameters(reliability=Reliability.RELIABLE, depth=100)
_BACKLOG = 1000  # messages; a whole run of a fast graph may wait here


@dataclass(frozen=True)
class AnswerTopics:
    """What is evaluated; `poses` is '' for a graph that makes none."""

    boxes: str = 'track/detections'
    poses: str = 'track/detections_3d'
    timings: tuple[str, ...] = ('detection/timings', 'track/timings', 'pose/timings')


class EvaluationClient(GraphWatcher):
    """Collects what belongs to a stamp in `collector`.

    The answer's boxes are the primary input. Of an answer an object that cannot be used (a NaN, no class) is left out
    and counted as in any node, so it counts as missed; a truth that has one is dropped whole, and its frame with it.
    """

    def __init__(self, node_name: str = 'evaluation_client', **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self.collector = FrameCollector()
        self._topics = AnswerTopics()
        self._feeds = False
        self._inputs: dict[str, Publisher[Any]] = {}

    @classmethod
    def start(
        cls, namespace: str, topics: AnswerTopics, *, feeds: bool = False, context: Any = None
    ) -> EvaluationClient:
        """Make the client in `namespace`, spin it in its own thread, and activate it.

        Args:
            namespace: of the graph.
            topics: which answers count.
            feeds: whether it publishes the camera's topics itself, from a recording.
            context: ROS context; None takes the default one.
        """
        client = cls(namespace=namespace, context=context)
        client._topics, client._feeds = topics, feeds
        client.collector = FrameCollector(wants_poses=bool(topics.poses))
        client.run()
        return client

    def on_setup(self) -> None:
        self._listen(Detection2DArray, TRUTH_BOXES, self._on_truth_boxes)
        self._listen(Detection3DArray, TRUTH_POSES, self._on_truth_poses)
        self._listen(Detection2DArray, self._topics.boxes, self._on_boxes, primary=True)
        if self._topics.poses:
            self._listen(Detection3DArray, self._topics.poses, self._on_poses)
            self._listen(DiagnosticArray, LEFT_OUT, self._on_left_out)
        for topic in self._topics.timings:
            self._listen(DiagnosticArray, topic, self._on_timings)
        self.watch()
        self._step = self.advertise(plain(Empty), STEP, _RELIABLE)
        if self._feeds:
            self._inputs = {name: self.advertise(IMAGE, name, _RELIABLE) for name in IMAGES}
            self._inputs.update({name: self.advertise(plain(CameraInfo), name, _RELIABLE) for name in INFOS})

    def ask(self) -> None:
        """Ask the simulated camera for one more frame."""
        self._step.publish(Empty())

    def feed(self, topic: str, message: Any) -> None:
        """Publish one recorded message on a camera topic of the graph."""
        if topic == IMAGES[0]:
            self.collector.note(stamp_ns(message.header), shown_ns=time.time_ns())
        self._inputs[topic].publish(from_image_message(message) if topic in IMAGES else message)

    def _listen(
        self, kind: type, topic: str, handler: Callable[[Any, StageClock], None], *, primary: bool = False
    ) -> None:
        self.subscribe(plain(kind), topic, _RELIABLE, handler, primary=primary, depth=_BACKLOG)

    def _on_truth_boxes(self, message: Detection2DArray, clock: StageClock) -> None:
        self.collector.note(stamp_ns(message.header), truth_boxes=boxes_from_message(message))

    def _on_truth_poses(self, message: Detection3DArray, clock: StageClock) -> None:
        header = message.header
        self.collector.note(stamp_ns(header), truth_poses=poses_from_message(message), truth_frame=header.frame_id)

    def _on_boxes(self, message: Detection2DArray, clock: StageClock) -> None:
        boxes = boxes_from_message(message, self.health.skipped)
        self.collector.note(stamp_ns(message.header), boxes=boxes, finished_ns=clock.arrived_ns)

    def _on_poses(self, message: Detection3DArray, clock: StageClock) -> None:
        poses, header = poses_from_message(message, self.health.skipped), message.header
        self.collector.note(stamp_ns(header), poses=poses, poses_frame=header.frame_id, finished_ns=clock.arrived_ns)

    def _on_left_out(self, message: DiagnosticArray, clock: StageClock) -> None:
        left_out = {item.identity: item.reason for item in read_left_out(message) if item.identity}
        self.collector.note(stamp_ns(message.header), left_out=left_out)

    def _on_timings(self, message: DiagnosticArray, clock: StageClock) -> None:
        stages = {timing.stage: timing for timing in parse_timings(message)}
        self.collector.note(stamp_ns(message.header), stages=stages)
