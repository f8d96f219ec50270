# SPDX-License-Identifier: Apache-2.0
"""A graph that only talks: truth and answers over DDS, as the simulator and the pipeline would send them."""

from __future__ import annotations

import itertools
import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Empty, Header
from vision_msgs.msg import Detection2D, Detection2DArray, Detection3D, Detection3DArray, ObjectHypothesisWithPose

from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.health.diagnostics import timings_message
from isaac_inference.ros.runtime.health.timing import StageTiming
from support.ros.probe import RELIABLE
from support.waiting import wait_until

FRAME = 'camera_optical_frame'
SIZE = (0.06, 0.08, 0.1)
TOPICS = {
    'truth/detections': Detection2DArray,
    'truth/detections_3d': Detection3DArray,
    'track/detections': Detection2DArray,
    'track/detections_3d': Detection3DArray,
    'detection/timings': DiagnosticArray,
    'pose/timings': DiagnosticArray,
}
_numbers = itertools.count(1)


def header(stamp_ns, frame_id=FRAME):
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = divmod(stamp_ns, 10**9)
    return made


def result(score, name='cup'):
    made = ObjectHypothesisWithPose()
    made.hypothesis.class_id, made.hypothesis.score = name, score
    return made


def flat(head, x, score, identity):
    """One cup in the image, 100 by 100 px about (x, 100)."""
    one = Detection2D(header=head, results=[result(score)], id=identity)
    one.bbox.center.position.x, one.bbox.center.position.y = x, 100.0
    one.bbox.size_x = one.bbox.size_y = 100.0
    return Detection2DArray(header=head, detections=[one])


def solid(head, z, score, identity):
    """One cup at z metres before the camera."""
    one = Detection3D(header=head, results=[result(score)], id=identity)
    one.bbox.center.position.z = z
    one.bbox.size.x, one.bbox.size.y, one.bbox.size.z = SIZE
    return Detection3DArray(header=head, detections=[one])


def timings(head, *stages):
    """A millisecond each, from the stamp on."""
    begin = head.stamp.sec * 10**9 + head.stamp.nanosec
    return timings_message(head, [StageTiming(name, begin, begin, begin + 10**6) for name in stages])


def frame_messages(stamp_ns, *, z_error=0.01, identity='7', frame_id=FRAME):
    """All messages of one frame by topic."""
    head = header(stamp_ns)
    return {
        'truth/detections': flat(head, 100.0, 1.0, '1'),
        'truth/detections_3d': solid(head, 2.0, 1.0, '1'),
        'track/detections': flat(head, 102.0, 0.9, identity),
        'track/detections_3d': solid(header(stamp_ns, frame_id), 2.0 + z_error, 0.9, identity),
        'detection/timings': timings(head, 'inference', 'detection'),
        'pose/timings': timings(head, 'pose'),
    }


class StandInGraph:
    """Answers each `step` with a frame, or sends frames at `rate_hz`; frames numbered in `silent` have no answer.

    With `sees` it has no truth of its own and answers images.

    `changes` are given to `frame_messages` by frame number. A frame is sent only when everybody listens.
    """

    def __init__(self, rate_hz=0.0, silent=(), changes=None, sees=False):
        self.namespace = f'/stand_in_{next(_numbers)}'
        self.sent = 0
        self._steps = self._images = None
        self._silent, self._changes = set(silent), changes or {}
        self._context = Context()
        rclpy.init(context=self._context)
        node = Node('stand_in', namespace=self.namespace, context=self._context)
        self._publishers = {name: node.create_publisher(kind, name, RELIABLE) for name, kind in TOPICS.items()}
        if sees:
            for name in ('truth/detections', 'truth/detections_3d'):
                node.destroy_publisher(self._publishers.pop(name))
            self._images = node.create_subscription(Image, 'image', self._on_image, RELIABLE)
        elif rate_hz:
            node.create_timer(1 / rate_hz, self._send)
        else:
            self._steps = node.create_subscription(Empty, 'step', lambda message: self._send(), RELIABLE)
        self._spin = SpinThread(node)

    def wait_until_ready(self, client, timeout_s):
        """As a graph that runs: all topics have found their readers, and those of the client theirs."""
        wait_until(self._is_heard, 'somebody listens to every topic of the graph')
        for reader, publisher in ((self._steps, client._step), (self._images, client._inputs.get('image'))):
            if reader is not None:
                wait_until(
                    lambda reader=reader, writer=publisher._writer: (
                        reader.get_publisher_count() and writer.get_subscription_count()
                    ),
                    f'the client has found {reader.topic_name}',
                )

    def close(self):
        self._spin.stop()
        self._context.shutdown()

    def _on_image(self, message):
        self._publish(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)

    def _is_heard(self):
        return all(publisher.get_subscription_count() for publisher in self._publishers.values())

    def _send(self):
        if self._is_heard():
            self._publish(time.time_ns())

    def _publish(self, stamp_ns):
        number, self.sent = self.sent, self.sent + 1
        for name, message in frame_messages(stamp_ns, **self._changes.get(number, {})).items():
            if name in self._publishers and (number not in self._silent or name.startswith('truth')):
                self._publishers[name].publish(message)
