# SPDX-License-Identifier: Apache-2.0
"""A simulated camera that waits for the graph: for answers, but never for a graph that gives none."""

from __future__ import annotations

import threading

import pytest
from support.waiting import LIMIT_S

from isaac_inference.ros.nodes.sim_camera.pace import Pace


@pytest.fixture
def pace():
    """Two images may be unanswered; nobody's patience ends while the test runs."""
    made = Pace(2, patience_s=10 * LIMIT_S)
    yield made
    made.close()


def waiting(pace: Pace) -> tuple[threading.Thread, threading.Event]:
    """A thread that waits, and what it sets when it may go on."""
    passed = threading.Event()
    thread = threading.Thread(target=lambda: (pace.wait(), passed.set()), daemon=True)
    thread.start()
    return thread, passed


def send(pace: Pace, *stamps: int) -> None:
    for stamp in stamps:
        pace.sent(stamp)


def test_it_waits_for_nobody_who_has_never_answered(pace):
    send(pace, 1, 2, 3, 4, 5)
    pace.wait()


def test_the_third_image_waits_for_the_answer_to_the_first(pace):
    send(pace, 1)
    pace.answered(1)
    send(pace, 2)
    pace.wait()
    send(pace, 3)
    _, passed = waiting(pace)
    pace.answered(1)  # once more: that is not what it waits for
    assert not passed.wait(0.05)
    pace.answered(2)
    assert passed.wait(LIMIT_S)


def test_an_answer_settles_the_images_before_it_too(pace):
    """They gave way to a newer one."""
    pace.answered(0)
    send(pace, 1, 2)
    pace.answered(2)
    send(pace, 3)
    pace.wait()


def test_a_silence_ends_the_waiting_until_the_next_answer():
    pace = Pace(1, patience_s=0.01)
    pace.answered(0)
    send(pace, 1)
    pace.wait()
    send(pace, 2)
    assert not pace._is_answered
    pace._patience_s = 10 * LIMIT_S
    pace.wait()
    pace.answered(2)
    send(pace, 3)
    _, passed = waiting(pace)
    assert not passed.wait(0.05)
    pace.close()
    assert passed.wait(LIMIT_S)


def test_zero_never_waits():
    pace = Pace(0, patience_s=10 * LIMIT_S)
    pace.answered(0)
    send(pace, 1, 2, 3)
    pace.wait()
