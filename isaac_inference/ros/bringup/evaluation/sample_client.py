# SPDX-License-Identifier: Apache-2.0
"""A node that shows a graph one sample after the other, and hands out what the graph makes of each."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import Header

from isaac_inference.ros.bringup.graph_watcher import GraphWatcher
from isaac_inference.ros.runtime.health.diagnostics import parse_timings
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import LATCHED, RELIABLE
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter, plain

SHOW_AGAIN_S = 2.0  # what no one was there to hear is repeated
_FRAME_ID = 'camera_optical_frame'


@dataclass(frozen=True)
class SampleTopics:
    """Relative topics, and what they carry.

    Attributes:
        inputs: that the graph takes.
        answers: that it gives for each stamp, all of which are waited for.
        latched: that it gives once; what came last counts.
        timings: of its last stage.
    """

    inputs: Mapping[str, TypeAdapter[Any]]
    answers: Mapping[str, TypeAdapter[Any]]
    timings: str
    latched: Mapping[str, TypeAdapter[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class SampleAnswer:
    """What the graph said of a sample: by topic, the latched ones too; and each stage's work in ms."""

    messages: Mapping[str, Any]
    stages_ms: Mapping[str, float]


class SampleClient(GraphWatcher):
    """Feeds the graph and collects its answers by stamp."""

    def __init__(self, node_name: str = 'sample_client', **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self._topics = SampleTopics({}, {}, '')
        self._inputs: dict[str, Publisher[Any]] = {}
        self._changed = threading.Condition()
        self._stamp = -1  # of the sample that is waited for
        self._parts: dict[str, Any] = {}
        self._stages_ms: dict[str, float] = {}
        self._latched: dict[str, Any] = {}

    @classmethod
    def start(cls, namespace: str, topics: SampleTopics, *, context: Any = None) -> SampleClient:
        """Make the client in `namespace`, spin it in its own thread, and activate it."""
        client = cls(namespace=namespace, context=context)
        client._topics = topics
        client.run()
        return client

    def on_setup(self) -> None:
        topics = self._topics
        self._inputs = {name: self.advertise(adapter, name, RELIABLE) for name, adapter in topics.inputs.items()}
        for place, (name, adapter) in enumerate(topics.answers.items()):
            take = functools.partial(self._on_answer, name)
            self.subscribe(adapter, name, RELIABLE, take, primary=not place, depth=RELIABLE.depth)
        for name, adapter in topics.latched.items():
            self.subscribe(adapter, name, LATCHED, functools.partial(self._on_latched, name), primary=False)
        self.subscribe(plain(DiagnosticArray), topics.timings, RELIABLE, self._on_timings, primary=False, depth=10)
        self.watch()

    def new_header(self) -> Header:
        """Of the next sample: now."""
        return Header(stamp=self.get_clock().now().to_msg(), frame_id=_FRAME_ID)

    def ask(self, header: Header, messages: Mapping[str, Any], timeout_s: float) -> SampleAnswer | None:
        """Show a sample and wait for everything that belongs to it.

        Args:
            header: of `new_header`, that all messages have.
            messages: by input topic, in the order in which they are published.
            timeout_s: the longest wait.

        Returns:
            None where something did not come in time.
        """
        with self._changed:
            self._stamp, self._parts, self._stages_ms = stamp_ns(header), {}, {}
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            for name, message in messages.items():
                self._inputs[name].publish(message)
            with self._changed:
                if self._changed.wait_for(self._is_complete, min(left, SHOW_AGAIN_S)):
                    self._stamp = -1
                    return SampleAnswer({**self._latched, **self._parts}, dict(self._stages_ms))
        return None

    def _is_complete(self) -> bool:
        topics = self._topics
        return (
            set(self._parts) == set(topics.answers)
            and set(self._latched) == set(topics.latched)
            and bool(self._stages_ms)
        )

    def _on_answer(self, topic: str, message: Any, clock: StageClock) -> None:
        with self._changed:
            if stamp_ns(message.header) == self._stamp:
                self._parts[topic] = message
                self._changed.notify_all()

    def _on_latched(self, topic: str, message: Any, clock: StageClock) -> None:
        with self._changed:
            self._latched[topic] = message
            self._changed.notify_all()

    def _on_timings(self, message: DiagnosticArray, clock: StageClock) -> None:
        with self._changed:
            if stamp_ns(message.header) == self._stamp:
                self._stages_ms = {timing.stage: timing.work_ms for timing in parse_timings(message)}
                self._changed.notify_all()
