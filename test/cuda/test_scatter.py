# SPDX-License-Identifier: Apache-2.0
"""A batch's results on the device become each stream's own; who holds results holds up nobody else."""

from __future__ import annotations

import numpy as np
import pytest
from support.cuda.host_gpu import HostStream
from support.cuda.host_slot import NotingGpu, NotingStream

from isaac_inference.cuda.array import DeviceArray, Slot
from isaac_inference.cuda.ring import ArrayRing
from isaac_inference.cuda.scatter import DEPTH, RowScatter
from isaac_inference.errors import FrameError

SPECS = {'boxes': ((1, 4, 3), np.float32), 'scores': ((1, 5), np.float16)}


class Stream(NotingStream):
    """Copies at once, too."""

    def copy(self, target, source, nbytes):
        HostStream.copy(self, target, source, nbytes)

    def close(self):
        self.gpu.notes.append((self.handle, 'closed'))


class Gpu(NotingGpu):
    """Makes streams."""

    closed = False

    def __init__(self):
        super().__init__()
        self.counters = type('Counters', (), {'copies': 0})()
        self.made = []

    def stream(self, priority='normal'):
        self.made.append(priority)
        made = Stream(self, 100 + len(self.made))
        made._counters = self.counters
        return made

    def current(self):
        import contextlib

        return contextlib.nullcontext()


@pytest.fixture
def device():
    return Gpu()


def batch(device, count, seed=0, sizes=None):
    """Results of an engine, and their values."""
    random = np.random.default_rng(seed)
    specs = {name: ((count, *(sizes or shape[1:])), kind) for name, (shape, kind) in SPECS.items()}
    ring = ArrayRing(device, NotingStream(device, 7), specs, 1, 'engine')
    arrays, values = ring.take(), {}
    for name, array in arrays.items():
        values[name] = random.uniform(0, 1, array.shape).astype(array.dtype)
        memory = (np.ctypeslib.ctypes.c_uint8 * array.nbytes).from_address(array.ptr)
        memory[:] = values[name].tobytes()
    return arrays, values, ring


def test_each_stream_gets_its_rows(device):
    scatter = RowScatter(device, ['a', 'b', 'c'], SPECS, 'high')
    assert device.made == ['high']
    for seed, streams in enumerate((['a', 'b', 'c'], ['c', 'a'], ['b'])):
        arrays, values, _ = batch(device, len(streams), seed)
        found = scatter(arrays, streams)
        for index, result in enumerate(found):
            for name, array in result.items():
                assert array.shape == SPECS[name][0]
                np.testing.assert_array_equal(np.asarray(array), values[name][index : index + 1])


def test_it_waits_for_the_engine_on_the_device_and_the_engine_for_it(device):
    scatter = RowScatter(device, ['a', 'b'], SPECS)
    arrays, _, ring = batch(device, 2)
    arrays['boxes'].mark_ready()
    ready = arrays['boxes'].ready
    device.notes.clear()
    found = scatter(arrays, ['a', 'b'])
    assert device.notes[0] == (101, 'waits for', ready)
    assert not [note for note in device.notes if 'synchronize' in note]
    read = next(note[2] for note in reversed(device.notes) if note[:2] == (101, 'records'))
    del arrays, found
    device.notes.clear()
    ring.take()
    assert (7, 'waits for', read) in device.notes


def test_who_holds_results_loses_only_its_own(device):
    scatter = RowScatter(device, ['slow', 'fast'], SPECS)
    held = []
    for seed in range(DEPTH + 2):
        arrays, values, _ = batch(device, 2, seed)
        slow, fast = scatter(arrays, ['slow', 'fast'])
        held.append(slow)
        np.testing.assert_array_equal(np.asarray(fast['boxes']), values['boxes'][1:])
    assert [isinstance(one, FrameError) for one in held] == [False] * DEPTH + [True] * 2
    assert held[-1].reason == 'device_buffers_busy' and 'stream slow' in str(held[-1])
    held.clear()
    arrays, *_ = batch(device, 1)
    assert isinstance(scatter(arrays, ['slow'])[0], dict)


def test_results_of_another_size_are_views_of_the_batch(device):
    scatter = RowScatter(device, ['a', 'b'], SPECS)
    arrays, values, _ = batch(device, 2, sizes=(6,))
    for index, result in enumerate(scatter(arrays, ['a', 'b'])):
        for name, array in result.items():
            assert isinstance(array, DeviceArray) and isinstance(array.slot, Slot)
            np.testing.assert_array_equal(np.asarray(array), values[name][index : index + 1])


def test_closing_frees_all_once_nobody_holds_any(device):
    scatter = RowScatter(device, ['a', 'b'], SPECS)
    arrays, *_ = batch(device, 2)
    found = scatter(arrays, ['a', 'b'])
    scatter.close()
    assert device.freed == 0
    del found
    while device.bin:
        device.bin.popleft()()
    assert device.freed == 2
