# SPDX-License-Identifier: Apache-2.0
"""When an input counts as missing, silent and back, with the clock moved by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from isaac_inference.ros.runtime.health.input_watch import InputState, InputWatch

TIMEOUT_S = 2.0


class Bench:
    """A watch whose clock stands still between `wait` and `arrive`; `states` are those it went through."""

    def __init__(self):
        self.clock = SimpleNamespace(now=50.0)
        self.watch = InputWatch(lambda: self.clock.now)
        self.states = [self.watch.look(TIMEOUT_S)]

    def wait(self, seconds):
        end = round(self.clock.now + seconds, 6)
        while self.clock.now < end:
            self.clock.now = min(round(self.clock.now + 0.1, 6), end)
            self._note()
        return self.watch.state

    def arrive(self, *gaps_s):
        for gap_s in gaps_s or (0.0,):
            self.wait(gap_s)
            self.watch.arrived(TIMEOUT_S)
            self._note()
        return self.watch.state

    def _note(self):
        state = self.watch.look(TIMEOUT_S)
        if state is not self.states[-1]:
            self.states.append(state)


@pytest.fixture
def bench():
    return Bench()


def test_an_input_is_missing_after_the_timeout_and_flows_with_its_first_message(bench):
    assert bench.wait(2.0) is InputState.WAITING
    assert bench.wait(0.1) is InputState.MISSING
    assert bench.watch.quiet_s == pytest.approx(2.1)
    assert bench.arrive() is InputState.FLOWING
    assert bench.watch.silent_s == pytest.approx(2.1)


def test_an_input_is_silent_after_the_timeout_and_flows_again_once_it_is_steady(bench):
    bench.arrive()
    assert bench.wait(2.0) is InputState.FLOWING
    assert bench.wait(0.1) is InputState.SILENT
    assert bench.arrive(3.0) is InputState.RETURNING
    assert bench.watch.silent_s == pytest.approx(5.1)
    assert bench.arrive(0.9, 0.9) is InputState.RETURNING
    assert bench.arrive(0.3) is InputState.FLOWING


@pytest.mark.parametrize('gap_s', [2.2, 3.0, 5.9])
def test_an_input_that_comes_and_goes_does_not_flicker(bench, gap_s):
    bench.arrive(0.1, 0.1, *[gap_s] * 20)
    assert bench.states == [InputState.WAITING, InputState.FLOWING, InputState.SILENT, InputState.RETURNING]


def test_an_input_that_has_come_back_and_stops_again_is_silent(bench):
    bench.arrive(0.1, 3.0)
    assert bench.wait(6.0) is InputState.RETURNING
    assert bench.wait(0.1) is InputState.SILENT


def test_a_burst_after_a_silence_is_not_yet_a_steady_input(bench):
    bench.arrive(0.1, 3.0, 0.01, 0.01, 0.01)
    assert bench.wait(1.0) is InputState.RETURNING
    assert bench.wait(2.0) is InputState.RETURNING


def test_a_slow_but_regular_input_flows(bench):
    bench.arrive(*[1.9] * 20)
    assert bench.states == [InputState.WAITING, InputState.FLOWING]
    assert bench.watch.count == 20


def test_restart_forgets_everything(bench):
    bench.arrive(0.1, 3.0)
    bench.watch.restart()
    assert bench.watch.look(TIMEOUT_S) is InputState.WAITING
    assert (bench.watch.count, bench.watch.quiet_s) == (0, 0.0)


def test_a_look_that_comes_late_changes_nothing_that_arrived_before(bench):
    bench.watch.arrived(TIMEOUT_S)
    bench.clock.now += 5.0  # nobody looked meanwhile
    bench.watch.arrived(TIMEOUT_S)
    assert bench.watch.look(TIMEOUT_S) is InputState.RETURNING


@pytest.mark.parametrize('state', InputState)
def test_quiet_are_those_in_which_nothing_comes_that_should(state):
    assert state.is_quiet is (state in (InputState.MISSING, InputState.SILENT))
