# SPDX-License-Identifier: Apache-2.0
"""What Health counts as a frame and what not, and what diagnostics say of it."""

from __future__ import annotations

import pytest

from isaac_inference.ros.runtime.health.diagnostics import ERROR, OK, WARN, figures, judge
from isaac_inference.ros.runtime.health.health import SUPERSEDED, Health
from isaac_inference.ros.runtime.health.input_watch import InputState


@pytest.fixture
def lines():
    return []


@pytest.fixture
def health(lines):
    return Health(lambda is_error, text: lines.append((is_error, text)))


def judged(health):
    return judge(health.snapshot(), state='active')


def test_received_is_processed_dropped_and_waiting(health):
    for _ in range(4):
        health.received()
    health.superseded()
    health.processed(1.0)
    health.dropped('expired')
    found = health.snapshot()
    assert (found.received, found.processed, sum(found.drops.values())) == (5, 1, 2)
    assert found.recent_received - found.recent_processed - sum(found.recent_drops.values()) == 2  # these wait
    assert found.drops == {SUPERSEDED: 1, 'expired': 1}


def test_a_refused_message_is_no_frame(health, lines):
    health.refused('bad_intrinsics', 'K is zero')
    health.refused('bad_intrinsics', 'K is zero')
    found = health.snapshot()
    assert (found.received, found.drops, health.look_at_input()[:2]) == (0, {}, (InputState.WAITING, 0))
    assert found.refusals == found.recent_refusals == {'bad_intrinsics': 2}
    assert lines == [(False, 'message dropped (bad_intrinsics): K is zero')]
    again = health.snapshot()
    assert (again.refusals, again.recent_refusals) == ({'bad_intrinsics': 2}, {})


def test_reset_forgets_what_was_refused(health):
    health.refused('bad_intrinsics')
    health.reset()
    assert health.snapshot().refusals == {}


def test_refused_messages_alone_do_not_mean_that_every_frame_is_dropped(health):
    health.refused('bad_intrinsics')
    assert judged(health) == (WARN, 'messages of other inputs dropped: bad_intrinsics x1')
    assert judged(health) == (OK, 'running')


def test_every_frame_dropped_is_said_of_frames_and_names_what_else_was_lost(health):
    health.refused('bad_intrinsics')
    health.dropped('no_camera_info')
    lost = 'no_camera_info x1; messages of other inputs dropped: bad_intrinsics x1'
    assert judged(health) == (ERROR, f'every frame dropped: {lost}')
    health.processed(1.0)
    health.refused('bad_intrinsics')
    health.dropped('no_camera_info')
    assert judged(health) == (WARN, f'frames dropped: {lost}')


def test_skipped_items_are_no_fault(health):
    health.received()
    health.processed(1.0)
    health.skipped('bad_box')
    assert judged(health) == (OK, 'running')


def test_what_is_given_out_with_a_note_is_counted_and_no_fault(health):
    health.received()
    health.processed(1.0)
    health.kept(2)
    health.noted('depth_disagrees')
    health.noted('depth_disagrees')
    assert judged(health) == (OK, 'running')
    found = figures(health.snapshot())
    assert found['noted.depth_disagrees'] == 2
    assert not any(name.startswith('skipped.') for name in found)


def test_figures_count_frames_and_name_every_reason(health):
    health.received()
    health.dropped('bad_stamp')
    health.refused('bad_stamp')
    health.refused('bad_intrinsics')
    found = figures(health.snapshot())
    assert (found['received'], found['processed'], found['dropped'], found['dropped_other']) == (1, 0, 1, 2)
    assert (found['dropped.bad_stamp'], found['dropped.bad_intrinsics']) == (2, 1)
