# SPDX-License-Identifier: Apache-2.0
"""Moments of several cameras: complete ones at once, others after a wait, and nobody holds up the others."""

from __future__ import annotations

import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ros.nodes.fusion.rounds import Gathered, Rounds

MS = 1_000_000
SECOND = 1000 * MS
PERIOD = 33 * MS
START = 1_700_000_000 * SECOND


class Bench:
    """Rounds of three cameras on a clock that stands still."""

    def __init__(self, slop_ns: int = 50 * MS, wait_s: float = 0.15) -> None:
        self.now_s = 100.0
        self.rounds = Rounds(['a', 'b', 'c'], slop_ns, wait_s, lambda: self.now_s)
        self.out: list[tuple[int, str]] = []

    def put(self, stream: str, stamp: int) -> list[tuple[int, str]]:
        """(stamp after the start, cameras) of what is released."""
        return self._noted(self.rounds.put(stream, START + stamp, None))

    def wait(self, seconds: float) -> list[tuple[int, str]]:
        self.now_s += seconds
        return self._noted(self.rounds.expire())

    def refused(self, stream: str, stamp: int) -> FrameError:
        with pytest.raises(FrameError) as caught:
            self.put(stream, stamp)
        return caught.value

    def _noted(self, released: list[Gathered]) -> list[tuple[int, str]]:
        found = [(one.stamp_ns - START, ''.join(sorted(one.members))) for one in released]
        self.out += found
        return found


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_synchronised_cameras_meet_at_their_stamp(bench):
    for frame in range(5):
        assert bench.put('b', frame * PERIOD) == []
        assert bench.put('a', frame * PERIOD) == []
        assert bench.put('c', frame * PERIOD) == [(frame * PERIOD, 'abc')]


def test_cameras_without_a_trigger_are_all_in_each_moment(bench):
    for frame in range(5):
        for name, phase in (('a', 0), ('b', 11 * MS), ('c', 22 * MS)):
            bench.put(name, frame * PERIOD + phase)
    assert bench.out == [(frame * PERIOD, 'abc') for frame in range(5)]


def test_after_a_lost_message_synchronised_cameras_meet_at_their_stamps_again(bench):
    """Though the slop is longer than their period."""
    for frame in range(20):
        for name in 'abc':
            if (frame, name) not in {(12, 'a'), (15, 'b')}:
                bench.put(name, frame * PERIOD)
    expected = [(frame * PERIOD, {12: 'bc', 15: 'ac'}.get(frame, 'abc')) for frame in range(20)]
    assert bench.out == expected


def test_a_slow_camera_is_waited_for_though_the_others_go_on(bench):
    for frame in range(4):
        for name in 'ab':
            assert bench.put(name, frame * PERIOD) == []
    assert bench.put('c', 0) == [(0, 'abc')]
    assert bench.put('c', 2 * PERIOD) == [(PERIOD, 'ab'), (2 * PERIOD, 'abc')], 'what it left out will not come'


def test_a_missing_camera_costs_a_wait_and_soon_not_even_that(bench):
    for frame in range(3):
        for name in 'ab':
            assert bench.put(name, frame * PERIOD) == []
        assert bench.wait(0.1) == []
        assert bench.wait(0.06) == [(frame * PERIOD, 'ab')]
    assert bench.put('a', 3 * PERIOD) == []
    assert bench.put('b', 3 * PERIOD) == [(3 * PERIOD, 'ab')]
    bench.put('a', 4 * PERIOD)
    bench.put('c', 4 * PERIOD)
    assert bench.put('b', 4 * PERIOD) == [(4 * PERIOD, 'abc')], 'once it is back it is waited for again'
    bench.put('a', 5 * PERIOD)
    assert bench.put('b', 5 * PERIOD) == []


def test_a_camera_that_was_away_and_is_slower_than_the_others_is_in_again(bench):
    """Not late for ever, as nobody waits for who is late, and who is not waited for is late."""
    for frame in range(30):
        for name in 'ab':
            bench.put(name, frame * PERIOD)
        if frame >= 20:  # it comes a little after the others
            try:
                bench.put('c', frame * PERIOD)
            except FrameError as error:
                assert error.reason == 'late'
        bench.wait(0.033)
    bench.wait(1.0)
    assert bench.out[-8:] == [(frame * PERIOD, 'abc') for frame in range(22, 30)]


def test_what_comes_too_late_is_refused_and_counted(bench):
    bench.put('a', 0)
    bench.put('b', 0)
    bench.wait(1.0)
    assert bench.refused('c', 0).reason == 'late'
    assert bench.rounds.counts['c'].late == 1
    assert bench.put('c', PERIOD) == []
    assert bench.refused('a', 0).reason == 'late'


def test_a_recording_that_starts_over_starts_them_all_over(bench):
    for name in 'abc':
        bench.put(name, 100 * SECOND)
    bench.now_s += 5.0
    for name in 'abc':
        bench.put(name, 0)
    assert bench.out == [(100 * SECOND, 'abc'), (0, 'abc')]


@pytest.mark.parametrize(
    'offset, told',
    [
        (5 * SECOND, 'c: its stamps are 5.0 s ahead of those of a'),
        (-5 * SECOND, 'c: its stamps are 5.0 s behind those of a and b'),
    ],
)
def test_a_camera_with_another_clock_costs_the_others_nothing(bench, offset, told):
    refused = 0
    for frame in range(30):
        for name, shift in (('c', offset), ('a', 0), ('b', 0)):
            try:
                bench.put(name, 10 * SECOND + frame * PERIOD + shift)
            except FrameError as error:
                refused += 1
                assert error.reason == 'clock_offset'
                if name == 'c':
                    assert told in str(error) and 'synchronise the clocks' in str(error)
                else:
                    assert frame == 0, 'of two, nobody knows yet which is wrong'
        bench.wait(0.033)
    bench.wait(1.0)
    together = [stamp for stamp, names in bench.out if names == 'ab']
    assert refused >= 9 and together[-29:] == [10 * SECOND + frame * PERIOD for frame in range(1, 30)]


@pytest.mark.parametrize('pause_s', [0.9, 3.0, 20.0])
def test_a_pause_of_all_is_no_other_clock(bench, pause_s):
    for pause in range(3):
        begin = round(pause * (pause_s + 1.0) * SECOND)
        for frame in range(5):
            for name in 'abc':
                bench.put(name, begin + frame * PERIOD)
            bench.now_s += 0.033
        bench.now_s += pause_s
    assert [names for _, names in bench.out] == ['abc'] * 15


def test_of_two_clocks_the_one_ahead_is_refused(bench):
    bench.put('b', 5 * SECOND)
    bench.wait(0.5)
    for frame in range(1, 5):
        bench.put('a', frame * PERIOD)
        assert '5.0 s ahead of those of a' in str(bench.refused('b', 5 * SECOND + frame * PERIOD))
    bench.wait(1.0)
    assert [stamp for stamp, names in bench.out if names == 'a'] == [frame * PERIOD for frame in range(1, 5)]


def test_a_flood_of_one_camera_does_not_fill_the_memory(bench):
    for frame in range(100):
        bench.put('a', frame * PERIOD)
        assert len(bench.rounds._open) <= 30
    assert [stamp for stamp, _ in bench.out] == [frame * PERIOD for frame in range(len(bench.out))]
