# SPDX-License-Identifier: Apache-2.0
"""Clients that feed a graph: what belongs to a sample's stamp, what comes late, and what stays away."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from types import SimpleNamespace

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import Empty
from support.waiting import LIMIT_S, wait_until
from vision_msgs.msg import Detection2DArray, LabelInfo

from benchmark.support.ros import Probe, Record
from isaac_inference.ros.bringup.clients import feeder as feeder_module
from isaac_inference.ros.bringup.clients.feeder import Feeder, FeedTopics
from isaac_inference.ros.runtime.health.diagnostics import timings_message
from isaac_inference.ros.runtime.health.timing import StageTiming
from isaac_inference.ros.runtime.node import StageClock
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain

_numbers = itertools.count(1)
TOPICS = FeedTopics(
    {'asked': plain(Empty)},
    {'boxes': plain(Detection2DArray), 'more': plain(Detection2DArray)},
    ('first/timings', 'second/timings'),
    {'names': plain(LabelInfo)},
)


@pytest.fixture
def feeder(ros):
    with contextlib.closing(Feeder(namespace=f'/feeder_{next(_numbers)}')) as made:
        made.run_with(TOPICS)
        yield made


def timings(header, *stages):
    return timings_message(header, [StageTiming(name, 0, 10**6, 3 * 10**6) for name in stages])


@pytest.fixture
def end_the_wait(monkeypatch):
    """Lets time pass for the feeder."""
    now = time.monotonic
    return lambda: monkeypatch.setattr(feeder_module, 'time', SimpleNamespace(monotonic=lambda: now() + 2 * LIMIT_S))


def show(feeder):
    """Shows a sample; returns its header and a list that gets the answer."""
    header, answers = feeder.new_header(), []
    work = lambda: answers.append(feeder.show(header, {'asked': Empty()}, LIMIT_S))  # noqa: E731
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    wait_until(lambda: feeder._stamp == stamp_ns(header) or answers, 'the sample is shown')
    return header, answers


def give(feeder, header, *topics):
    """What the graph says of a stamp on these topics."""
    says = {
        'boxes': lambda: feeder._on_answer('boxes', Detection2DArray(header=header), None),
        'more': lambda: feeder._on_answer('more', Detection2DArray(header=header), None),
        'names': lambda: feeder._on_latched('names', LabelInfo(), None),
        'first': lambda: feeder._on_timings('first/timings', timings(header, 'inference', 'detection'), None),
        'second': lambda: feeder._on_timings('second/timings', timings(header, 'inference', 'keypoints'), None),
    }
    for topic in topics:
        says[topic]()


def test_an_answer_is_there_when_all_of_it_is(feeder):
    header, answers = show(feeder)
    give(feeder, header, 'second', 'more', 'names', 'first')
    assert not answers
    give(feeder, header, 'boxes')
    wait_until(lambda: answers, 'the answer')
    (answer,) = answers
    assert answer.is_complete and set(answer.messages) == {'boxes', 'more', 'names'}
    assert [timing.stage for timing in answer.timings] == ['inference', 'detection', 'inference', 'keypoints']
    assert answer.stages_ms == {'inference': 2.0, 'detection': 2.0, 'crops_inference': 2.0, 'keypoints': 2.0}


def test_what_is_late_belongs_to_no_other_sample(feeder):
    early, answers = show(feeder)
    give(feeder, early, 'first', 'second', 'more', 'names', 'boxes')
    wait_until(lambda: answers, 'the first answer')
    header, answers = show(feeder)
    give(feeder, early, 'first', 'second', 'more', 'boxes')
    assert not feeder._parts and not answers
    give(feeder, header, 'first', 'second', 'more', 'boxes')
    wait_until(lambda: answers, 'the second answer: names are latched')
    assert answers[0].messages['boxes'].header == header


def test_without_the_first_of_the_answers_there_is_none(feeder, end_the_wait):
    header, answers = show(feeder)
    give(feeder, header, 'more', 'names', 'first', 'second')
    end_the_wait()
    wait_until(lambda: answers, 'the wait is over')
    assert answers == [None]


def test_an_answer_may_be_incomplete(feeder, end_the_wait):
    header, answers = show(feeder)
    give(feeder, header, 'boxes', 'first')
    end_the_wait()
    wait_until(lambda: answers, 'the wait is over')
    (answer,) = answers
    assert not answer.is_complete and answer.missing == ('more', 'names', 'second/timings')
    assert set(answer.messages) == {'boxes'} and set(answer.stages_ms) == {'inference', 'detection'}


def test_a_sample_is_shown_again_and_less_and_less_often(feeder, monkeypatch, end_the_wait):
    shown, pauses = [], []
    monkeypatch.setattr(feeder._inputs['asked'], 'publish', shown.append)

    def wait_for(ready, pause):
        pauses.append(pause)
        if len(pauses) == 3:
            end_the_wait()

    monkeypatch.setattr(feeder._changed, 'wait_for', wait_for)
    assert feeder.show(feeder.new_header(), {'asked': Empty()}, LIMIT_S) is None
    again = feeder_module.SHOW_AGAIN_S
    assert (len(shown), pauses) == (3, [again, 2 * again, 4 * again])


def test_a_benchmark_s_probe_has_the_whole_way_of_a_frame(ros):
    with contextlib.closing(Probe.start(f'/feeder_{next(_numbers)}', pictures=False)) as probe:
        header = probe.new_header()
        record = probe.records[stamp_ns(header)] = Record(1)
        probe._on_timings(
            'detection/timings', timings(header, 'preprocess', 'inference', 'detection'), StageClock('probe', 10**9)
        )
        probe._on_answer('detections', Detection2DArray(header=header), StageClock('probe', 10**9))
        assert record.complete
        assert record.parts_ms()['inference'] == 2.0


def test_only_timings_are_taken_for_timings(feeder):
    header, answers = show(feeder)
    feeder._on_timings('first/timings', DiagnosticArray(header=header), None)
    give(feeder, header, 'boxes', 'more', 'names', 'second')
    wait_until(lambda: answers, 'the answer')
    assert answers[0].stages_ms == {'inference': 2.0, 'keypoints': 2.0}
