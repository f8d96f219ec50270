# SPDX-License-Identifier: Apache-2.0
"""The pool's bookkeeping: limits, peaks, and frees that happen once."""

from __future__ import annotations

import pytest

from isaac_inference.errors import DeviceError, DeviceMemoryError


def test_use_and_peak(gpu):
    first, second = gpu.pool.allocate(100, 'a'), gpu.pool.allocate(200, 'b')
    assert (gpu.pool.used, gpu.pool.peak, gpu.counters.allocations) == (300, 300, 2)
    first.free()
    first.free()
    assert (gpu.pool.used, gpu.pool.peak, first.ptr) == (200, 300, 0)
    second.free()
    assert gpu.pool.used == 0


def test_no_bytes_are_an_address_too(gpu):
    buffer = gpu.pool.allocate(0, 'empty')
    assert buffer.ptr and buffer.nbytes == 0
    with pytest.raises(DeviceError, match='-1 bytes'):
        gpu.pool.allocate(-1, 'odd')


def test_the_limit_counts(gpu):
    gpu.pool.limit = 1000
    gpu.pool.allocate(600, 'a').free()
    kept = gpu.pool.allocate(600, 'b')
    with pytest.raises(DeviceMemoryError) as caught:
        gpu.pool.allocate(500, 'the engine')
    assert (caught.value.needed, caught.value.free) == (500, 400)
    assert 'the engine' in str(caught.value)
    kept.free()
    gpu.pool.allocate(1000, 'all of it')


def test_a_limit_below_what_is_used_leaves_nothing(gpu):
    kept = gpu.pool.allocate(600, 'a')
    gpu.pool.limit = 500
    with pytest.raises(DeviceMemoryError) as caught:
        gpu.pool.allocate(1, 'b')
    assert caught.value.free == 0
    kept.free()


def test_a_full_device_says_what_is_free_and_loses_nothing(gpu, pycuda):
    kept = gpu.pool.allocate(1000, 'a')
    with pytest.raises(DeviceMemoryError) as caught:
        gpu.pool.allocate(1 << 20, 'b')
    assert (caught.value.needed, caught.value.free) == (1 << 20, (1 << 20) - 1000)
    assert gpu.pool.used == 1000
    kept.free()


def test_collected_buffers_make_room_for_the_next(gpu):
    gpu.pool.limit = 1000
    gpu.pool.allocate(900, 'dropped at once')
    gpu.pool.allocate(900, 'fits again')
