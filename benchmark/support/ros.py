# SPDX-License-Identifier: Apache-2.0
"""The real node graph under measurement, and a client that takes the times."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import Header

from isaac_inference.ros.bringup.clients.graph_client import GraphClient
from isaac_inference.ros.bringup.graph import NodeSpec, perception_graph
from isaac_inference.ros.bringup.runner import RunningGraph, start_composed, start_processes
from isaac_inference.ros.bringup.session import default_ros
from isaac_inference.ros.messages.image import image_frame_from_array
from isaac_inference.ros.runtime.health.diagnostics import parse_timings
from isaac_inference.ros.runtime.health.timing import StageTiming
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.resources import DDS_PROFILE_VARIABLES, dds_environment
from isaac_inference.ros.runtime.topics.stamp import stamp_ns

READY_S = 60.0
SETTLE_S = 0.5  # until other processes have noticed that nodes are gone
_NUMBERS = itertools.count(1)
_MESSAGE_S = 5.0  # a frame that isn't answered after this long is lost


@dataclass
class Record:
    """One frame's times in ns of the wall clock: sent by the client, detections in the client's mailbox, and between
    these what each stage stamped."""

    sent_ns: int
    arrived_ns: int = 0
    timings: tuple[StageTiming, ...] = ()

    @property
    def complete(self) -> bool:
        """Detections and timings are both there."""
        return bool(self.arrived_ns and self.timings)

    @property
    def total_ms(self) -> float:
        """Image in the first mailbox to detections published."""
        return (self.timings[-1].finished_ns - self.timings[0].arrived_ns) / 1e6

    @property
    def client_ms(self) -> float:
        """The client's publish call to the detections in the client's mailbox."""
        return (self.arrived_ns - self.sent_ns) / 1e6

    def parts_ms(self) -> dict[str, float]:
        """`total_ms` in parts that add up to it: each stage's work, and the way between two of them."""
        first, second, third = self.timings
        return {
            'wait for preprocess': first.wait_ms,
            'preprocess': first.work_ms,
            'wait for inference': (second.started_ns - first.finished_ns) / 1e6,
            'inference': second.work_ms,
            'wait for detection': (third.started_ns - second.finished_ns) / 1e6,
            'detection, publish': third.work_ms,
        }


class Probe(GraphClient):
    """A graph client that keeps the times of every frame."""

    def __init__(self, node_name: str = '', **kwargs: Any) -> None:
        super().__init__(node_name or f'probe_{next(_NUMBERS)}', **kwargs)
        self.records: dict[int, Record] = {}
        self.detections = 0  # messages so far, whoever sent the frames
        self._news = threading.Condition()

    def send(self, image: np.ndarray) -> Record:
        """Publish one BGR picture, stamped now."""
        now = self.get_clock().now()
        header = Header(stamp=now.to_msg(), frame_id='camera_optical_frame')
        record = self.records[now.nanoseconds] = Record(time.time_ns())
        self._inputs['image'].publish(image_frame_from_array(image, 'bgr8', header))
        return record

    def wait(self, record: Record, timeout_s: float = _MESSAGE_S) -> bool:
        """Until everything of this frame is there."""
        with self._news:
            return self._news.wait_for(lambda: record.complete, timeout_s)

    def status_value(self, node: str, key: str) -> float:
        """A number out of a node's latest diagnostics; 0 where it isn't there."""
        status = self.statuses.get(f'{self.get_namespace()}/{node}')
        values = {pair.key: pair.value for pair in status.values} if status else {}
        return float(values.get(key, 0))

    def _on_answer(self, topic: str, message: Any, clock: StageClock) -> None:
        self.detections += 1
        record = self.records.get(stamp_ns(message.header))
        if record is not None:
            with self._news:
                record.arrived_ns = clock.arrived_ns
                self._news.notify_all()
        super()._on_answer(topic, message, clock)

    def _on_timings(self, topic: str, message: DiagnosticArray, clock: StageClock) -> None:
        record = self.records.get(stamp_ns(message.header))
        if record is not None:
            with self._news:
                record.timings = parse_timings(message)
                self._news.notify_all()
        super()._on_timings(topic, message, clock)


def ros() -> contextlib.AbstractContextManager[None]:
    """rclpy as the package's own commands start it, with quieter logs."""
    return default_ros('--log-level', 'warn')


@contextlib.contextmanager
def running_graph(
    model: str, *, composed: bool = True, parameters: dict[str, dict[str, Any]] | None = None
) -> Iterator[tuple[RunningGraph, Probe]]:
    """The detection graph and a probe in this process, both ready; `parameters` by node name. Needs `ros()`."""
    specs = [
        _with_parameters(spec, (parameters or {}).get(spec.name, {}))
        for spec in perception_graph(model=model, annotate=False)
    ]
    start: Callable[[Sequence[NodeSpec]], RunningGraph] = start_composed if composed else start_processes
    try:
        with (
            contextlib.closing(start(specs)) as graph,
            contextlib.closing(Probe.start(graph.namespace, pictures=False)) as probe,
        ):
            graph.wait_until_ready(probe, READY_S)
            yield graph, cast(Probe, probe)
    finally:
        gc.collect()  # a lifecycle node of rclpy stays in the ROS graph until its reference cycle is collected
        time.sleep(SETTLE_S)


def feed_one_by_one(probe: Probe, pictures: Sequence[np.ndarray], duration_s: float, warm_up: int = 10) -> list[Record]:
    """Send a picture as soon as the answer to the last one is there; a record of each."""
    return _feed(probe, pictures, duration_s, warm_up, 0.0)


def feed_at_rate(
    probe: Probe, pictures: Sequence[np.ndarray], duration_s: float, rate_hz: float = 30.0, warm_up: int = 10
) -> list[Record]:
    """Send pictures at a steady rate, whatever comes back; a record of each, answered or not."""
    return _feed(probe, pictures, duration_s, warm_up, 1.0 / rate_hz)


def _feed(
    probe: Probe, pictures: Sequence[np.ndarray], duration_s: float, warm_up: int, period_s: float
) -> list[Record]:
    kept: list[Record] = []
    due = time.monotonic()
    index, end = 0, float('inf')
    while time.monotonic() < end:
        record = probe.send(pictures[index % len(pictures)])
        if period_s:
            due = max(due + period_s, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
        else:
            probe.wait(record)
        kept.append(record)
        index += 1
        if index == warm_up:
            kept.clear()
            end = time.monotonic() + duration_s
    if kept:
        probe.wait(kept[-1], 1.0)
    probe.records.clear()
    return kept


@contextlib.contextmanager
def environment_profile(with_profile: bool) -> Iterator[None]:
    """Children that start meanwhile get the shipped Fast DDS profile, or Fast DDS as it comes."""
    before = {name: os.environ.pop(name, None) for name in DDS_PROFILE_VARIABLES}
    if with_profile:
        os.environ.update(dds_environment({}))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _with_parameters(spec: NodeSpec, extra: dict[str, Any]) -> NodeSpec:
    return dataclasses.replace(spec, parameters={**spec.parameters, **extra})
