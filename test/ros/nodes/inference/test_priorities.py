# SPDX-License-Identifier: Apache-2.0
"""Several models in one process: who waits says so, and stops when it is told to."""

from __future__ import annotations

import pytest

from isaac_inference.serving.scheduler.scheduler import SAFETY, SCHEDULER


@pytest.fixture
def busy():
    """A safety model of this process that holds all cores."""
    member = SCHEDULER.join('/brakes', SAFETY, cores=1024)
    with member.turn():
        yield member
        member.leave()


def test_a_model_that_never_gets_its_turn_says_so_and_recovers(cameras, busy):
    found = cameras(streams=['front', 'left'], priority=0)
    found.send('front')
    wanted = 'gets too little of'
    found.probe.wait_until(lambda: wanted in found.probe.status('inference').message, 'it says that it starves')
    assert '/brakes (priority 3)' in found.probe.status('inference').message
    assert found.probe.value('inference', 'processed') == '0'
    newest = found.send('front')
    found.probe.wait_until(lambda: found.value('front', 'dropped.superseded') == '1', 'the second frame arrives')
    busy.leave()
    found.probe.wait_until(lambda: found.answers['front'])
    assert found.answers['front'][-1].header == newest.header, 'the newest frame is taken when there is time for it'
    assert found.check_answers('front') == 1
    found.probe.wait_until(lambda: wanted not in found.probe.status('inference').message, 'that is over')


def test_a_node_that_waits_for_its_turn_can_be_stopped(cameras, busy):
    found = cameras(streams=['front', 'left'], priority=0)
    found.send('front')
    found.probe.wait_until(lambda: 'gets too little of' in found.probe.status('inference').message)
    found.node.trigger_deactivate()
    assert found.node.state == 'inactive'


def test_it_says_how_long_it_waits_only_where_there_are_other_classes(cameras):
    found = cameras()
    found.ask('front')
    report = found.probe.wait_report('inference')
    assert not [pair.key for pair in report.values if pair.key.startswith('turn_wait_ms')]
    other = SCHEDULER.join('/other', 0, cores=1)
    found.ask('front')
    found.probe.wait_until(lambda: found.probe.value('inference', 'turn_wait_ms.p50') != '')
    other.leave()


@pytest.mark.parametrize('priority', [-1, 4])
def test_a_priority_out_of_range_is_refused_at_configure(empty_graph, open_batch, priority):
    empty_graph.load('InferenceNode', 'inference', model=str(open_batch.path), priority=priority)
    message = f'parameter priority: got {priority} (int), expected whole number in [0, 3]'
    empty_graph.probe.wait_until(lambda: message in empty_graph.probe.status('inference').message)
    assert empty_graph.probe.value('inference', 'state') == 'unconfigured'


def test_a_node_that_is_gone_shares_nothing_any_more(cameras):
    member = SCHEDULER.join('/other', 0, cores=1)
    found = cameras()
    found.probe.wait_until(lambda: member.has_classes)
    found.node.trigger_deactivate()
    found.node.trigger_cleanup()
    assert not member.has_classes
    member.leave()
