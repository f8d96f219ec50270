# SPDX-License-Identifier: Apache-2.0
"""The base of every node: lifecycle with autostart, parameters, worker thread, hand-over, diagnostics."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Header

from isaac_inference.errors import FrameError, PerceptionError
from isaac_inference.ros.runtime.compat import release_lifecycle
from isaac_inference.ros.runtime.declared_input import DeclaredInput, InputSource, primary_of
from isaac_inference.ros.runtime.health import diagnostics
from isaac_inference.ros.runtime.health.health import THINNED, Health
from isaac_inference.ros.runtime.health.timing import StageTiming
from isaac_inference.ros.runtime.input_report import InputReport
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters, ParameterServer
from isaac_inference.ros.runtime.periodic import Periodic
from isaac_inference.ros.runtime.preparation import Preparation, PreparationWatch
from isaac_inference.ros.runtime.resources import prepare_logging, say_dds_profile
from isaac_inference.ros.runtime.stage_clock import StageClock
from isaac_inference.ros.runtime.stream_inputs import StreamInputs, StreamPlan
from isaac_inference.ros.runtime.time_watch import TimeWatch
from isaac_inference.ros.runtime.topics.mailbox import Mailbox, Worker
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import RELIABLE, QosParameters
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.subscription import Subscription
from isaac_inference.ros.runtime.topics.topic_graph import Source
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter, plain

T = TypeVar('T')
GRAPH_PERIOD_S = 0.1  # how soon a publisher outside this process is noticed


class PipelineNode(LifecycleNode):
    """A lifecycle node whose messages are handled by one worker thread, the newest first to be kept.

    A subclass names its parameter dataclass in `Parameters` and fills in `on_setup` (configure: load models, call
    `advertise` and `subscribe`), `on_start`, `on_stop` and `on_teardown`. The node's own executor thread serves
    parameters, services and timers; handlers run in the worker, where a FrameError drops one frame and any other
    exception too, under 'internal_error' with its traceback in the log.

    One input is the primary: its messages are the node's frames. Health is of them alone: what was received,
    processed and dropped, how old it was, how long the work took, and the silence that is STALE. Messages of other
    inputs (CameraInfo, depth) make a node look neither alive nor busy; those that cannot be used are counted apart.
    """

    Parameters: ClassVar[type[NodeParameters]] = NodeParameters
    stage: ClassVar[str] = ''

    def __init__(self, node_name: str, **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self.health = Health(self._log)
        say_dds_profile(self.get_logger())
        self.device = 'CPU'
        self._is_destroyed = False
        self.model = ''
        self._server = ParameterServer(self, self.Parameters, self.on_parameters)
        self._worker = Worker(f'{node_name} worker')
        self._wanted: list[DeclaredInput] = []
        self._primary: DeclaredInput | None = None
        self._streams: StreamInputs | None = None
        self._subscriptions_open: list[Subscription[Any]] = []
        self._wanted_periodic: list[tuple[float, Callable[[], None], Callable[[], bool]]] = []
        self._periodic_open: list[Periodic] = []
        self._publishers_open: list[Publisher[Any]] = []
        self._preparing = PreparationWatch(self.health, self.on_prepared)
        self._input_report = InputReport(self.health, lambda text: self._log(False, text), self._inform)
        self.time_watch = TimeWatch(self, self.health, self.on_time_jump)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics = Publisher(self, plain(DiagnosticArray), '/diagnostics', RELIABLE, self.health)
        self._timings = Publisher(self, plain(DiagnosticArray), '~/timings', RELIABLE, self.health)
        self._graph_timer = self.create_timer(GRAPH_PERIOD_S, self._check_graph, clock=self._steady)
        self._report_timer = self.create_timer(1.0, self._report, clock=self._steady)
        self._autostart_timer = self.create_timer(0.0, self._autostart, clock=self._steady)

    # What a subclass fills in

    def on_setup(self) -> None:
        """Configure: read `self.parameters`, load what is needed; raise PerceptionError to refuse."""

    def on_prepared(self) -> None:
        """What `prepare` began in `on_setup` is done; raise PerceptionError to fail."""

    def on_start(self) -> None:
        """Activated: subscriptions are open."""

    def on_stop(self) -> None:
        """Deactivated: no handler runs any more."""

    def on_teardown(self) -> None:
        """Clean up: free what `on_setup` made; also called after a failed `on_setup`."""

    def on_parameters(self, updated: Any) -> None:
        """A live change is about to be accepted; raise ConfigError to refuse it."""

    def on_time_jump(self, now_ns: int) -> None:
        """Time went back by over a second, to `now_ns`: forget what was learnt of later times. In the worker's thread,
        before the first message after it.
        """

    def on_report(self) -> None:
        """Diagnostics are about to be published: tell `health` what is true now. In the executor's thread, also while
        the worker is busy.
        """

    def has_input(self) -> bool:
        """Whether silence of the primary input means STALE."""
        return self._primary is not None

    # What a subclass uses

    @property
    def parameters(self) -> Any:
        """The current parameters, an immutable instance of `Parameters`; read it once per frame."""
        return self._server.current

    @property
    def state(self) -> str:
        """Lifecycle state label: 'unconfigured', 'inactive', 'active', ..."""
        return str(self._state_machine.current_state[1])

    @property
    def is_stopping(self) -> bool:
        """Whether the node waits for the handler that runs: one that waits for something gives up then."""
        return self._worker.stopping

    def subscribe(
        self,
        adapter: TypeAdapter[T],
        topic: str,
        qos: QosParameters,
        handler: Callable[[T, StageClock], None],
        *,
        primary: bool | None = None,
        depth: int = 1,
        wanted: Callable[[], bool] = lambda: True,
        on_device: Callable[[], bool] = lambda: False,
        inline: Callable[[T], bool] = lambda item: False,
        source: InputSource | None = None,
    ) -> None:
        """Declare, in `on_setup`, a subscription that opens with activation; `handler` runs in the worker.

        A node has exactly one primary input (see the class). Of several, one must be marked `primary=True`, or
        configuring fails; the only one is it unless `primary=False` says that its messages are no frames.

        Messages are taken only while `wanted()`: asked for each one of this process, and some ten times a second for
        whether to listen to other processes. `on_device`, asked
        at activation, says that the handler takes items on a GPU; else they are brought into host memory first.
        `inline` is that of `Mailbox`. `source`, asked as often as `wanted`, says which adapter and topic the input has
        at that time, where they depend on what is published; it changes over as soon as another pair is returned.
        """

        def connect(adapter: TypeAdapter[Any], topic: str, is_primary: bool) -> Subscription[Any]:
            takes_device = on_device()
            take = handler if takes_device else lambda item, clock: handler(adapter.to_host(item), clock)
            mailbox = Mailbox(
                self._worker,
                lambda item, arrived_ns: self._handle(take, item, arrived_ns, is_primary),
                depth,
                self.health.superseded if is_primary else lambda: None,
                inline,
            )
            return Subscription(self, adapter, topic, qos, mailbox, self.health, wanted, takes_device, is_primary)

        self._wanted.append(DeclaredInput(topic, primary, source or (lambda: (adapter, topic)), connect))

    def subscribe_streams(self, adapter: TypeAdapter[Any], qos: QosParameters, plan: StreamPlan) -> StreamInputs:
        """Declare, in `on_setup`, that the node's frames come in streams: an input each, primary together."""
        streams = self._streams = StreamInputs(
            self, self._worker, plan, self._input_report, lambda text: self._log(False, text), self._inform
        )

        def opener(stream: str) -> Callable[[TypeAdapter[Any], str, bool], Subscription[Any]]:
            def connect(adapter: TypeAdapter[Any], topic: str, is_primary: bool) -> Subscription[Any]:
                takes_device, health = plan.on_device(), streams.health(stream)
                slot = streams.slot(stream, adapter, on_device=takes_device)
                made = Subscription(self, adapter, topic, qos, slot, health, lambda: True, takes_device, is_primary)
                return streams.opened(stream, made)

            return connect

        def input_of(stream: str, topic: str) -> DeclaredInput:
            return DeclaredInput(topic, True, lambda: (adapter, topic), opener(stream), streams)

        self._wanted += [input_of(stream, topic) for stream, topic in plan.topics.items()]
        return streams

    @contextlib.contextmanager
    def work(self, clock: StageClock) -> Iterator[None]:
        """Around the work on a frame: unless it is deferred, it then counts as processed, with the time that this took.

        Every handler of frames runs in it; one that defers a frame enters it again for that frame's work. A FrameError
        drops the frame under its reason, any other exception under 'internal_error'; neither goes on.
        """
        clock.resume()
        begin = time.perf_counter()
        try:
            yield
        except FrameError as error:
            self._lose(clock, error.reason, str(error))
        except Exception:  # one frame must not end the node
            self._lose(clock, 'internal_error', traceback.format_exc())
        else:
            if clock.settle():
                (clock.health or self.health).processed((time.perf_counter() - begin) * 1e3 + clock.spent_ms)

    def prepare(self, preparation: Preparation) -> None:
        """Have, in `on_setup`, activation wait for work of minutes; the node then calls `on_prepared` and activates."""
        self._preparing.start(preparation)

    def every(self, period_s: float, handler: Callable[[], None], inline: Callable[[], bool] = lambda: False) -> None:
        """Declare, in `on_setup`, work that the worker does each `period_s` of real time while the node is active.

        While `inline()`, it is so little that waking the worker would cost more: then the timer's thread does it.
        """
        self._wanted_periodic.append((period_s, handler, inline))

    def advertise(self, adapter: TypeAdapter[T], topic: str, qos: QosParameters) -> Publisher[T]:
        """Create, in `on_setup`, a publisher that lives until cleanup."""
        publisher = Publisher(self, adapter, topic, qos, self.health)
        self._publishers_open.append(publisher)
        if adapter.message_type is None:
            self.get_logger().warning(
                f'{publisher.topic} works inside this process only: the package of {adapter.name} '
                'is not installed; build it, or run the nodes in one container'
            )
        return publisher

    def report_timings(self, header: Header, timings: tuple[StageTiming, ...]) -> None:
        """Publish a frame's stage timings on ~/timings, while anyone listens."""
        if self._timings.wanted:
            self._timings.publish(diagnostics.timings_message(header, timings))

    def leave_out(self, header: Header, clock: StageClock) -> None:
        """A handler leaves a frame out because it was told to take fewer: counted as 'thinned', which is no fault."""
        if clock.settle():
            self.health.dropped(THINNED)
        if self._timings.wanted:
            self._timings.publish(diagnostics.thinned_message(header))

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read parameters and set up; on failure say why and stay unconfigured, to be tried again."""
        try:
            self._server.load()
            self._warn_of_unknown_parameters()
            self.on_setup()
            self._primary = primary_of(self._wanted)
        except PerceptionError as error:
            return self._refuse(str(error))
        except Exception as error:
            return self._refuse(f'{type(error).__name__}: {error}')
        self.health.clear('configure')
        self._server.frozen = True
        self._report_timer.timer_period_ns = int(self.parameters.diagnostics_period_s * 1e9)
        self._report_timer.reset()  # or the first report would still come after the period before
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open subscriptions and start the worker."""
        if self._preparing.refuse_activation():
            return TransitionCallbackReturn.FAILURE
        self.health.reset()
        self._input_report.restart()
        if self._streams is not None:
            self._streams.restart()
        prepare_logging()
        try:
            self._worker.start()
            for one in self._wanted:
                self._subscriptions_open.append(one.connect(self._is_primary(one)))
            for period_s, handler, inline in self._wanted_periodic:
                self._periodic_open.append(Periodic(self, self._worker, period_s, handler, self.health, inline))
            self.on_start()
        except Exception as error:  # rclpy would swallow it
            self._stop_work()
            self.health.problem('activate', f'activate failed: {type(error).__name__}: {error}', error=True)
            return TransitionCallbackReturn.FAILURE
        self.health.clear('activate')
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close subscriptions and stop the worker after the frame in hand."""
        self._stop_work()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything that configure made."""
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free, from whatever state."""
        self._stop_work()
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Stop and free, then leave the graph; once, also where the context's end has done so already (Kilted)."""
        if self._is_destroyed:
            return
        self._is_destroyed = True
        self._stop_work()
        self._free()
        for publisher in (self._diagnostics, self._timings):
            publisher.close()
        self.time_watch.close()
        super().destroy_node()
        release_lifecycle(self)

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        if not self.get_parameter('autostart').value or self.state != 'unconfigured':
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()
        self._report()

    def _refuse(self, why: str) -> TransitionCallbackReturn:
        self._free()
        self.health.problem('configure', f'configure failed: {why}', error=True)
        return TransitionCallbackReturn.FAILURE

    def _stop_work(self) -> None:
        running, self._subscriptions_open = self._subscriptions_open, []
        for subscription in running:
            subscription.close()
        while self._periodic_open:
            self._periodic_open.pop().close()
        self._worker.stop()
        if running or self.state in ('activating', 'active', 'deactivating'):
            self.on_stop()
            self.health.forget()

    def _free(self) -> None:
        self._server.frozen = False
        self._wanted.clear()
        self._primary = self._streams = None
        self._wanted_periodic.clear()
        self._preparing.stop()
        self.on_teardown()
        for publisher in self._publishers_open:
            publisher.close()
        self._publishers_open.clear()
        self.health.forget(all_but_node=True)

    # Frames

    def _handle(self, handler: Callable[[Any, StageClock], None], item: Any, arrived_ns: int, is_primary: bool) -> None:
        clock = StageClock(self.stage, arrived_ns)
        if is_primary:
            self._handle_frame(handler, item, clock)
            return
        try:
            self.time_watch.take(item, is_primary)
            handler(item, clock)
        except FrameError as error:
            self.health.refused(error.reason, str(error))
        except Exception:  # one message must not end the node
            self.health.refused('internal_error', traceback.format_exc())

    def _handle_frame(self, handler: Callable[[Any, StageClock], None], item: Any, clock: StageClock) -> None:
        header = getattr(item, 'header', None)  # some messages, such as std_msgs/Empty, have none
        self.health.received(self.age_ms(header, self.health))
        with self.work(clock):
            self.time_watch.take(item, True)
            handler(item, clock)

    def _lose(self, clock: StageClock, reason: str, text: str) -> None:
        if clock.settle():
            (clock.health or self.health).dropped(reason, text)
        else:  # the frame itself goes on, or has been counted already
            self.health.skipped(reason, text)

    def age_ms(self, header: Header | None, health: Health) -> float | None:
        """Since a header's stamp; None where there is no stamp, which `health` is told, or no time."""
        if header is None:
            return None
        stamp = stamp_ns(header)
        if stamp == 0:
            health.problem(
                'zero_stamp',
                'messages arrive without a stamp: outputs carry stamp 0 and can be '
                'matched with nothing; have their publisher fill in header.stamp',
                log_again=False,
                log=not self._is_fed_by_us(),
            )
            return None
        health.clear('zero_stamp')
        if not self.time_watch.has_time:
            return None
        return (self.get_clock().now().nanoseconds - stamp) / 1e6  # type: ignore[no-any-return]

    def _is_fed_by_us(self) -> bool:
        """Whether the frames come from a node of this package, which has said already what is wrong with them."""
        primary = self._primary_subscription()
        return primary is not None and primary.source is Source.OURS

    # Reports

    def _log(self, is_error: bool, text: str) -> None:
        if is_error:
            self.get_logger().error(text)
        else:
            self.get_logger().warning(text)

    def _inform(self, text: str) -> None:  # rclpy wants one severity a line
        self.get_logger().info(text)

    def _warn_of_unknown_parameters(self) -> None:
        unknown = self._server.unknown()
        if unknown:
            self.health.problem('unknown_parameters', '; '.join(unknown))

    def _check_graph(self) -> None:
        if self._preparing.check():
            self.trigger_activate()
        for index, subscription in enumerate(self._subscriptions_open):
            self._follow_source(index, subscription)
        for subscription in self._subscriptions_open:
            subscription.check_remote()
        self.health.input_timeout_s = self.parameters.input_timeout_s
        if self._streams is not None:
            self._streams.check(self.parameters.input_timeout_s)
        elif self.has_input():
            self._input_report.check(self._primary_subscription())

    def _is_primary(self, one: DeclaredInput) -> bool:
        return one is self._primary or (one.streams is not None and one.streams is self._streams)

    def _words(self) -> tuple[str, str]:
        """What is to be said of the frames' coming, for `diagnostics.judge`."""
        if not self.has_input() or self.state != 'active':
            return '', ''
        return self._streams.words() if self._streams else self._input_report.words(self._primary_subscription())

    def _primary_subscription(self) -> Subscription[Any] | None:
        """The open subscription whose messages are the frames."""
        return next((one for one in self._subscriptions_open if one.is_primary), None)

    def _follow_source(self, index: int, subscription: Subscription[Any]) -> None:
        """Open an input anew where its source has changed; they are in the order in which they were declared."""
        one = self._wanted[index]
        adapter, topic = one.source()
        if adapter is not subscription.adapter or self.resolve_topic_name(topic) != subscription.topic:
            subscription.close()
            self._subscriptions_open[index] = one.open(adapter, topic, self._is_primary(one))

    def _check_name(self) -> None:
        own = self.get_fully_qualified_name()
        is_taken = self.get_fully_qualified_node_names().count(own) > 1
        text = (
            f'another node is also named {own}: parameters and services reach either of them; start one under another '
            'name or namespace'
        )
        self.health.standing('name', text if is_taken else None)

    def _report(self) -> None:
        self._check_name()
        self.time_watch.check()
        if self._streams is not None and self.state == 'active':
            self._streams.show()
        self.on_report()
        snapshot = self.health.snapshot()
        silence, unsteady = self._words()
        level, message = diagnostics.judge(snapshot, state=self.state, silence=silence, unsteady=unsteady)
        values = {'state': self.state, 'model': self.model, 'device': self.device, **diagnostics.figures(snapshot)}
        status = diagnostics.status(self.get_fully_qualified_name(), self.device, level, message, values)
        header = Header(stamp=self.get_clock().now().to_msg())
        self._diagnostics.publish(DiagnosticArray(header=header, status=[status]))
