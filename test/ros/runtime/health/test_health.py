# SPDX-License-Identifier: Apache-2.0
"""What a node counts, when it logs, and what it remembers."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import pytest

from isaac_inference.ros.runtime.health import health as module
from isaac_inference.ros.runtime.health.health import LOG_PERIOD_S, SUPERSEDED, Health, percentiles
from isaac_inference.ros.runtime.health.input_watch import InputState


@pytest.fixture
def clock(monkeypatch):
    """The clock that Health reads; tests move it by hand."""
    made = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module, 'time', SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.fixture
def lines():
    return []


@pytest.fixture
def health(clock, lines):
    return Health(lambda is_error, text: lines.append((is_error, text)))


def test_a_warning_is_logged_once_a_period_and_says_how_many_were_not(health, clock, lines):
    health.warn('key', 'first')
    for _ in range(3):
        health.warn('key', 'again')
    clock.now += LOG_PERIOD_S - 0.01
    health.warn('key', 'again')
    assert lines == [(False, 'first')]
    clock.now += 0.01
    health.warn('key', 'after a while')
    assert lines[1:] == [(False, 'after a while [4 more of this kind since the last line]')]
    clock.now += LOG_PERIOD_S
    health.warn('key', 'later')
    assert lines[2:] == [(False, 'later')]


def test_each_key_is_throttled_by_itself(health, lines):
    health.warn('one', 'a')
    health.warn('two', 'b', error=True)
    health.warn('one', 'c')
    assert lines == [(False, 'a'), (True, 'b')]


def test_a_drop_with_a_text_is_logged_with_its_reason_and_throttled(health, lines):
    for _ in range(3):
        health.dropped('bad_step', 'step is 3')
    assert lines == [(False, 'frame dropped (bad_step): step is 3')]
    assert health.snapshot().drops == {'bad_step': 3}


def test_a_drop_without_a_text_is_counted_only(health, lines):
    health.dropped(SUPERSEDED)
    assert lines == []
    assert health.snapshot().drops == {SUPERSEDED: 1}


def test_a_snapshot_has_totals_and_what_is_new_since_the_last(health, clock):
    health.received()
    health.received()
    health.processed(1.0)
    health.dropped('bad_step')
    clock.now += 2.0
    first = health.snapshot()
    assert (first.elapsed_s, first.received, first.processed, first.drops) == (2.0, 2, 1, {'bad_step': 1})
    assert (first.recent_received, first.recent_processed, first.recent_drops) == (2, 1, {'bad_step': 1})
    health.received()
    clock.now += 0.5
    second = health.snapshot()
    assert (second.elapsed_s, second.received, second.processed, second.drops) == (0.5, 3, 1, {'bad_step': 1})
    assert (second.recent_received, second.recent_processed, second.recent_drops) == (1, 0, {})


def test_two_snapshots_at_once_do_not_divide_by_zero(health):
    health.snapshot()
    assert health.snapshot().elapsed_s > 0


def test_superseded_frames_are_no_faults(health):
    health.dropped(SUPERSEDED)
    health.dropped('bad_step')
    assert health.snapshot().faults == {'bad_step': 1}


def test_faults_are_recent_ones_only(health):
    health.dropped('bad_step')
    health.snapshot()
    assert health.snapshot().faults == {}


def test_an_input_is_silent_after_its_timeout(health, clock):
    health.input_timeout_s = 1.0
    assert health.look_at_input() == (InputState.WAITING, 0, 0.0)
    health.received()
    clock.now += 1.5
    assert health.look_at_input() == (InputState.SILENT, 1, 1.5)


def test_the_input_age_is_the_median_of_what_had_a_stamp(health):
    assert health.snapshot().input_age_ms is None
    for age_ms in (5.0, None, 100.0, 7.0):
        health.received(age_ms)
    snapshot = health.snapshot()
    assert snapshot.input_age_ms == 7.0
    assert snapshot.received == 4


def test_percentiles_of_the_last_frames_only(health):
    for _ in range(600):
        health.processed(1000.0)
    for _ in range(512):
        health.processed(1.0)
    assert health.snapshot().percentiles_ms == {'p50': 1.0, 'p95': 1.0, 'p99': 1.0}


@pytest.mark.parametrize(
    ('samples', 'expected'),
    [
        ([], {}),
        ([4.0], {'p50': 4.0, 'p95': 4.0, 'p99': 4.0}),
        (list(range(101)), {'p50': 50.0, 'p95': 95.0, 'p99': 99.0}),
    ],
)
def test_percentiles(samples, expected):
    assert percentiles(deque(samples)) == pytest.approx(expected)


def test_a_problem_stands_until_it_is_cleared_and_is_logged_when_it_comes(health, lines):
    health.problem('qos', 'incompatible', error=True)
    health.problem('qos', 'still incompatible', error=True)
    health.problem('name', 'taken')
    assert health.snapshot().problems == ((True, 'still incompatible'), (False, 'taken'))
    assert lines == [(True, 'incompatible'), (False, 'taken')]
    health.clear('qos')
    health.clear('never there')
    assert health.snapshot().problems == ((False, 'taken'),)


def test_reset_starts_the_figures_anew_and_keeps_problems(health, clock):
    health.received(5.0)
    health.processed(1.0)
    health.dropped('bad_step')
    health.problem('qos', 'incompatible')
    health.reset()
    clock.now += 1.0
    snapshot = health.snapshot()
    assert (snapshot.received, snapshot.processed, snapshot.drops, snapshot.recent_received) == (0, 0, {}, 0)
    assert (snapshot.percentiles_ms, snapshot.input_age_ms) == ({}, None)
    assert health.look_at_input() == (InputState.WAITING, 0, 0.0)
    assert snapshot.elapsed_s == 1.0
    assert snapshot.problems == ((False, 'incompatible'),)


def test_a_snapshot_does_not_change_afterwards(health):
    health.dropped('bad_step')
    before = health.snapshot()
    health.dropped('bad_step')
    assert before.drops == before.recent_drops == {'bad_step': 1}


def test_values_that_a_node_shows_stay_until_they_are_taken_away(health):
    health.show('best_score', 0.25)
    health.show('assumed.preprocess', 'RGB')
    health.show('best_score', 0.5)
    health.reset()
    assert health.snapshot().shown == {'best_score': 0.5, 'assumed.preprocess': 'RGB'}
    health.show('best_score', None)
    health.show('best_score', None)
    assert health.snapshot().shown == {'assumed.preprocess': 'RGB'}


def test_a_problem_that_is_logged_when_it_begins_changes_its_text_in_silence(health, clock, lines):
    for count in (1, 2):
        health.problem('quiet', f'{count} frames', log_again=False)
        clock.now += LOG_PERIOD_S
    assert lines == [(False, '1 frames')]
    assert health.snapshot().problems == ((False, '2 frames'),)
    health.clear('quiet')
    health.problem('quiet', '3 frames', log_again=False)
    assert lines[1:] == [(False, '3 frames')]


def test_what_was_said_since_activation_is_not_true_afterwards(health):
    health.problem('assumed', 'before')
    health.show('model', 'before')
    health.reset()
    health.problem('lost', 'since')
    health.problem('name', 'of the node')
    health.show('transport', 'since')
    health.forget()
    snapshot = health.snapshot()
    assert snapshot.problems == ((False, 'before'), (False, 'of the node'))
    assert snapshot.shown == {'model': 'before'}
    health.forget(all_but_node=True)
    snapshot = health.snapshot()
    assert (snapshot.problems, snapshot.shown) == (((False, 'of the node'),), {})


def test_frames_that_were_displaced_are_counted_together(health):
    health.superseded(3)
    snapshot = health.snapshot()
    assert (snapshot.received, snapshot.drops, snapshot.recent_received) == (3, {SUPERSEDED: 3}, 3)


@pytest.mark.parametrize('kind', ['skipped', 'noted'])
def test_what_is_ordinary_is_said_once_and_counted_always(health, clock, lines, kind):
    for _ in range(3):
        getattr(health, kind)('crowd', 'many people', say_once=True)
        clock.now += 2 * LOG_PERIOD_S
    assert len(lines) == 1 and 'many people' in lines[0][1]
    counts = health.snapshot().skips if kind == 'skipped' else health.snapshot().notes
    assert counts == {'crowd': 3}
    health.reset()  # another activation
    getattr(health, kind)('crowd', 'many people', say_once=True)
    assert len(lines) == 2
