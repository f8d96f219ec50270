# SPDX-License-Identifier: Apache-2.0
"""From a node's figures to its diagnostics: level, text, key-value pairs, stage timings."""

from __future__ import annotations

from typing import Any

import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from isaac_inference.ros.runtime.health.diagnostics import (
    ERROR,
    OK,
    STALE,
    WARN,
    figures,
    judge,
    parse_timings,
    status,
    timings_message,
)
from isaac_inference.ros.runtime.health.health import SUPERSEDED, Snapshot
from isaac_inference.ros.runtime.health.timing import StageTiming


def snapshot(**changes: Any) -> Snapshot:
    """Figures of a node that runs well, but for `changes`."""
    good = {
        'elapsed_s': 2.0,
        'received': 100,
        'processed': 90,
        'drops': {SUPERSEDED: 10},
        'recent_received': 30,
        'recent_processed': 20,
        'recent_drops': {SUPERSEDED: 10},
        'percentiles_ms': {'p50': 1.0, 'p95': 2.0},
        'input_age_ms': 4.0,
        'problems': (),
    }
    return Snapshot(**{**good, **changes})


SILENCE = 'no input for 2.6 s: /image has no publisher'
WARNED, FAILED = (False, 'no intrinsics'), (True, 'incompatible reliability')
JUDGED = {
    'runs well': ({'recent_drops': {}}, {}, OK, 'running'),
    'superseded frames only': (
        {'recent_processed': 20},
        {},
        OK,
        'running; takes the newest 10 of 15 frames per second, as more come than it has time for',
    ),
    'some frames dropped': (
        {'recent_drops': {'bad_step': 2, SUPERSEDED: 5, 'no_letterbox': 1}},
        {},
        WARN,
        'frames dropped: bad_step x2, no_letterbox x1',
    ),
    'every frame dropped': (
        {'recent_drops': {'bad_step': 3}, 'recent_processed': 0},
        {},
        ERROR,
        'every frame dropped: bad_step x3',
    ),
    'a warning stands': ({'problems': (WARNED,)}, {}, WARN, 'no intrinsics'),
    'drops and a warning': (
        {'problems': (WARNED,), 'recent_drops': {'bad_step': 1}},
        {},
        WARN,
        'frames dropped: bad_step x1; no intrinsics',
    ),
    'an error stands': ({'problems': (WARNED, FAILED)}, {}, ERROR, 'incompatible reliability'),
    'two errors stand': ({'problems': (FAILED, (True, 'b'))}, {}, ERROR, 'incompatible reliability; b'),
    'not configured': ({}, {'state': 'unconfigured'}, WARN, 'not active: unconfigured'),
    'deactivated, silent': ({}, {'state': 'inactive', 'silence': SILENCE}, WARN, 'not active: inactive'),
    'configure failed': ({'problems': (FAILED,)}, {'state': 'unconfigured'}, ERROR, 'incompatible reliability'),
    'silent': ({}, {'silence': SILENCE}, STALE, SILENCE),
    'silent with an error': ({'problems': (FAILED,)}, {'silence': SILENCE}, ERROR, 'incompatible reliability'),
    'silent with a warning': ({'problems': (WARNED,)}, {'silence': SILENCE}, STALE, SILENCE),
    'silent after drops': (
        {'recent_drops': {'bad_step': 1}, 'recent_processed': 0},
        {'silence': SILENCE},
        STALE,
        SILENCE,
    ),
    'comes and goes': ({}, {'unsteady': '/image comes and goes'}, WARN, '/image comes and goes'),
    'comes and goes, with a warning': (
        {'problems': (WARNED,)},
        {'unsteady': '/image comes and goes'},
        WARN,
        'no intrinsics; /image comes and goes',
    ),
    'everything in the frames is left out': (
        {'recent_skips': {'no_size': 20}, 'recent_kept': 0},
        {},
        WARN,
        'nothing comes out of the frames, everything is left out: no_size x20',
    ),
    'some of what is in the frames is left out': (
        {'recent_skips': {'no_size': 20}, 'recent_kept': 1, 'recent_drops': {}},
        {},
        OK,
        'running',
    ),
    'nothing is in the frames': ({'recent_kept': 0, 'recent_drops': {}}, {}, OK, 'running'),
    'what is left out, by a node that does not say what it keeps': (
        {'recent_skips': {'no_size': 20}, 'recent_drops': {}},
        {},
        OK,
        'running',
    ),
}


@pytest.mark.parametrize('case', JUDGED)
def test_the_worst_that_is_true_decides(case):
    changes, situation, level, text = JUDGED[case]
    assert judge(snapshot(**changes), **{'state': 'active', **situation}) == (level, text)


def test_figures_are_rates_times_and_counts():
    drops = {SUPERSEDED: 10, 'bad_step': 3}
    assert figures(snapshot(drops=drops)) == {
        'rate_in_hz': 15.0,
        'rate_out_hz': 10.0,
        'p50_ms': 1.0,
        'p95_ms': 2.0,
        'input_age_ms': 4.0,
        'received': 100,
        'processed': 90,
        'dropped': 13,
        'dropped.bad_step': 3,
        f'dropped.{SUPERSEDED}': 10,
    }


def test_figures_that_are_not_known_are_left_out():
    found = figures(snapshot(percentiles_ms={}, input_age_ms=None, drops={}))
    assert set(found) == {'rate_in_hz', 'rate_out_hz', 'received', 'processed', 'dropped'}


def test_a_status_has_its_values_as_text():
    made = status('/a/node', 'CPU', WARN, 'slow', {'rate_hz': 1 / 3, 'count': 7, 'model': 'm'})
    assert (made.name, made.hardware_id, made.level, made.message) == ('/a/node', 'CPU', WARN, 'slow')
    assert [(pair.key, pair.value) for pair in made.values] == [('rate_hz', '0.333'), ('count', '7'), ('model', 'm')]


TIMINGS = (
    StageTiming('preprocess', 1_700_000_000_000_000_001, 1_700_000_000_002_000_001, 1_700_000_000_005_500_001),
    StageTiming('inference', 1_700_000_000_005_600_001, 1_700_000_000_005_700_001, 1_700_000_000_010_000_001),
)


def test_timings_come_back_to_the_nanosecond():
    assert parse_timings(timings_message(Header(), TIMINGS)) == TIMINGS
    assert parse_timings(timings_message(Header(), iter(TIMINGS))) == TIMINGS


def test_no_timings_come_back_as_none():
    assert parse_timings(timings_message(Header(), ())) == ()


def test_a_timings_message_can_be_read_by_people():
    header = Header(stamp=Time(sec=5, nanosec=6), frame_id='lens')
    message = timings_message(header, TIMINGS)
    assert message.header == header
    assert [item.name for item in message.status] == ['preprocess', 'inference', 'total']
    first = {pair.key: pair.value for pair in message.status[0].values}
    assert (first['wait_ms'], first['work_ms']) == ('2.000', '3.500')
    assert [(pair.key, pair.value) for pair in message.status[-1].values] == [('total_ms', '10.000')]
