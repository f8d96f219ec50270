# SPDX-License-Identifier: Apache-2.0
"""A plain ROS node outside the pipeline's context: what a camera driver and a planner see, over real DDS."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from isaac_inference.ros.runtime.container.spin import SpinThread
from support.ros.discovery import unmatched
from support.waiting import LIMIT_S, Bell, wait_until

RELIABLE = QoSProfile(depth=50, reliability=QoSReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
_numbers = itertools.count(1)


@functools.lru_cache(maxsize=1)
def outside() -> Context:
    """The context of everybody who is not the pipeline: one DDS participant, so that it is discovered once."""
    context = Context()
    rclpy.init(context=context)
    atexit.register(context.try_shutdown)
    return context


class Probe:
    """Publishes images into a namespace and keeps what comes out, in another DDS participant than the pipeline's.

    `bell` rings with every message that arrives. `nodes` gives the nodes of this process that the probe talks to:
    before it sends something, it waits until its endpoints and theirs have found each other.
    """

    def __init__(self, namespace: str, image_qos: QoSProfile = RELIABLE, image_type: type = Image) -> None:
        self.context = outside()
        self.node = Node('probe', namespace=namespace, context=self.context)
        self.namespace = namespace
        self.bell = Bell()
        self.nodes: Callable[[], Iterable[Any]] = tuple
        self.received: dict[str, list[Any]] = {}
        self.reports: dict[str, list[DiagnosticStatus]] = {}  # all diagnostics by name, in their order
        self._readers: dict[str, Any] = {}
        self.images = self.node.create_publisher(image_type, 'image', image_qos)
        self.listen('detections', Detection2DArray)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, RELIABLE)
        self._spin = SpinThread(self.node)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.reports.setdefault(status.name, []).append(status)
        self.bell.ring()

    def listen(
        self, topic: str, kind: type, qos: QoSProfile = RELIABLE, read: Callable[[Any], Any] = lambda message: message
    ) -> list[Any]:
        """Keep what `read` makes of the messages of `topic` from now on; returns the list that it is put into.

        A topic that is listened to already has one list for all.
        """
        if topic in self.received:
            return self.received[topic]
        messages = self.received.setdefault(topic, [])

        def keep(message: Any) -> None:
            messages.append(read(message))
            self.bell.ring()

        self._readers[topic] = self.node.create_subscription(kind, topic, keep, qos)
        return messages

    def ignore(self, topic: str) -> None:
        """The opposite of `listen`: leave the topic, forget its messages."""
        self.node.destroy_subscription(self._readers.pop(topic))
        del self.received[topic]

    @property
    def detections(self) -> list[Detection2DArray]:
        return self.received['detections']

    def status(self, node: str) -> DiagnosticStatus:
        """The last diagnostics of a node of this namespace."""
        reports = self.reports_of(node)
        return reports[-1] if reports else DiagnosticStatus(level=DiagnosticStatus.STALE)

    def reports_of(self, node: str) -> list[DiagnosticStatus]:
        """All diagnostics of a node of this namespace, in their order."""
        return self.reports.get(f'{self.namespace}/{node}', [])

    def value(self, node: str, key: str) -> str:
        """One value of a node's last diagnostics, '' where there is none."""
        return value_of(self.status(node), key)

    def wait_until(self, predicate: Callable[[], object], what: str = '', limit_s: float = LIMIT_S) -> None:
        """`wait_until` that looks with every message; its error has the nodes' last diagnostics."""
        wait_until(predicate, what, bell=self.bell, notes=self._notes, limit_s=limit_s)

    def wait_active(self, *nodes: str, limit_s: float = LIMIT_S) -> None:
        """Wait until all these nodes say that they are active."""
        self.wait_until(
            lambda: all(self.value(node, 'state') == 'active' for node in nodes), f'{nodes} are active', limit_s
        )

    def wait_report(self, node: str) -> DiagnosticStatus:
        """The diagnostics of a node that tell all that has happened to it before this call."""
        reports = len(self.reports_of(node))
        # the first that arrives may have been made before
        self.wait_until(lambda: len(self.reports_of(node)) >= reports + 2, f'new diagnostics of {node}')
        return self.status(node)

    def wait_matched(self) -> None:
        """Wait until the probe's endpoints and those of `nodes` on the same topics have found each other."""
        self.wait_until(
            lambda: not unmatched(self.node, self.nodes()),
            f'endpoints find each other; not yet: {unmatched(self.node, self.nodes())}',
        )

    def send(self, message: Any, publisher: Publisher | None = None) -> Any:
        """Publish one message, an image unless another publisher is named, once its readers are there."""
        self.wait_matched()
        (publisher or self.images).publish(message)
        return message

    def ask(self, message: Image) -> Detection2DArray:
        """Send an image, once; the detections with its header."""
        self.send(message)
        self.wait_until(
            lambda: self.detections_of(message.header), f'detections of the image with stamp {message.header.stamp}'
        )
        return self.detections_of(message.header)[0]

    def detections_of(self, header: Header) -> list[Detection2DArray]:
        """The detections that came with this header."""
        return [array for array in list(self.detections) if array.header == header]

    def introduce(self, is_there: Callable[[], object] = lambda: True) -> None:
        """Wait until nodes of other processes answer, and `is_there()`.

        Whether their endpoints have found each other cannot be asked. So images are sent until one of them, whichever,
        is answered, each after twice the pause of the last one: a slow machine is not flooded.
        """
        sent: list[Header] = []

        def answered() -> bool:
            return any(array.header in sent for array in list(self.detections)) and bool(is_there())

        pause_s = 0.2
        while pause_s < LIMIT_S:
            sent.append(self.send(image_message()).header)
            with contextlib.suppress(AssertionError):
                self.wait_until(answered, limit_s=pause_s)
                return
            pause_s *= 2
        self.wait_until(answered, f'an answer to one of {len(sent)} images')

    def _notes(self) -> str:
        lines = [
            f'{name}: {reports[-1].message} {[(pair.key, pair.value) for pair in reports[-1].values]}'
            for name, reports in list(self.reports.items())
        ]
        return '\n'.join(['last diagnostics:', *lines])

    def close(self) -> None:
        """Leave the graph."""
        self._spin.stop()


def value_of(status: DiagnosticStatus, key: str) -> str:
    """One value of a status, '' where there is none."""
    return next((pair.value for pair in status.values if pair.key == key), '')


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
