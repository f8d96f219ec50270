# SPDX-License-Identifier: Apache-2.0
"""Which input of a node is its primary one, and what of its messages and of those of others is counted."""

from __future__ import annotations

import contextlib
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from rclpy.parameter import Parameter
from std_msgs.msg import Header, String
from support.ros.topic_ends import WORD
from support.waiting import wait_until

from isaac_inference.errors import FrameError
from isaac_inference.ros.runtime import node as module
from isaac_inference.ros.runtime.health import diagnostics
from isaac_inference.ros.runtime.health.input_watch import InputState
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.topics.publisher import Publisher
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.type_adapter import plain

QOS = QosParameters(reliability=Reliability.RELIABLE, depth=10)
WAIT_S = 60.0


class Listener(PipelineNode):
    """Subscribes to `frames` and `others` with the marks that the test gives; handlers are the test's."""

    marks: dict[str, dict[str, Any]] = {'frames': {'primary': True}, 'others': {}}

    def __init__(self, node_name: str, **kwargs: Any) -> None:
        self.handlers: dict[str, Any] = {'frames': lambda item, clock: None, 'others': lambda item, clock: None}
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        for topic, how in self.marks.items():
            handle = lambda item, clock, topic=topic: self.handlers[topic](item, clock)  # noqa: E731
            self.subscribe(plain(String), f'~/{topic}', QOS, handle, **{'depth': 10, **how})

    def problems(self) -> str:
        return '; '.join(text for _, text in self.health.snapshot().problems)


def listener_of(**marks: dict[str, Any]) -> type[Listener]:
    """A node with these inputs."""
    return type('Marked', (Listener,), {'marks': marks})


@pytest.fixture
def make_active(make_node):
    """Makes active nodes that nobody spins: what is published in this process reaches their workers all the same."""

    def make(kind: type[Listener] = Listener) -> Listener:
        node = make_node(kind, autostart=False)
        node.trigger_configure()
        node.trigger_activate()
        assert node.state == 'active', node.problems()
        return node

    return make


@pytest.fixture
def send():
    """Publishes items on a topic of the node, in this process."""
    with contextlib.ExitStack() as stack:

        def publish(node, topic, *items):
            publisher = Publisher(node, plain(String), f'~/{topic}', QOS, node.health)
            stack.callback(publisher.close)
            for item in items:
                publisher.publish(item)

        yield publish


class Kept(list):
    """A handler that defers each frame: its clocks."""

    def __call__(self, item: Any, clock: StageClock) -> None:
        self.append(clock)
        clock.defer()


def counts(node: PipelineNode) -> tuple[int, int, dict[str, int]]:
    found = node.health.snapshot()
    return found.received, found.processed, found.drops


@pytest.mark.parametrize(
    'marks',
    [
        {'frames': {}, 'others': {}},
        {'frames': {'primary': False}, 'others': {'primary': False}},
        {'frames': {'primary': True}, 'others': {'primary': True}},
    ],
    ids=['none', 'denied', 'two'],
)
def test_of_several_inputs_exactly_one_must_be_marked(make_node, marks):
    node = make_node(listener_of(**marks), autostart=False)
    node.trigger_configure()
    assert node.state == 'unconfigured'
    assert 'of the inputs ~/frames, ~/others, ' in node.problems()
    assert 'primary=True' in node.problems()


def test_a_mark_holds_for_one_configuration_only(make_node):
    node = make_node(Listener, autostart=False)
    for _ in range(2):
        node.trigger_configure()
        assert node.state == 'inactive', node.problems()
        assert node.has_input()
        node.trigger_cleanup()
        assert not node.has_input()


def test_the_only_input_is_the_primary_one(make_active, send):
    node = make_active(listener_of(frames={}))
    send(node, 'frames', String())
    wait_until(lambda: counts(node) == (1, 1, {}), WAIT_S)
    assert node.has_input()


def test_an_only_input_that_is_denied_counts_for_nothing(make_active, send):
    node = make_active(listener_of(frames={'primary': False}))
    done = threading.Event()
    node.handlers['frames'] = lambda item, clock: done.set()
    send(node, 'frames', String())
    assert done.wait(WAIT_S)
    assert not node.has_input()
    node.trigger_deactivate()  # the handler has returned
    assert counts(node) == (0, 0, {})


def test_messages_of_other_inputs_make_a_node_neither_alive_nor_busy(make_active, send):
    node = make_active()
    taken = []
    node.handlers['others'] = lambda item, clock: taken.append(item)
    send(node, 'others', *[String() for _ in range(5)])
    wait_until(lambda: len(taken) == 5, WAIT_S)
    node.trigger_deactivate()
    found = node.health.snapshot()
    assert (found.received, found.processed, node.health.look_at_input()[1], found.percentiles_ms) == (0, 0, 0, {})


@pytest.mark.parametrize(
    ('error', 'reason'), [(FrameError('bad_words', 'why'), 'bad_words'), (KeyError('x'), 'internal_error')]
)
def test_what_other_inputs_lose_is_counted_apart(make_active, send, error, reason):
    node = make_active()

    def refuse(item: Any, clock: StageClock) -> None:
        raise error

    node.handlers['others'] = refuse
    send(node, 'others', String())
    send(node, 'frames', String())
    wait_until(lambda: counts(node) == (1, 1, {}), WAIT_S)
    wait_until(lambda: node.health.snapshot().refusals == {reason: 1}, WAIT_S)


def test_a_wait_for_others_is_no_work(make_active, send, monkeypatch):
    node, kept = make_active(), Kept()
    node.handlers['frames'] = kept
    watch = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        module,
        'time',
        SimpleNamespace(perf_counter=lambda: watch.now, time_ns=lambda: 1, monotonic=module.time.monotonic),
    )
    send(node, 'frames', String())
    wait_until(lambda: len(kept) == 1, WAIT_S)
    node.trigger_deactivate()  # its handler has returned
    assert counts(node) == (1, 0, {})
    watch.now = 5.0
    with node.work(kept[0]):
        watch.now += 0.25
    assert counts(node) == (1, 1, {})
    assert node.health.snapshot().percentiles_ms['p99'] == 250.0


@pytest.mark.parametrize(
    ('error', 'reason'), [(FrameError('expired', 'why'), 'expired'), (KeyError('x'), 'internal_error')]
)
def test_a_frame_that_is_dropped_later_is_not_processed(make_active, send, error, reason):
    node, kept = make_active(), Kept()
    node.handlers['frames'] = kept
    send(node, 'frames', String(), String())
    wait_until(lambda: len(kept) == 2, WAIT_S)
    with node.work(kept[0]):
        raise error
    assert counts(node) == (2, 0, {reason: 1})
    with node.work(kept[1]):
        pass
    assert counts(node) == (2, 1, {reason: 1})


def test_no_frame_counts_twice(make_active, send):
    node = make_active()
    done = threading.Event()

    def handle(item: Any, clock: StageClock) -> None:
        clock.defer()
        with node.work(clock):
            pass
        done.set()
        raise FrameError('on_top', 'something else that was to be done')

    node.handlers['frames'] = handle
    send(node, 'frames', String())
    assert done.wait(WAIT_S)
    node.trigger_deactivate()
    assert counts(node) == (1, 1, {})
    assert node.health.snapshot().skips == {'on_top': 1}


def test_what_fails_after_a_frame_was_put_aside_does_not_lose_it(make_active, send):
    node, kept = make_active(), Kept()

    def handle(item: Any, clock: StageClock) -> None:
        kept(item, clock)
        raise FrameError('on_top', 'something else that was to be done')

    node.handlers['frames'] = handle
    send(node, 'frames', String())
    wait_until(lambda: node.health.snapshot().skips == {'on_top': 1}, WAIT_S)
    assert counts(node) == (1, 0, {})
    with node.work(kept[0]):
        pass
    assert counts(node) == (1, 1, {})


def test_displaced_frames_are_received_and_those_of_other_inputs_are_not(make_active, send):
    node = make_active(listener_of(frames={'primary': True, 'depth': 1}, others={'depth': 1}))
    begun, go_on = threading.Event(), threading.Event()

    def handle(item: Any, clock: StageClock) -> None:
        begun.set()
        assert go_on.wait(WAIT_S)

    node.handlers['frames'] = handle
    send(node, 'frames', String())
    assert begun.wait(WAIT_S)
    send(node, 'others', *[String() for _ in range(4)])
    send(node, 'frames', *[String() for _ in range(3)])  # of which the last is handled
    go_on.set()
    wait_until(lambda: counts(node) == (4, 2, {'superseded': 2}), WAIT_S)


def test_a_message_that_can_not_be_read_counts_as_one_of_its_input(make_node):
    node = make_node(listener_of(frames={'primary': True}, others={}), autostart=False)
    node.trigger_configure()
    node.trigger_activate()
    frames, others = node._subscriptions_open
    for subscription, adapter in ((frames, WORD), (others, WORD)):
        subscription.adapter = adapter
        subscription._on_message(String(data='bad'), {})
    found = node.health.snapshot()
    assert (found.received, found.drops, found.refusals) == (1, {'bad_word': 1}, {'bad_word': 1})


def test_only_the_primary_input_has_an_age_and_must_have_a_stamp(make_active, send):
    node = make_active()
    unstamped = SimpleNamespace(header=Header())
    send(node, 'others', unstamped)
    send(node, 'frames', String())
    wait_until(lambda: counts(node)[1] == 1, WAIT_S)
    assert 'stamp' not in node.problems()
    send(node, 'frames', unstamped)
    wait_until(lambda: 'messages arrive without a stamp' in node.problems(), WAIT_S)
    stamped = SimpleNamespace(header=Header(stamp=node.get_clock().now().to_msg()))
    send(node, 'others', stamped)
    send(node, 'frames', String())
    wait_until(lambda: counts(node)[1] == 3, WAIT_S)
    assert 'messages arrive without a stamp' in node.problems()
    assert node.health.snapshot().input_age_ms is None


def test_a_stale_node_names_its_primary_input_alone(make_active, send, monkeypatch):
    node = make_active()
    reports: list[Any] = []
    monkeypatch.setattr(node._diagnostics, 'publish', reports.append)
    send(node, 'others', String())
    assert node.set_parameters([Parameter('input_timeout_s', value=0.05)])[0].successful
    node._check_graph()
    wait_until(lambda: node.health.look_at_input()[0] is InputState.MISSING, WAIT_S)
    node._report()
    [status] = reports[0].status
    assert status.level == diagnostics.STALE
    assert f'nobody publishes {node.get_fully_qualified_name()}/frames (std_msgs/msg/String)' in status.message
    assert 'others' not in status.message
