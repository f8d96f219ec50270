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

from isaac_inference.ros.bringup.clients.graph_watcher import GraphWatcher
from isaac_inference.ros.runtime.health.diagnostics import parse_timings
from isaac_inference.ros.runtime.health.timing import StageTiming
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import LATCHED, RELIABLE
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter, plain

FRAME_ID = 'camera_optical_frame'
SHOW_AGAIN_S = 1.0  # a best-effort frame that was lost on its way, or that no one was there to hear, is shown again


@dataclass(frozen=True)
class FeedTopics:
    """Relative topics, and what they carry.

    Attributes:
        inputs: that the graph takes.
        answers: that it gives for each stamp, all of which are waited for; the first is what counts as an answer.
        timings: of its last stage, or of the last of each model; all are waited for.
        latched: that it gives once; what came last counts.
    """

    inputs: Mapping[str, TypeAdapter[Any]]
    answers: Mapping[str, TypeAdapter[Any]]
    timings: tuple[str, ...]
    latched: Mapping[str, TypeAdapter[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class FeedAnswer:
    """What the graph said of a sample: by topic, the latched ones too; and what its stages took, model by model.

    `missing` are the topics of which nothing had come when the wait was over.
    """

    messages: Mapping[str, Any]
    timings: tuple[StageTiming, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    @property
    def stages_ms(self) -> dict[str, float]:
        """Each stage's work; of two runs of a model the second is 'crops_inference'."""
        found: dict[str, float] = {}
        for timing in self.timings:
            found[timing.stage if timing.stage not in found else f'crops_{timing.stage}'] = timing.work_ms
        return found


class Feeder(GraphWatcher):
    """Feeds a graph and collects its answers by stamp."""

    def __init__(self, node_name: str = 'feeder', **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self._topics = FeedTopics({}, {}, ())
        self._inputs: dict[str, Publisher[Any]] = {}
        self._changed = threading.Condition()
        self._stamp = -1  # of the sample that is waited for
        self._parts: dict[str, Any] = {}
        self._reports: dict[str, tuple[StageTiming, ...]] = {}  # by topic
        self._latched: dict[str, Any] = {}

    def on_setup(self) -> None:
        topics = self._topics
        self._inputs = {name: self.advertise(adapter, name, RELIABLE) for name, adapter in topics.inputs.items()}
        for place, (name, adapter) in enumerate(topics.answers.items()):
            take = functools.partial(self._on_answer, name)
            self.subscribe(adapter, name, RELIABLE, take, primary=not place, depth=RELIABLE.depth)
        for name, adapter in topics.latched.items():
            self.subscribe(adapter, name, LATCHED, functools.partial(self._on_latched, name), primary=False)
        for name in topics.timings:
            take = functools.partial(self._on_timings, name)
            self.subscribe(plain(DiagnosticArray), name, RELIABLE, take, primary=False, depth=RELIABLE.depth)
        self.watch()

    def run_with(self, topics: FeedTopics) -> None:
        """Configure, activate, and spin in a separate thread."""
        self._topics = topics
        self.run()

    def new_header(self) -> Header:
        """Of the next sample: now."""
        return Header(stamp=self.get_clock().now().to_msg(), frame_id=FRAME_ID)

    def show(self, header: Header, messages: Mapping[str, Any], timeout_s: float) -> FeedAnswer | None:
        """Show a sample and wait for everything that belongs to it.

        Args:
            header: of `new_header`, that all messages have.
            messages: by input topic, in the order in which they are published.
            timeout_s: the longest wait.

        Returns:
            What came, maybe not all of it; None where the first of the answers did not come in time.
        """
        self.mark()
        with self._changed:
            self._stamp, self._parts, self._reports = stamp_ns(header), {}, {}
        end, pause = time.monotonic() + timeout_s, SHOW_AGAIN_S
        while (left := end - time.monotonic()) > 0:
            for name, message in messages.items():
                self._inputs[name].publish(message)
            with self._changed:
                if self._changed.wait_for(lambda: not self._missing(), min(left, pause)):
                    break
            pause *= 2.0  # a slow network would only have more to do
        with self._changed:
            self._stamp = -1
            if next(iter(self._topics.answers)) not in self._parts:
                return None
            timings = [timing for name in self._topics.timings for timing in self._reports.get(name, ())]
            return FeedAnswer({**self._latched, **self._parts}, tuple(timings), self._missing())

    def _missing(self) -> tuple[str, ...]:
        topics = self._topics
        pairs = ((topics.answers, self._parts), (topics.latched, self._latched), (topics.timings, self._reports))
        return tuple(name for wanted, come in pairs for name in wanted if name not in come)

    def _on_answer(self, topic: str, message: Any, clock: StageClock) -> None:
        with self._changed:
            if stamp_ns(message.header) == self._stamp:
                self._parts[topic] = message
                self._changed.notify_all()

    def _on_latched(self, topic: str, message: Any, clock: StageClock) -> None:
        with self._changed:
            self._latched[topic] = message
            self._changed.notify_all()

    def _on_timings(self, topic: str, message: DiagnosticArray, clock: StageClock) -> None:
        with self._changed:
            if stamp_ns(message.header) == self._stamp:
                self._reports[topic] = parse_timings(message)
                self._changed.notify_all()
