# SPDX-License-Identifier: Apache-2.0
"""Who runs next: classes before turns, no more than one inference to wait for, and nobody starves in silence."""

from __future__ import annotations

import threading
import time

import pytest
from support.waiting import LIMIT_S, wait_until

from isaac_inference.serving.scheduler.scheduler import SAFETY, Scheduler


class Clock:
    """Stands still until a test moves it."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


class Run:
    """An inference in a thread of its own, which ends when it is told to."""

    def __init__(self, member, log, on_device=None):
        self.member, self.log, self.on_device = member, log, on_device
        self.wanted, self.may_end, self.started, self.ended = True, threading.Event(), False, False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with self.member.turn(lambda: self.wanted) as turn:
            if turn is not None:
                self.log.append(self.member.name)
                turn.until = self.on_device
                self.started = True
                assert self.may_end.wait(LIMIT_S)
        self.ended = True

    @property
    def waits(self):
        return self.member.since_s is not None

    def end(self):
        self.may_end.set()
        self.thread.join(LIMIT_S)
        assert self.ended


class Bench:
    """A scheduler, and inferences that the test begins and ends."""

    def __init__(self, cores=2, clock=time.monotonic):
        self.scheduler, self.log, self.runs = Scheduler(cores, clock), [], []

    def member(self, name, priority=1, cores=2, **where):
        return self.scheduler.join(name, priority, cores=cores, **where)

    def starts(self, member, **options):
        self.runs.append(Run(member, self.log, **options))
        wait_until(lambda run=self.runs[-1]: run.started, f'{member.name} starts')
        return self.runs[-1]

    def waits(self, member, **options):
        self.runs.append(Run(member, self.log, **options))
        wait_until(lambda run=self.runs[-1]: run.waits, f'{member.name} waits')
        return self.runs[-1]

    def close(self):
        for run in self.runs:
            run.wanted = False
            run.may_end.set()
        for run in self.runs:
            run.thread.join(LIMIT_S)


@pytest.fixture
def bench():
    made = []

    def make(*args, **kwargs):
        made.append(Bench(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Done:
    """The end of work on a GPU."""

    def __init__(self):
        self.event, self.is_awaited = threading.Event(), False

    def query(self):
        return self.event.is_set()

    def synchronize(self):
        self.is_awaited = True
        assert self.event.wait(LIMIT_S)


def test_one_alone_never_waits(bench):
    one = bench().member('only')
    for _ in range(3):
        with one.turn() as turn:
            assert turn.waited_s == 0.0
    assert not one.has_classes and one.starving() is None


def test_models_of_one_class_run_side_by_side(bench):
    """A long inference of one would hold up all others, where the operating system has them share the cores."""
    it = bench(cores=2)
    runs = [it.starts(it.member(name, 2, cores=2)) for name in ('a', 'b', 'c')]
    assert all(run.started for run in runs)


def test_cores_are_handed_out_and_who_waits_longest_is_next(bench):
    it = bench(cores=2)
    it.member('best effort', 0)
    a, b, c, d = (it.member(name, cores=cores) for name, cores in (('a', 1), ('b', 1), ('c', 2), ('d', 1)))
    first, second = it.starts(a), it.starts(b)
    third, fourth = it.waits(c), it.waits(d)
    first.end()
    assert not third.started and not fourth.started, 'one core is free; c wants two, and d does not pass it'
    second.end()
    wait_until(lambda: third.started)
    third.end()
    wait_until(lambda: fourth.started)
    assert it.log == ['a', 'b', 'c', 'd']


def test_who_asks_for_more_cores_than_there_are_gets_all(bench):
    it = bench(cores=2)
    it.member('best effort', 0)
    big, small = it.member('big', cores=64), it.member('small', cores=1)
    run = it.starts(big)
    later = it.waits(small)
    run.end()
    wait_until(lambda: later.started)


def test_a_higher_class_goes_first_whenever_it_came(bench):
    it = bench()
    low, mid, high = (it.member(name, priority) for name, priority in (('low', 0), ('mid', 1), ('high', SAFETY)))
    run = it.starts(mid)
    waiting = [it.waits(low), it.waits(high)]
    run.end()
    wait_until(lambda: waiting[1].started)
    assert not waiting[0].started
    waiting[1].end()
    wait_until(lambda: waiting[0].started)
    assert it.log == ['mid', 'high', 'low']


def test_a_higher_class_never_has_two_inferences_to_wait_for(bench):
    """Two of a lower class would fit beside each other, but then the safety model would wait for both."""
    it = bench(cores=2)
    safety = it.member('safety', SAFETY, cores=2)
    one, two = it.member('one', 0, cores=1), it.member('two', 0, cores=1)
    first = it.starts(one)
    second = it.waits(two)
    asked = it.waits(safety)
    first.end()
    wait_until(lambda: asked.started)
    assert not second.started
    asked.end()
    wait_until(lambda: second.started)
    safety.leave()
    second.end()
    both = [it.starts(one), it.starts(two)]
    assert all(run.started for run in both), 'without it they run side by side'


def test_a_higher_class_that_needs_one_core_waits_for_the_first_that_is_free(bench):
    it = bench(cores=2)
    safety = it.member('safety', SAFETY, cores=1)
    one, two, third = (it.member(name, 0, cores=1) for name in ('one', 'two', 'third'))
    runs = [it.starts(one), it.starts(two)]
    asked, later = it.waits(safety), it.waits(third)
    runs[1].end()
    wait_until(lambda: asked.started)
    assert not later.started


def steady(member, clock, period_s, took_s, count=6):
    """The model has run regularly."""
    for _ in range(count):
        clock.now_s += period_s
        member.history.asked(clock.now_s)
        member.history.took(took_s)


def test_a_lower_class_does_not_start_what_would_make_a_higher_one_late(bench):
    clock = Clock()
    it = bench(clock=clock)
    safety, low = it.member('safety', SAFETY), it.member('low', 0)
    steady(safety, clock, 0.1, 0.02)
    low.history.took(0.05)
    clock.now_s += 0.04
    it.starts(low).end()  # 60 ms are left, and it needs 50
    clock.now_s += 0.03
    held = it.waits(low)
    assert not held.started
    clock.now_s += 0.2  # the safety model has stopped: there is nothing to wait for
    wait_until(lambda: held.started)


@pytest.mark.parametrize(('priority', 'is_held'), [(SAFETY, True), (2, False)])
def test_only_the_safety_class_may_hold_a_lower_one_up_for_ever(bench, priority, is_held):
    clock = Clock()
    it = bench(clock=clock)
    high, low = it.member('high', priority), it.member('low', 0)
    steady(high, clock, 0.1, 0.02)
    low.history.took(0.5)
    held = it.waits(low)
    for _ in range(15):
        steady(high, clock, 0.1, 0.02, 1)
    if is_held:
        assert low.starving().startswith(
            'gets too little of 2 CPU cores: it waited 1.5 s for its turn; with priority 0'
        )
        assert 'high (priority 3)' in low.starving()
        assert not held.started
    else:
        wait_until(lambda: held.started)


def test_one_slow_run_does_not_keep_a_model_from_running_for_ever(bench):
    """It shows only by running that it is fast again; until then it waits for longer than usual, no more."""
    clock = Clock()
    it = bench(clock=clock)
    safety, low = it.member('safety', SAFETY), it.member('low', 0)
    for took in (0.03, 0.03, 0.5, 0.03):
        low.history.took(took)
    steady(safety, clock, 0.1, 0.02)
    held = it.waits(low)
    for _ in range(11):
        steady(safety, clock, 0.1, 0.02, 1)
    wait_until(lambda: held.started)


def test_a_warm_up_says_nothing_of_how_long_a_run_takes(bench):
    clock = Clock()
    it = bench(clock=clock)
    safety, low = it.member('safety', SAFETY), it.member('low', 0)
    with low.turn() as turn:
        turn.is_usual = False
        clock.now_s += 3.0
    steady(safety, clock, 0.1, 0.02)
    it.starts(low).end()


class Broken:
    """The end of work on a GPU that has failed."""

    def query(self):
        raise RuntimeError('an illegal memory access was encountered')

    synchronize = query


def test_a_gpu_that_fails_in_one_model_holds_no_other_up(bench):
    """Whose run it was learns of it at its own next call; the others' threads must not die of it."""
    it = bench()
    one, two = it.member('one', 0, cores=0), it.member('two', 0, cores=0)
    it.member('safety', SAFETY, cores=0)
    it.starts(one, on_device=Broken()).end()
    it.starts(two).end()


def test_a_gpu_that_fails_while_somebody_waits_for_it_holds_nobody_up(bench):
    class BreaksLater(Done):
        def query(self):
            if self.event.is_set():
                raise RuntimeError('an illegal memory access was encountered')
            return False

        def synchronize(self):
            super().synchronize()
            self.query()

    it = bench()
    pending = BreaksLater()
    one, two = it.member('one', 0, cores=0), it.member('two', 0, cores=0)
    it.member('safety', SAFETY, cores=0)
    it.starts(one, on_device=pending).end()
    held = it.waits(two)
    wait_until(lambda: pending.is_awaited)
    pending.event.set()
    wait_until(lambda: held.started)


def test_how_long_a_gpu_took_is_not_how_long_nobody_looked(bench):
    """A run of a few ms that nobody looks at for a third of a second has not taken that long."""
    clock = Clock()
    it = bench(clock=clock)
    done = Done()
    done.event.set()
    safety, low = it.member('safety', SAFETY, cores=0), it.member('low', 0, cores=0)
    it.starts(low, on_device=done).end()
    low.took(0.005)
    clock.now_s += 0.3
    it.starts(safety).end()  # who looks
    steady(safety, clock, 0.03, 0.005)
    clock.now_s += 0.01
    it.starts(low, on_device=done).end()  # 20 ms are left, and it needs 5


def test_who_waits_for_a_gpu_sees_how_long_it_takes(bench):
    clock = Clock()
    it = bench(clock=clock)
    done = Done()
    one, two = it.member('one', 0, cores=0), it.member('two', 0, cores=0)
    it.member('safety', SAFETY, cores=0)
    it.starts(one, on_device=done).end()
    held = it.waits(two)
    wait_until(lambda: done.is_awaited)
    clock.now_s += 0.04
    done.event.set()
    wait_until(lambda: held.started)
    assert one.history.takes_s == pytest.approx(0.04)


def test_who_starves_says_so_and_stops_saying_so(bench):
    clock = Clock()
    it = bench(clock=clock)
    high, low = it.member('high', 2), it.member('low', 1)
    run = it.starts(high)
    held = it.waits(low)
    assert low.starving() is None
    clock.now_s += 1.5
    assert 'it waited 1.5 s for its turn; with priority 1 it runs when these' in low.starving()
    assert high.starving() is None
    run.end()
    wait_until(lambda: held.started)
    assert 'it waited 1.5 s' in low.starving()
    clock.now_s += 6.0
    assert low.starving() is None


def test_of_one_class_too_it_is_said(bench):
    clock = Clock()
    it = bench(clock=clock)
    it.member('best effort', 0)
    one, other = it.member('one'), it.member('other')
    it.starts(one)
    it.waits(other)
    clock.now_s += 2.0
    assert 'as other models use all of it' in other.starving()


def test_a_wait_ends_when_the_node_stops(bench):
    it = bench()
    one, other = it.member('one'), it.member('other', 0)
    it.starts(one)
    held = it.waits(other)
    held.wanted = False
    wait_until(lambda: held.ended)
    assert not held.started and not held.waits


def test_an_inference_that_fails_gives_its_place_back(bench):
    it = bench()
    one, other = it.member('one'), it.member('other', 0)
    with pytest.raises(ValueError), one.turn():
        raise ValueError
    it.starts(other)


def test_who_leaves_gives_its_place_back(bench):
    it = bench()
    one, other = it.member('one'), it.member('other', 0)
    it.starts(one)
    held = it.waits(other)
    one.leave()
    wait_until(lambda: held.started)


def test_places_do_not_wait_for_each_other(bench):
    it = bench(cores=1)
    members = [it.member('cpu', 0, cores=1), it.member('gpu', 0, cores=0), it.member('second', SAFETY, cores=0, gpu=1)]
    assert all(it.starts(member).started for member in members)
    assert not any(member.has_classes for member in members)


def test_on_a_gpu_one_class_shares_and_a_higher_one_passes(bench):
    it = bench()
    low = [it.member(f'low {index}', 0, cores=0) for index in range(2)]
    runs = [it.starts(member) for member in low]
    assert not low[0].has_classes
    safety = it.member('safety', SAFETY, cores=0)
    assert low[0].has_classes
    it.starts(safety)  # beside both: its stream's priority takes it past them
    runs[0].end()
    held = it.waits(low[0])
    assert not held.started


def test_on_a_gpu_with_classes_one_lower_inference_at_a_time_until_the_gpu_has_done_it(bench):
    it = bench()
    done = Done()
    one, two = it.member('one', 0, cores=0), it.member('two', 0, cores=0)
    it.member('safety', SAFETY, cores=0)
    it.starts(one, on_device=done).end()
    held = it.waits(two)
    assert not held.started
    done.event.set()
    wait_until(lambda: held.started)


def test_what_a_gpu_has_done_is_no_hindrance(bench):
    it = bench()
    done = Done()
    done.event.set()
    one = it.member('one', 0, cores=0)
    it.member('safety', SAFETY, cores=0)
    for _ in range(3):
        it.starts(one, on_device=done).end()


def test_many_models_with_all_priorities_all_come_to_an_end(bench):
    """Threads that run as fast as they can; never more cores than there are, and all finish."""
    it = bench(cores=3)
    lock, in_use, most = threading.Lock(), [0], [0]

    def work(member):
        for _ in range(200):
            with member.turn() as turn:
                assert turn is not None
                with lock:
                    in_use[0] += member.cores
                    most[0] = max(most[0], in_use[0])
                with lock:
                    in_use[0] -= member.cores

    members = [it.member(f'm{index}', index % 4, cores=1 + index % 3) for index in range(8)]
    threads = [threading.Thread(target=work, args=(member,), daemon=True) for member in members]
    for thread in threads:
        thread.start()
    for thread, member in zip(threads, members, strict=True):
        thread.join(LIMIT_S)
        assert not thread.is_alive(), member.name
    assert most[0] <= 3
