# SPDX-License-Identifier: Apache-2.0
"""The GPU's owner on a real device: memory, streams, graphs, timers, kernels, rings and the hand-over to others."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from support.waiting import LIMIT_S

from isaac_inference.cuda.array import DeviceArray
from isaac_inference.cuda.ring import ArrayRing
from isaac_inference.cuda.timer import GpuTimer
from isaac_inference.errors import DeviceError, DeviceMemoryError, FrameError

KERNEL = """// options: --fmad=false
extern "C" __global__ void add(const float *in, float *out, float value, int count, long long spin) {
    long long start = clock64();
    while (clock64() - start < spin) { }
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = in[i] + value;
}
"""
SPIN = 20_000_000  # clock ticks, about 10 ms


@pytest.fixture(scope='session')
def add(gpu, tmp_path_factory):
    """out[i] = in[i] + value, after `spin` clock ticks."""
    from isaac_inference.cuda.compile.kernel import Kernels

    path = tmp_path_factory.mktemp('kernels') / 'add.cu'
    path.write_text(KERNEL, encoding='utf-8')
    kernels = Kernels(gpu, path)
    function = kernels.function('add')
    with pytest.raises(DeviceError, match="no kernel 'subtract'"):
        kernels.function('subtract')

    def launch(stream, source, target, value, count, spin=0):
        blocks = -(-count // 128)
        arguments = source, target, np.float32(value), np.int32(count), np.int64(spin)
        function.launch(stream, (blocks, 1, 1), (128, 1, 1), *arguments)

    launch.kernels = kernels
    return launch


@pytest.fixture
def buffer(gpu):
    made = gpu.pool.allocate(4096, 'test')
    yield made
    made.free()


def test_facts(gpu):
    free, total = gpu.memory()
    assert gpu.name and 0 < free <= total and gpu.compute_capability >= (5, 0)
    assert float(gpu.driver_version) >= 11.4


@pytest.mark.parametrize('dtype', ['u1', 'i4', 'i8', 'f2', 'f4'])
def test_round_trip(gpu, stream, buffer, dtype):
    from isaac_inference.cuda.memory import pinned

    values = np.arange(100, dtype=dtype)
    staging = pinned(gpu, (100,), dtype)
    staging.array[:] = values
    back = np.zeros_like(values)
    stream.upload(buffer.ptr, staging.array)
    stream.copy(buffer.ptr + 2048, buffer.ptr, values.nbytes)
    stream.download(back, buffer.ptr + 2048)
    stream.synchronize()
    assert np.array_equal(back, values)
    stream.fill(buffer.ptr, 0, 4096)
    stream.download(back, buffer.ptr)
    stream.synchronize()
    assert not back.any()
    staging.free()


def test_pool_limit_and_a_full_device(gpu):
    used, limit = gpu.pool.used, gpu.pool.limit
    gpu.pool.limit = used + (1 << 20)
    try:
        with pytest.raises(DeviceMemoryError) as caught:
            gpu.pool.allocate(2 << 20, 'over the limit')
        assert (caught.value.needed, caught.value.free) == (2 << 20, 1 << 20)
    finally:
        gpu.pool.limit = limit
    with pytest.raises(DeviceMemoryError) as caught:
        gpu.pool.allocate(1 << 50, 'a petabyte')
    assert caught.value.free <= gpu.memory()[1] and gpu.pool.used == used


def test_memory_comes_back(gpu):
    before = gpu.memory()[0]
    buffer = gpu.pool.allocate(512 << 20, 'half a gibibyte')
    assert gpu.memory()[0] <= before - (500 << 20)
    buffer.free()
    assert gpu.memory()[0] >= before - (16 << 20)


def test_a_kernel_and_its_counts(gpu, stream, buffer, add):
    values = np.linspace(0, 1, 500, dtype=np.float32)
    back = np.empty_like(values)
    before = gpu.counters.values()
    stream.upload(buffer.ptr, values)
    add(stream, buffer, buffer.ptr + 2048, 3, 500)
    stream.download(back, buffer.ptr + 2048)
    stream.synchronize()
    assert np.array_equal(back, values + np.float32(3))
    spent = {name: value - before[name] for name, value in gpu.counters.values().items()}
    assert spent == {'allocations': 0, 'synchronizations': 1, 'launches': 1, 'copies': 2}


def test_a_launch_that_the_driver_refuses(gpu, stream, buffer, add):
    with pytest.raises(DeviceError, match='cuLaunchKernel'):
        add.kernels.function('add').launch(stream, (1, 1, 1), (4096, 1, 1), buffer, buffer, np.float32(0), np.int32(0))
    with pytest.raises(DeviceError, match='argument 1 is a float'):
        add.kernels.function('add').launch(stream, (1, 1, 1), (1, 1, 1), buffer, 1.5)


def test_priorities(gpu):
    low, normal, high = (gpu.stream(name) for name in ('low', 'normal', 'high'))
    assert high.priority == 'high', 'this driver sets no priorities; see the log'
    assert high.level < normal.level <= low.level


def test_graph(gpu, stream, buffer, add):
    from isaac_inference.cuda.graph import capture

    stream.fill(buffer.ptr, 0, 4096)
    graph = capture(gpu, stream, lambda: add(stream, buffer, buffer, 1, 100))
    back = np.ones(100, np.float32)
    stream.download(back, buffer.ptr)
    stream.synchronize()
    assert not back.any(), 'capturing must not run anything'
    for _ in range(3):
        graph.launch(stream)
    stream.download(back, buffer.ptr)
    stream.synchronize()
    assert (back == 3).all()
    graph.close()


def test_what_can_not_be_captured_leaves_the_stream_usable(gpu, stream, buffer):
    from isaac_inference.cuda.graph import capture

    with pytest.raises(DeviceError, match='cannot be captured'):
        capture(gpu, stream, stream.synchronize)
    with pytest.raises(ZeroDivisionError):
        capture(gpu, stream, lambda: 1 / 0)
    stream.fill(buffer.ptr, 1, 16)
    stream.synchronize()


def test_threads_use_it_at_once(gpu, add):
    failures = []

    def work(value):
        try:
            stream, buffer = gpu.stream(), gpu.pool.allocate(400, 'thread')
            back = np.empty(100, np.float32)
            for _ in range(200):
                with gpu.current():
                    stream.upload(buffer.ptr, np.full(100, value, np.float32))
                    add(stream, buffer, buffer, value, 100)
                    stream.download(back, buffer.ptr)
                stream.synchronize()
                if not (back == 2 * value).all():
                    failures.append(value)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(value,)) for value in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    gc.collect()
    gpu.context.empty_bin()


def test_waiting_lets_other_threads_run(gpu, stream, buffer, add):
    seen = []
    done = threading.Event()

    def count():
        while not done.is_set():
            seen.append(time.monotonic())
            time.sleep(0)

    thread = threading.Thread(target=count)
    thread.start()
    add(stream, buffer, buffer, 1, 100, spin=10 * SPIN)
    start = time.monotonic()
    stream.synchronize()
    end = time.monotonic()
    done.set()
    thread.join()
    assert sum(start < moment < end for moment in seen) > 2


def test_timer(gpu, stream, buffer, add):
    timer = GpuTimer(gpu, depth=2)
    for _ in range(3):
        with timer.measure(stream):
            add(stream, buffer, buffer, 1, 100, spin=SPIN)
    stream.synchronize()
    times = timer.collect()
    assert len(times) + timer.skipped == 3 and len(times) >= 2
    assert all(1 < ms < 1000 for ms in times)
    assert timer.collect() == []


def test_array_reaches_numpy(gpu, stream, buffer):
    stream.fill(buffer.ptr, 1, 24)
    array = DeviceArray(buffer.ptr, (2, 3), np.int32, stream, owner=buffer)
    assert np.array_equal(np.asarray(array), np.full((2, 3), 0x01010101))
    assert np.asarray(DeviceArray(buffer.ptr, (0, 3), np.int32, stream)).shape == (0, 3)


def test_ring_keeps_what_another_stream_still_reads(gpu, stream, buffer, add):
    reader = gpu.stream()
    ring = ArrayRing(gpu, stream, {'x': ((256,), np.float32)}, 1, 'test')
    array = ring.take()['x']
    stream.fill(array.ptr, 0, array.nbytes)
    array.mark_ready()
    with array.reading(reader):
        add(reader, buffer, buffer.ptr, 0, 1, spin=SPIN)
        reader.copy(buffer.ptr + 1024, array.ptr, array.nbytes)
    del array
    again = ring.take()['x']
    stream.fill(again.ptr, 255, again.nbytes)
    with pytest.raises(FrameError, match='in use'):
        ring.take()
    back = np.ones(256, np.float32)
    reader.download(back, buffer.ptr + 1024)
    reader.synchronize()
    assert not back.any(), 'the slot was written while it was read'
    del again
    ring.close()
    with pytest.raises(DeviceError, match='closed'):
        ring.take()


def test_ring_allocates_nothing(gpu, stream):
    ring = ArrayRing(gpu, stream, {'x': ((256,), np.float32), 'y': ((1,), np.int64)}, 2, 'test')
    before = gpu.counters.values()
    for _ in range(100):
        ring.take()['x'].mark_ready()
    assert gpu.counters.values() == before
    ring.close()


@pytest.mark.parametrize('library', ['torch', 'cupy'])
def test_dlpack(gpu, stream, library):
    module = pytest.importorskip(library)
    ring = ArrayRing(gpu, stream, {'x': ((2, 3), np.float32)}, 1, 'test')
    array = ring.take()['x']
    stream.upload(array.ptr, np.arange(6, dtype=np.float32).reshape(2, 3))
    array.mark_ready()
    theirs = module.from_dlpack(array)
    assert tuple(theirs.shape) == (2, 3) and float(theirs.sum()) == 15
    del array
    with pytest.raises(FrameError):
        ring.take()
    del theirs
    gc.collect()
    assert ring.take()
    ring.close()


@pytest.mark.parametrize('library', ['torch', 'cupy'])
def test_cuda_array_interface(gpu, stream, buffer, library):
    module = pytest.importorskip(library)
    stream.fill(buffer.ptr, 0, 24)
    array = DeviceArray(buffer.ptr, (2, 3), np.float32, stream, owner=buffer)
    theirs = module.as_tensor(array, device='cuda') if library == 'torch' else module.asarray(array)
    assert tuple(theirs.shape) == (2, 3) and float(theirs.sum()) == 0


LEFT_OPEN = """
import threading, time
from isaac_inference.cuda.device import gpu
owner = gpu()
stream, buffer, event = owner.stream('high'), owner.pool.allocate(1 << 20, 'left'), owner.event()
def spin():
    while True:
        with owner.current():
            stream.synchronize()
threading.Thread(target=spin, daemon=True).start()
time.sleep(0.1)
"""


def test_a_process_that_closes_nothing_ends_well():
    done = subprocess.run(
        [sys.executable, '-c', LEFT_OPEN], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 'PyCUDA' not in done.stderr
