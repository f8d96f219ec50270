# SPDX-License-Identifier: Apache-2.0
"""Waiting for transforms that may still come, by both sources (tf2_ros by a stand-in, where it is not installed)."""

from __future__ import annotations

import sys
import threading

import pytest
from support.ros.tf2_ros_stand_in import tf2_ros
from support.ros.transform_bench import START, Bench, S, near, pose
from support.waiting import LIMIT_S, wait_until

from isaac_inference.ros.runtime.transforms import TransformError


@pytest.fixture(params=['pytransform3d', 'tf2_ros'])
def bench(request, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2_ros', tf2_ros())
    return Bench(request.param)


class Waiter:
    """A wait in a thread of its own."""

    def __init__(self, bench, *arguments):
        self.found = self.error = None
        self._thread = threading.Thread(target=self._run, args=(bench.source, *arguments))
        self._thread.start()

    def _run(self, source, *arguments):
        try:
            self.found = source.wait(*arguments)
        except TransformError as error:
            self.error = error

    def end(self):
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        return self


def is_waiting(bench):
    return lambda: len(bench.source._arrived._waiters) == 1


@pytest.mark.parametrize('known', [True, False])
def test_what_comes_late_is_waited_for(bench, known):
    if known:
        bench.put('world', 'base', START, (0, 0, 0))
    waiter = Waiter(bench, 'world', 'base', START + S, 30.0)
    wait_until(is_waiting(bench))
    bench.put('world', 'other', START)
    bench.put('world', 'base', START + S, (5, 0, 0))
    assert waiter.end().found == near(pose((5, 0, 0)))
    assert bench.counts['tf_timeout'] == 0


def test_a_link_that_joins_two_trees_is_waited_for(bench):
    bench.put('lab', 'camera', static=True)
    bench.put('world', 'base', static=True)
    waiter = Waiter(bench, 'base', 'camera', START, 30.0)
    wait_until(is_waiting(bench))
    bench.put('world', 'lab', shift=(1, 0, 0), static=True)
    assert waiter.end().found == near(pose((1, 0, 0)))


def test_a_wait_has_an_end_and_is_counted(bench):
    bench.put('world', 'base', START)
    with pytest.raises(TransformError, match=r'waited 0\.05 s') as caught:
        bench.source.wait('world', 'base', START + S, 0.05)
    assert caught.value.reason == 'tf_future'
    assert bench.counts['tf_timeout'] == 1


def test_nothing_else_is_waited_for(bench):
    bench.put('world', 'base', START)
    for parent, child in (('a', 'b'), ('b', 'a')):
        bench.put(parent, child, static=True)
    for arguments in (('world', 'base', START - S), ('world', 'base', 0), ('a', 'b', START), ('world', '', START)):
        waiter = Waiter(bench, *arguments, 600.0).end()
        assert waiter.error is not None
    assert bench.counts['tf_timeout'] == 0


def test_close_ends_a_wait_and_listening(bench):
    waiter = Waiter(bench, 'world', 'base', START, 600.0)
    wait_until(is_waiting(bench))
    bench.source.close()
    assert waiter.end().error.reason == 'tf_unknown_frame'
    assert bench.node.callbacks == {}
    bench.source.close()


def test_reception_goes_on_while_somebody_waits_and_looks_up(bench):
    stop, errors = threading.Event(), []

    def ask():
        while not stop.is_set():
            try:
                found = bench.source.lookup('world', 'camera', START + S // 2)
                assert found[0, 3] == pytest.approx(0.5)
            except TransformError:
                continue
            except Exception as error:
                errors.append(error)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    bench.put('base', 'camera', static=True)
    bench.put('world', 'base', START, (0, 0, 0))
    for step in range(1, 300):
        bench.put('world', 'base', START + S + step * 1000, (1, 0, 0))
        bench.put('world', f'cup_{step}', START)
    waited = Waiter(bench, 'world', 'camera', START + 2 * S, 30.0)
    bench.put('world', 'base', START + 2 * S, (2, 0, 0))
    assert waited.end().found == near(pose((2, 0, 0)))
    stop.set()
    for asker in askers:
        asker.join()
    assert errors == []


def test_a_wait_looks_only_when_something_arrives(bench, monkeypatch):
    looks, lookup = [], bench.source.lookup
    monkeypatch.setattr(bench.source, 'lookup', lambda *arguments: (looks.append(1), lookup(*arguments))[1])
    with pytest.raises(TransformError):
        bench.source.wait('world', 'base', START, 0.2)
    assert len(looks) == 2
