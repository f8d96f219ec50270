# SPDX-License-Identifier: Apache-2.0
"""What must not end a node of several streams: frames that come while it is activated, and turns that fail."""

from __future__ import annotations

import pytest

from isaac_inference.ros.runtime.topics.subscription import Subscription


@pytest.fixture
def with_early_frames(monkeypatch):
    """Each subscription has a frame before whoever opens it has it: cameras run while a node is activated."""

    def install(found):
        made = Subscription.check_remote

        def check(self):
            made(self)
            stream = next((one for one in found.sent if self.topic.endswith(f'/{one}/input_tensors')), None)
            if stream is None and self.topic.endswith('/input_tensors'):
                stream = ''
            if stream is not None and stream not in early:
                early.append(stream)
                frame = found.frame(stream)
                found.sent[stream].append(frame)
                self.deliver(frame)
                found.probe.wait_until(
                    lambda: found.node.health.snapshot().processed == len(early) or not worker().is_alive(),
                    'the frame is handled',
                )

        early, worker = [], lambda: found.node._worker._thread
        monkeypatch.setattr(Subscription, 'check_remote', check)
        return early

    return install


@pytest.mark.parametrize('streams', [['front', 'left', 'rear'], ['']], ids=['streams', 'one unnamed stream'])
def test_frames_that_come_while_it_is_activated_are_frames(cameras, with_early_frames, streams):
    found = cameras(streams=streams)
    found.node.trigger_deactivate()
    early = with_early_frames(found)
    found.node.trigger_activate()
    assert sorted(early) == sorted(streams)
    assert found.node._worker._thread.is_alive()
    for stream in streams:
        found.ask(stream)
        found.check_answers(stream)


def test_a_turn_that_fails_loses_the_frames_that_waited_and_no_more(cameras):
    found = cameras()
    shared = found.node._shared
    begin, failures = shared.begin, []

    def fails(still_wanted):
        if not failures:
            failures.append(1)
            raise RuntimeError('the event of another model failed')
        return begin(still_wanted)

    shared.begin = fails
    found.send('left')
    found.probe.wait_until(lambda: found.value('left', 'dropped.internal_error') == '1')
    for stream in found.sent:
        found.ask(stream)
    assert [found.check_answers(stream) for stream in found.sent] == [1, 1, 1]
    assert found.value('front', 'dropped') == '0'


def test_a_turn_that_cannot_be_ended_is_said_and_costs_no_frame(cameras):
    found = cameras()
    shared = found.node._shared
    end, failures = shared.end, []

    def fails():
        end()
        failures.append(1)
        if len(failures) == 2:  # the first is that of the node, when the model has run
            raise RuntimeError('no such turn')

    shared.end = fails
    found.ask('left')
    for stream in found.sent:
        found.ask(stream)
    assert len(failures) > 2
    assert found.node.health.snapshot().drops == {}


def test_an_engine_that_fails_in_a_way_of_its_own_loses_the_batch_and_goes_on(cameras):
    """Not with an EngineError, which is tried again frame by frame, but with what nobody has thought of."""
    found = cameras(batch_wait_ms=1000.0)
    engine = found.node._shared.engine
    infer, failures = engine.infer, []

    def fails(feeds):
        if not failures:
            failures.append(1)
            raise MemoryError('no memory for the outputs')
        return infer(feeds)

    engine.infer = fails
    for stream in found.sent:
        found.send(stream)
    found.probe.wait_until(lambda: found.probe.value('inference', 'dropped.internal_error') not in ('', '0'))
    for _ in range(2):
        for stream in found.sent:
            found.ask(stream)
    assert found.node._worker._thread.is_alive()


def test_it_may_be_deactivated_cleaned_up_and_given_other_streams(cameras):
    found = cameras()
    found.ask('front')
    found.node.trigger_deactivate()
    found.node.trigger_activate()
    found.probe.wait_matched()
    found.ask('front')
    found.probe.wait_until(lambda: found.value('front', 'received') == '1', 'counted since activation')
    found.node.trigger_deactivate()
    found.node.trigger_cleanup()
    parameter = type(found.node.get_parameter('streams'))
    assert found.node.set_parameters([parameter('streams', value=['left', 'rear'])])[0].successful
    found.node.trigger_configure()
    found.node.trigger_activate()
    found.probe.wait_until(lambda: found.value('left', 'state') != '')
    found.ask('left')
    found.ask('rear')
    report = found.probe.wait_report('inference')
    assert not [pair.key for pair in report.values if pair.key.startswith('stream.front')]
