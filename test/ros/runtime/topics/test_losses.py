# SPDX-License-Identifier: Apache-2.0
"""When lost messages are worth a word, with the clock moved by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from isaac_inference.ros.runtime.topics.losses import WINDOW_S, LossWatch


@pytest.fixture
def clock():
    return SimpleNamespace(now=10.0)


@pytest.fixture
def watch(clock):
    return LossWatch(lambda: clock.now)


def stream(watch, clock, seconds, lost_of_ten, rate_hz=10):
    """Messages at a steady rate; of each ten so many are lost. The last verdict."""
    found = None
    for number in range(round(seconds * rate_hz)):
        clock.now += 1 / rate_hz
        if number % 10 < lost_of_ten:
            watch.lost(1)
        else:
            watch.arrived()
        found = watch.check()
    return found


def test_nothing_is_said_while_everything_arrives(watch, clock):
    assert stream(watch, clock, 30, 0) is None


def test_the_share_and_the_time_are_those_of_the_window(watch, clock):
    stream(watch, clock, 30, 0)
    lost, sent, seconds = stream(watch, clock, 10, 8)
    assert (lost, sent) == (80, 100)
    assert seconds == pytest.approx(WINDOW_S, abs=0.2)


def test_a_few_lost_messages_of_many_are_not_worth_a_word(watch, clock):
    stream(watch, clock, 30, 0)
    watch.lost(5)
    assert watch.check() is None


def test_a_single_lost_message_of_a_slow_stream_is_not_worth_a_word(watch):
    watch.arrived()
    watch.lost(2)
    assert watch.check() is None


def test_a_slow_stream_that_loses_most_is(watch, clock):
    assert stream(watch, clock, 3, 7, rate_hz=1 / 1.5) is None
    assert stream(watch, clock, 6, 7, rate_hz=1 / 1.5) == (6, 6, pytest.approx(9.0))


def test_it_begins_within_a_second_of_a_stream_that_loses_most(watch, clock):
    assert stream(watch, clock, 1, 8) == (8, 10, pytest.approx(1.0))


def test_it_does_not_flicker_and_ends_when_a_window_has_next_to_no_loss(watch, clock):
    stream(watch, clock, 10, 8)
    assert stream(watch, clock, 9, 0) is not None
    assert stream(watch, clock, 2, 0) is None


def test_it_ends_when_the_stream_does(watch, clock):
    stream(watch, clock, 10, 8)
    clock.now += WINDOW_S + 1
    watch.check()
    clock.now += WINDOW_S + 1
    assert watch.check() is None


def test_what_is_missing_between_numbers_and_was_not_lost_was_displaced(watch):
    for sequence in (100, 101, 105, 106):
        watch.arrived(sequence)
    watch.lost(1)
    assert watch.displaced() == 2
    assert watch.displaced() == 0
    watch.arrived(110)
    assert watch.displaced() == 3


def test_numbers_that_begin_anew_or_are_not_known_tell_nothing(watch):
    for sequence in (100, 3, None, 90, 4):
        watch.arrived(sequence)
    assert watch.displaced() == 0


def test_a_gap_too_large_for_a_busy_reader_tells_nothing(watch):
    watch.arrived(5)
    watch.arrived(100_000)
    assert watch.displaced() == 0


def test_where_losses_are_not_told_nothing_counts_as_displaced(watch):
    watch.is_counted = False
    watch.arrived(5)
    watch.arrived(9)
    assert watch.displaced() == 0
