# SPDX-License-Identifier: Apache-2.0
"""A plain ROS node outside the pipeline's context: what a camera driver and a planner see, over real DDS."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from isaac_inference.ros.runtime.container.spin import SpinThread
from support.waiting import wait_until

RELIABLE = QoSProfile(depth=50, reliability=QoSReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
_numbers = itertools.count(1)


class Probe:
    """Publishes images into a namespace and keeps what comes out, in a DDS participant of its own."""

    def __init__(self, namespace: str, image_qos: QoSProfile = RELIABLE, image_type: type = Image) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = Node('probe', namespace=namespace, context=self.context)
        self.namespace = namespace
        self.received: dict[str, list[Any]] = {}
        self.statuses: dict[str, DiagnosticStatus] = {}
        self.images = self.node.create_publisher(image_type, 'image', image_qos)
        self.listen('detections', Detection2DArray)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, RELIABLE)
        self._spin = SpinThread(self.node)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.statuses.update({status.name: status for status in message.status})

    def listen(self, topic: str, kind: type, qos: QoSProfile = RELIABLE) -> list[Any]:
        """Keep the messages of `topic` from now on; returns the list that they are put into."""
        messages = self.received.setdefault(topic, [])
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages

    @property
    def detections(self) -> list[Detection2DArray]:
        return self.received['detections']

    def status(self, node: str) -> DiagnosticStatus:
        """The last diagnostics of a node of this namespace."""
        return self.statuses.get(f'{self.namespace}/{node}', DiagnosticStatus(level=DiagnosticStatus.STALE))

    def value(self, node: str, key: str) -> str:
        """One value of a node's last diagnostics, '' where there is none."""
        return next((pair.value for pair in self.status(node).values if pair.key == key), '')

    def wait_active(self, *nodes: str, timeout_s: float = 30.0) -> None:
        """Wait until all these nodes say that they are active."""
        wait_until(lambda: all(self.value(node, 'state') == 'active' for node in nodes), timeout_s)

    def send(self, message: Image) -> Image:
        """Publish one image."""
        self.images.publish(message)
        return message

    def ask(self, message: Image, timeout_s: float = 10.0) -> Detection2DArray:
        """Publish until the detections of this image arrive: a best-effort subscription may miss one."""

        def answered() -> bool:
            return any(array.header == message.header for array in self.detections)

        for _ in range(int(timeout_s / 0.5)):
            self.send(message)
            with contextlib.suppress(AssertionError):
                wait_until(answered, 0.5)
            if answered():
                return next(array for array in self.detections if array.header == message.header)
        raise AssertionError(
            f'no detections for stamp {message.header.stamp} within {timeout_s} s; '
            f'{ {name: status.message for name, status in self.statuses.items()} }'
        )

    def close(self) -> None:
        self._spin.stop()
        self.context.shutdown()


def image_message(pixels: np.ndarray | None = None, encoding: str = 'bgr8', **fields: Any) -> Image:
    """An image (white, 64 wide and 64 high, unless `pixels` are given) with a stamp that no other one has."""
    pixels = np.full((64, 64, 3), 255, np.uint8) if pixels is None else pixels
    message = Image(
        height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=pixels.nbytes // max(pixels.shape[0], 1)
    )
    message.header = Header(frame_id='lens')
    number = next(_numbers)
    message.header.stamp.sec, message.header.stamp.nanosec = 1_700_000_000 + number, number
    message.data = pixels.tobytes()
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@contextlib.contextmanager
def probing(namespace: str, **options: Any) -> Iterator[Probe]:
    """A probe that is closed at the end."""
    with contextlib.closing(Probe(namespace, **options)) as probe:
        yield probe
