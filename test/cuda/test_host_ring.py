# SPDX-License-Identifier: Apache-2.0
"""Results that their readers keep: whose memory they are, when it serves again, and what is copied."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np

from isaac_inference.cuda.host_ring import HostRing


class Memory:
    """What a ring allocates."""

    made: list[weakref.ref[Memory]] = []

    def __init__(self) -> None:
        self.array = np.zeros(64, np.uint8)
        Memory.made.append(weakref.ref(self))


def ring_of(depth):
    Memory.made = []
    return HostRing(Memory, depth)


def address(array):
    return array.ctypes.data


def test_what_is_given_away_is_the_memory_itself():
    slot = ring_of(2).take()
    mask = slot.own(slot.array[8:40].view(np.uint16).reshape(4, 4))
    slot.array[8:40] = 7
    assert mask.shape == (4, 4)
    assert (mask == 0x0707).all()


def test_memory_in_hands_is_never_written_again():
    ring = ring_of(3)
    held = []
    for number in range(8):
        slot = ring.take()
        slot.array[:] = number
        held.append(slot.own(slot.array[10:20]))
        del slot
    assert [int(array[0]) for array in held] == list(range(8))
    assert all((array == array[0]).all() for array in held)
    assert len(Memory.made) == 3 + 1  # with the one that results beyond are copied out of


def test_memory_serves_again_once_no_view_of_it_is_left():
    ring = ring_of(2)
    slot = ring.take()
    view = slot.own(slot.array[4:8])
    part, where = view[1:], address(slot.array)
    del slot, view
    other = ring.take()
    assert address(other.array) != where  # a view of a view holds it
    del part
    assert address(ring.take().array) == where
    assert len(Memory.made) == 2


def test_nothing_is_allocated_for_a_reader_that_lets_go():
    ring = ring_of(4)
    for _ in range(50):
        slot = ring.take()
        slot.own(slot.array[:16])
        del slot
    assert len(Memory.made) == 1


def test_arrays_outlive_the_ring_and_then_its_memory_goes():
    ring = ring_of(2)
    slot = ring.take()
    slot.array[:] = 5
    mask = slot.own(slot.array[:16])
    del slot, ring
    gc.collect()
    assert (mask == 5).all()
    assert Memory.made[0]() is not None
    del mask
    gc.collect()
    assert Memory.made[0]() is None


def test_a_reader_may_let_go_on_another_thread():
    ring = ring_of(1)
    slot = ring.take()
    box = [slot.own(slot.array[:8])]
    where = address(box[0])
    del slot
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    assert address(ring.take().array) == where
