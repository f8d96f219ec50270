# SPDX-License-Identifier: Apache-2.0
"""The shared owner: contexts nest and are per thread, finalizers leave their things in the bin, close frees all."""

from __future__ import annotations

import gc
import os
import threading

import pytest
from support.waiting import LIMIT_S

from isaac_inference.errors import DeviceError


def on_thread(function):
    """Runs it on another thread; its result, or its error."""
    result = []

    def run():
        try:
            result.append(function())
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result[0]


def test_facts_of_the_device(gpu):
    assert (gpu.name, gpu.compute_capability, gpu.driver_version) == ('Fake', (9, 0), '12.6')
    assert gpu.memory() == (1 << 20, 1 << 20)


def test_current_nests_and_pushes_once(gpu, pycuda):
    with gpu.current():
        assert len(pycuda.state.stack) == 1
        with gpu.current():
            assert len(pycuda.state.stack) == 1
        assert len(pycuda.state.stack) == 1
    assert pycuda.state.stack == []


def test_another_context_in_between_is_pushed_over(gpu, pycuda):
    from isaac_inference.cuda.context import PrimaryContext

    other = PrimaryContext(0)
    with gpu.current(), other, gpu.current():
        assert len(pycuda.state.stack) == 3
    assert pycuda.state.stack == []


def test_threads_have_stacks_of_their_own(gpu, pycuda):
    def depth():
        before = len(pycuda.state.stack)
        with gpu.current():
            return before, len(pycuda.state.stack)

    with gpu.current():
        assert on_thread(depth) == (0, 1)


def test_an_error_pops_and_comes_out_as_device_error(gpu, pycuda):
    with pytest.raises(DeviceError, match='GPU 0: it broke'), gpu.current(), gpu.current():
        raise pycuda.Error('it broke')
    with pytest.raises(DeviceError, match='restart the process'), gpu.current():
        raise pycuda.LaunchError('illegal address')
    with pytest.raises(KeyError), gpu.current():
        raise KeyError('others pass')
    assert pycuda.state.stack == []


def test_what_is_collected_elsewhere_is_freed_under_the_context(gpu, pycuda):
    box = [gpu.pool.allocate(100, 'a box'), gpu.event(), gpu.stream()]
    on_thread(box.clear)
    gc.collect()
    assert pycuda.freed == [] and gpu.pool.used == 100
    gpu.context.empty_bin()
    assert len(pycuda.freed) == 1 and gpu.pool.used == 0


def test_a_forked_child_is_refused(gpu, monkeypatch):
    monkeypatch.setattr(os, 'getpid', lambda: -1)
    with pytest.raises(DeviceError, match='spawn'), gpu.current():
        pass


def test_close_frees_all_and_later_things_first(gpu, pycuda):
    order = []

    class Thing:
        def __init__(self, name):
            self.name = name

        def close(self):
            order.append(self.name)

    things = [Thing('first'), Thing('second')]
    for thing in things:
        gpu.keep(thing)
    buffer = gpu.pool.allocate(10, 'left over')
    gpu.close()
    gpu.close()
    assert order == ['second', 'first']
    assert pycuda.live == {} and pycuda.freed[-1] == 'context'
    buffer.free()
    with pytest.raises(DeviceError, match='closed'), gpu.current():
        pass


def test_close_inside_is_refused_and_waits_for_other_threads(gpu, pycuda):
    with gpu.current(), pytest.raises(DeviceError, match='after the block'):
        gpu.context.close()
    inside, go = threading.Event(), threading.Event()

    def work():
        with gpu.current():
            inside.set()
            go.wait(LIMIT_S)
            assert 'context' not in pycuda.freed

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(LIMIT_S)
    closing = threading.Thread(target=gpu.close)
    closing.start()
    go.set()
    thread.join()
    closing.join()
    assert pycuda.freed[-1] == 'context'


def test_no_gpu_is_an_error_that_says_why(monkeypatch):
    from isaac_inference.cuda import device

    monkeypatch.setattr(device, 'why_no_gpu', lambda: 'there is none, buy one')
    with pytest.raises(DeviceError, match='buy one'):
        device.gpu()


def test_one_owner_a_device_and_a_new_one_after_close(pycuda, driver_library, monkeypatch):
    from isaac_inference.cuda import device

    monkeypatch.setattr(device, 'why_no_gpu', lambda: '')
    first = device.gpu()
    assert device.gpu(0) is first
    with pytest.raises(DeviceError, match='GPU 5'):
        device.gpu(5)
    first.close()
    second = device.gpu()
    assert second is not first
    second.close()


def test_counters_are_exact_with_many_threads(gpu):
    threads = [threading.Thread(target=lambda: [gpu.counters.add('launches') for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gpu.counters.values() == {'allocations': 0, 'synchronizations': 0, 'launches': 4000, 'copies': 0}


def test_only_pinned_host_memory_is_page_locked(gpu):
    assert not gpu.page_locked(0x1000), 'the driver knows nothing of it'
    assert gpu.page_locked(0x2000)
    assert not gpu.page_locked(0x3000), 'memory of the device'
