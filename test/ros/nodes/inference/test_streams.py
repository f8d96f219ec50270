# SPDX-License-Identifier: Apache-2.0
"""Several cameras into one model: each has its own results, and one that fails costs the others nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from isaac_inference.models import CardId
from isaac_inference.ros.messages.tensors import to_tensor_list

LONG_MS = 1000.0  # as long as a node may be told to wait for more


def test_each_stream_gets_the_results_of_its_own_frames(cameras):
    found = cameras()
    for _ in range(4):
        for stream in found.sent:
            found.ask(stream)
    assert [found.check_answers(stream) for stream in found.sent] == [4, 4, 4]
    for stream in found.sent:
        found.probe.wait_until(lambda stream=stream: found.value(stream, 'processed') == '4')
        assert (found.value(stream, 'received'), found.value(stream, 'dropped')) == ('4', '0')
        assert float(found.value(stream, 'input_age_ms')) > 0
        assert found.value(stream, 'state') == 'flowing'
    assert found.probe.value('inference', 'received') == '12'


def test_frames_that_wait_together_run_together(cameras):
    """With time to wait for the others, the three are one batch, and their results are not mixed."""
    found = cameras(batch_wait_ms=LONG_MS, input_timeout_s=3600.0)
    for round_ in range(1, 4):
        for stream in found.sent:
            found.send(stream)
        for stream, answers in found.answers.items():
            found.probe.wait_until(lambda answers=answers, count=round_: len(answers) >= count, f'{stream} answers')
    assert [found.check_answers(stream) for stream in found.sent] == [3, 3, 3]
    found.probe.wait_until(lambda: found.probe.value('inference', 'batch.p50') == '3.000', 'batches of three')
    assert found.probe.value('inference', 'frames_at_once') == '3'


def test_max_batch_bounds_what_runs_together(cameras):
    found = cameras(batch_wait_ms=LONG_MS, max_batch=2)
    for stream in found.sent:
        found.send(stream)
    for stream, answers in found.answers.items():
        found.probe.wait_until(lambda answers=answers: answers, f'{stream} answers')
    assert found.probe.value('inference', 'frames_at_once') == '2'
    found.probe.wait_until(lambda: float(found.probe.value('inference', 'batch.p99') or 0) >= 1)
    assert float(found.probe.value('inference', 'batch.p99')) <= 2


def test_a_wait_for_more_ends_and_may_be_changed(cameras):
    found = cameras(batch_wait_ms=50.0)
    found.ask('left')
    assert found.node.set_parameters([type(found.node.get_parameter('batch_wait_ms'))('batch_wait_ms', value=0.0)])[
        0
    ].successful
    found.ask('left')
    assert found.check_answers('left') == 2


BAD = {
    'another size': {'images': np.zeros((1, 3, 32, 64), np.float32)},
    'another type': {'images': np.zeros((1, 3, 64, 64), np.float64)},
    'another rank': {'images': np.zeros((3, 64, 64), np.float32)},
    'another name': {'pixels': np.zeros((1, 3, 64, 64), np.float32)},
}


@pytest.mark.parametrize('bad', BAD.values(), ids=BAD)
def test_a_stream_that_sends_what_does_not_fit_loses_its_own_frames_only(cameras, bad):
    """They are in one batch with good ones, which come out as if nothing had happened."""
    found = cameras(batch_wait_ms=LONG_MS)
    for round_ in range(1, 4):
        found.send('left', tensors=bad)
        found.send('front')
        found.send('rear')
        for stream in ('front', 'rear'):
            found.probe.wait_until(lambda stream=stream, count=round_: len(found.answers[stream]) >= count)
    assert [found.check_answers(stream) for stream in ('front', 'rear')] == [3, 3]
    found.probe.wait_until(lambda: found.value('left', 'dropped.engine_error') == '3', 'the frames of left are counted')
    assert not found.answers['left']
    assert [found.value(stream, 'dropped') for stream in ('front', 'rear')] == ['0', '0']
    assert any(
        'stream left: ' in status.message and 'engine_error' in status.message
        for status in found.probe.reports_of('inference')
    )


def test_a_frame_of_another_model_and_a_message_that_cannot_be_read(cameras):
    found = cameras()
    other = replace(found.frame('left'), card=CardId('0123456789abcdef', 'forks'))
    found.publishers['left'].publish(to_tensor_list(other))
    garbage = to_tensor_list(found.frame('rear'))
    garbage.tensors[0].data = garbage.tensors[0].data[:100]
    found.publishers['rear'].publish(garbage)
    for _ in range(3):
        found.ask('front')
    found.probe.wait_until(lambda: found.value('left', 'dropped.other_model') == '1')
    found.probe.wait_until(lambda: found.value('rear', 'dropped.bad_tensor') == '1')
    assert (found.value('front', 'dropped'), found.check_answers('front')) == ('0', 3)
    found.ask('left')
    found.ask('rear')
    assert found.check_answers('left') == found.check_answers('rear') == 1


def test_a_silent_stream_is_named_and_the_node_is_not_stale(cameras):
    found = cameras(input_timeout_s=0.3)
    level = lambda: found.probe.status('inference').level  # noqa: E731
    found.probe.wait_until(lambda: level() == DiagnosticStatus.STALE, 'all are silent')
    assert all(f'stream {stream}: no input' in found.probe.status('inference').message for stream in found.sent)

    def fed():
        for stream in ('front', 'rear'):
            found.ask(stream)
        status = found.probe.status('inference')
        names = [stream for stream in found.sent if f'stream {stream}: no input' in status.message]
        return status.level == DiagnosticStatus.WARN and names == ['left']

    found.probe.wait_until(fed, 'only left is said to be silent')
    assert found.value('left', 'state') == 'missing'


def test_a_stream_whose_frame_id_changes_is_noted_and_each_result_has_its_own(cameras):
    found = cameras()
    found.ask('left', frame_id='one')
    found.ask('front', frame_id='two')
    for frame_id in ('other', 'one', 'other'):
        found.ask('left', frame_id=frame_id)
    found.probe.wait_until(lambda: found.value('left', 'noted.frame_id_changed') == '3')
    assert found.value('front', 'noted.frame_id_changed') == ''
    assert [message.header.frame_id for message in found.answers['left']] == ['one', 'other', 'one', 'other']


def test_streams_with_clocks_far_apart_are_no_jumps_of_time(cameras):
    found = cameras()
    for number in range(3):
        for stream, offset in (('front', 0), ('left', 100_000), ('rear', 50)):
            frame = found.frame(stream)
            frame.header.stamp.sec += offset + number
            found.sent[stream].append(frame)
            count = len(found.answers[stream])
            found.publishers[stream].publish(to_tensor_list(frame))
            found.probe.wait_until(lambda stream=stream, count=count: len(found.answers[stream]) > count)
    report = found.probe.wait_report('inference')
    assert not [pair for pair in report.values if pair.key == 'time_jumps']


def test_a_model_of_one_image_runs_the_streams_one_after_the_other_and_says_so_once(cameras, one_image):
    found = cameras(card=one_image)
    for _ in range(2):
        for stream in found.sent:
            found.ask(stream)
    assert [found.check_answers(stream) for stream in found.sent] == [2, 2, 2]
    assert found.probe.value('inference', 'frames_at_once') == '1'


def test_one_unnamed_stream_is_as_ever(cameras):
    found = cameras(streams=[''])  # for this test's publishers; the node is given none
    found.ask('')
    report = found.probe.wait_report('inference')
    keys = [pair.key for pair in report.values]
    assert not [key for key in keys if key.startswith(('stream.', 'batch', 'frames_at_once'))]
    assert (report.level, report.message) == (DiagnosticStatus.OK, 'running')


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'streams': ['front', 'left', 'front']}, "'front' is given more than once"),
        ({'streams': ['front', 'le/ft']}, "got 'le/ft', expected names that a topic can begin with"),
        ({'streams': ['front', 'left'], 'max_batch': -1}, 'parameter max_batch: got -1'),
        ({'streams': ['front', 'left'], 'batch_wait_ms': -1.0}, 'parameter batch_wait_ms: got -1.0'),
    ],
)
def test_what_makes_no_sense_is_refused_at_configure(empty_graph, open_batch, parameters, message):
    empty_graph.load('InferenceNode', 'inference', model=str(open_batch.path), **parameters)
    empty_graph.probe.wait_until(lambda: message in empty_graph.probe.status('inference').message)
    assert empty_graph.probe.value('inference', 'state') == 'unconfigured'


def test_a_max_batch_beyond_what_the_model_takes_is_refused_at_configure(empty_graph, one_image):
    empty_graph.load('InferenceNode', 'inference', model=str(one_image.path), streams=['front', 'left'], max_batch=2)
    wanted = 'parameter max_batch: got 2, but model one takes at most 1 image at once'
    empty_graph.probe.wait_until(lambda: wanted in empty_graph.probe.status('inference').message)
    assert empty_graph.probe.value('inference', 'state') == 'unconfigured'
