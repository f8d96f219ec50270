# SPDX-License-Identifier: Apache-2.0
"""The GPU timer: it never waits, skips what it has no events for, and loses nothing that is complete."""

from __future__ import annotations

import pytest

from isaac_inference.cuda.timer import GpuTimer


def measure(timer, stream, times):
    for _ in range(times):
        with timer.measure(stream):
            pass


def test_complete_measurements_are_collected_once(gpu):
    timer, stream = GpuTimer(gpu, depth=2), gpu.stream()
    measure(timer, stream, 5)
    assert timer.collect() == [0.5] * 5
    assert timer.collect() == [] and timer.skipped == 0
    assert gpu.counters.synchronizations == 0


def test_those_under_way_are_not_waited_for(gpu, pycuda, monkeypatch):
    monkeypatch.setattr(pycuda.Event, 'complete', False)
    timer, stream = GpuTimer(gpu, depth=2), gpu.stream()
    measure(timer, stream, 3)
    assert timer.collect() == [] and timer.skipped == 1
    monkeypatch.setattr(pycuda.Event, 'complete', True)
    assert timer.collect() == [0.5, 0.5]


def test_an_aborted_measurement_gives_its_events_back(gpu):
    timer, stream = GpuTimer(gpu, depth=1), gpu.stream()
    with pytest.raises(KeyError), timer.measure(stream):
        raise KeyError
    measure(timer, stream, 1)
    assert timer.collect() == [0.5] and timer.skipped == 0
