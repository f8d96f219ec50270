# SPDX-License-Identifier: Apache-2.0
"""The frames of a node that come in one or several streams: an input each, one handler, and a report of each."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from isaac_inference.ros.runtime.health import diagnostics
from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.health.stream_health import StreamHealth
from isaac_inference.ros.runtime.input_report import InputReport
from isaac_inference.ros.runtime.stage_clock import StageClock
from isaac_inference.ros.runtime.time_watch import TimeWatch
from isaac_inference.ros.runtime.topics.mailbox import Worker
from isaac_inference.ros.runtime.topics.stream_box import Collect, StreamBox, StreamSlot
from isaac_inference.ros.runtime.topics.subscription import Subscription
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter
from isaac_inference.serving.streams.newest import Arrival

_SHOWN = ('rate_in_hz', 'rate_out_hz', 'input_age_ms', 'received', 'processed', 'dropped')


class FrameNode(Protocol):
    """What the streams need of their node."""

    stage: ClassVar[str]
    health: Health
    time_watch: TimeWatch

    def age_ms(self, header: Any, health: Health) -> float | None:
        """Since a header's stamp."""

    def work(self, clock: StageClock) -> AbstractContextManager[None]:
        """Around the work on a frame."""


@dataclass(slots=True)
class StreamFrame:
    """A frame of a stream: an item, and its clock, which `PipelineNode.work` takes."""

    stream: str
    item: Any
    clock: StageClock


@dataclass(frozen=True)
class StreamPlan:
    """How a node takes the frames of its streams.

    Attributes:
        topics: stream -> topic. The one stream of a node that has no others is named ''.
        handler: called with the frames that were taken together, one of each stream at most; in the worker's thread,
            or the sender's where `inline`. Each frame's work is done within `PipelineNode.work`, which counts it.
        turn: entered before frames are taken, which is when there is time for them; gives how many at most.
        wait_s: how long to wait for frames of further streams; asked each time.
        on_device, inline: as of `PipelineNode.subscribe`.
    """

    topics: dict[str, str]
    handler: Callable[[Sequence[StreamFrame]], None]
    turn: Callable[[], AbstractContextManager[int]]
    most: Callable[[], int]
    wait_s: Callable[[], float]
    on_device: Callable[[], bool]
    inline: Callable[[Any], bool]


class StreamInputs:
    """The streams of a node, while it is configured.

    A node is silent when all of its streams are. Of one that has no others everything is as of any node's only input.

    Args:
        node: the node.
        worker: its worker.
        plan: how it takes frames.
        report: of the node's input, which is that of the stream where there is but one.
        warn, inform: write a line to the log.
    """

    def __init__(
        self,
        node: FrameNode,
        worker: Worker,
        plan: StreamPlan,
        report: InputReport,
        warn: Callable[[str], None],
        inform: Callable[[str], None],
    ) -> None:
        self._node, self._worker, self._plan = node, worker, plan
        self._box: StreamBox | None = None
        self._is_named = list(plan.topics) != ['']
        self._health: dict[str, Health] = {'': node.health}
        self._reports: dict[str, InputReport] = {'': report}
        if self._is_named:
            self._health = {name: StreamHealth(name, node.health) for name in plan.topics}
            self._reports = {name: InputReport(health, warn, inform) for name, health in self._health.items()}
        self._open: dict[str, Subscription[Any]] = {}
        self._take: dict[str, Callable[[Any], Any]] = {}  # as the handler wants an item

    def health(self, stream: str) -> Health:
        """What is counted of a stream."""
        return self._health[stream]

    @property
    def flowing(self) -> int:
        """How many streams give frames now, or have not failed to for long; at least one."""
        states = [health.look_at_input()[0] for health in self._health.values()]
        return max(1, sum(not state.is_quiet for state in states))

    def restart(self) -> None:
        """The node is being activated."""
        self._box = StreamBox(self._worker, self._handle, self._plan.wait_s, self._enough)
        self._open.clear()
        if self._is_named:
            for name, health in self._health.items():
                health.reset()
                self._reports[name].restart()

    def slot(self, stream: str, adapter: TypeAdapter[Any], *, on_device: bool) -> StreamSlot:
        """The inbox of a stream, for its subscription, which may fill it before it is `opened`.

        Args:
            adapter, on_device: as of the subscription.
        """
        if self._box is None:
            raise RuntimeError('a stream is opened before the node is activated')
        self._take[stream] = (lambda item: item) if on_device else adapter.to_host
        return self._box.slot(stream, self._health[stream].superseded, self._plan.inline)

    def opened(self, stream: str, subscription: Subscription[Any]) -> Subscription[Any]:
        """A stream's subscription is this one from now on."""
        self._open[stream] = subscription
        return subscription

    def check(self, timeout_s: float) -> None:
        """Log what has changed; called some ten times a second."""
        for name, report in self._reports.items():
            self._health[name].input_timeout_s = timeout_s
            report.check(self._open.get(name))

    def words(self) -> tuple[str, str]:
        """For `diagnostics.judge`: (why all streams are silent, what is to be said of some), or '' each."""
        found = {name: report.words(self._open.get(name)) for name, report in self._reports.items()}
        if not self._is_named:
            return found['']
        silent = [f'stream {name}: {silence}' for name, (silence, _) in found.items() if silence]
        unsteady = [f'stream {name}: {text}' for name, (_, text) in found.items() if text]
        if len(silent) == len(found):
            return '; '.join(silent), ''
        return '', '; '.join([*silent, *unsteady])

    def show(self) -> None:
        """Put each stream's figures into the node's, where streams have names."""
        if not self._is_named:
            return
        for health in self._health.values():
            snapshot = health.snapshot()
            values = diagnostics.figures(snapshot)
            for key in {*_SHOWN, *(key for key in values if key.startswith(('dropped.', 'noted.')))}:
                health.show(key, values.get(key))
            health.show('state', health.look_at_input()[0].value)
            health.standing('drops', diagnostics.dropped(snapshot), log=False)

    def _enough(self) -> int:
        return min(self._plan.most(), self.flowing)

    def _handle(self, collect: Collect) -> None:
        frames: list[StreamFrame] | None = None
        try:
            with self._plan.turn() as most:
                frames = self._begun(collect(most))
                if frames:
                    self._plan.handler(frames)
        except Exception as error:  # frames must not end the node, nor must whoever says when they have their turn
            if frames is None:  # what waits is lost, or it would be asked for again and again
                frames = self._begun(collect(len(self._plan.topics)))
            lost = [frame for frame in frames if not frame.clock.is_settled]
            for frame in lost:
                with self._node.work(frame.clock):
                    raise error
            if not lost:
                self._node.health.warn('turn', traceback.format_exc(), error=True)

    def _begun(self, arrivals: Sequence[Arrival[Any]]) -> list[StreamFrame]:
        """Frames that have been taken, without those that were dropped."""
        begun = [self._begin(one.stream, one.item, one.arrived_ns) for one in arrivals]
        return [frame for frame in begun if frame is not None]

    def _begin(self, stream: str, item: Any, arrived_ns: int) -> StreamFrame | None:
        """Count a frame as received, and look at its time; None where it was dropped."""
        health = self._health[stream]
        clock = StageClock(self._node.stage, arrived_ns, health)
        health.received(self._node.age_ms(getattr(item, 'header', None), health))
        try:
            self._node.time_watch.take(item, True, stream)
            return StreamFrame(stream, self._take[stream](item), clock)
        except Exception as error:  # it counts this frame as dropped
            with self._node.work(clock):
                raise error
        return None
