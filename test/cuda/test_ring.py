# SPDX-License-Identifier: Apache-2.0
"""Rings: who holds a slot, when it comes back, and that memory is taken once."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from support.cuda.host_slot import NotingGpu, NotingStream

from isaac_inference.cuda.ring import ALIGNMENT, ArrayRing
from isaac_inference.errors import ConfigError, DeviceError, FrameError

SPECS = {'image': ((1, 3, 4, 5), np.float32), 'count': ((1,), np.int64), 'none': ((0, 6), np.float16)}


@pytest.fixture
def stream():
    return NotingStream(NotingGpu(), 7)


def ring_of(stream, depth):
    return ArrayRing(stream.gpu, stream, SPECS, depth, 'test')


def test_arrays_lie_apart_and_aligned(stream):
    ring = ring_of(stream, 2)
    spans = []
    sets = [ring.take(), ring.take()]
    for arrays in sets:
        assert {name: (array.shape, array.dtype) for name, array in arrays.items()} == {
            name: (shape, np.dtype(dtype)) for name, (shape, dtype) in SPECS.items()
        }
        assert all(array.ptr % ALIGNMENT == 0 for array in arrays.values())
        spans += [(array.ptr, array.ptr + array.nbytes) for array in arrays.values() if array.nbytes]
    spans.sort()
    assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))
    assert spans[-1][1] - spans[0][0] <= ring.nbytes


def test_a_slot_is_taken_until_the_last_array_of_it_goes(stream):
    ring = ring_of(stream, 1)
    arrays = ring.take()
    kept = arrays.pop('count')
    arrays.clear()
    assert ring.free == 0
    with pytest.raises(FrameError) as caught:
        ring.take()
    assert caught.value.reason == 'device_buffers_busy' and 'numpy.asarray' in str(caught.value)
    ptr = kept.ptr
    del kept
    assert ring.free == 1 and ring.take()['count'].ptr == ptr


def test_slots_come_back_from_any_thread(stream):
    ring = ring_of(stream, 3)

    def use():
        for _ in range(200):
            try:
                ring.take()
            except FrameError:
                pytest.fail('one slot a thread is enough')

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ring.free == 3


def test_the_writer_waits_for_readers_of_the_same_slot_only(stream):
    ring, other = ring_of(stream, 2), NotingStream(stream.gpu, 9)
    with ring.take()['image'].reading(other):
        pass
    stream.gpu.notes.clear()
    ring.take()
    assert stream.gpu.notes == []
    ring.take()
    assert [note[:2] for note in stream.gpu.notes] == [(7, 'waits for')]


def test_an_array_lent_but_never_consumed_comes_back(stream):
    ring = ring_of(stream, 1)
    ring.take()['image'].__dlpack__()
    assert ring.free == 0
    assert ring.take()


def test_events_are_made_once(stream):
    ring, other = ring_of(stream, 2), NotingStream(stream.gpu, 9)
    for _ in range(10):
        arrays = ring.take()
        arrays['image'].mark_ready()
        with arrays['image'].reading(other):
            pass
    assert stream.gpu.events == 4


def test_close_waits_for_the_last_array(stream):
    ring = ring_of(stream, 2)
    arrays = ring.take()
    ring.close()
    assert stream.gpu.freed == 0
    with pytest.raises(DeviceError, match='closed'):
        ring.take()
    del arrays
    assert stream.gpu.freed == 0, 'a finalizer may not call CUDA'
    stream.gpu.bin.popleft()()
    assert stream.gpu.freed == 1


def test_close_frees_at_once_when_no_array_is_held(stream):
    ring = ring_of(stream, 2)
    ring.close()
    assert stream.gpu.freed == 1


def test_unusable_rings(stream):
    with pytest.raises(ConfigError, match='0 slots'):
        ring_of(stream, 0)
    with pytest.raises(ConfigError, match=r"'a' has shape \(1, -1\)"):
        ArrayRing(stream.gpu, stream, {'a': ((1, -1), np.float32)}, 1, 'test')
