# SPDX-License-Identifier: Apache-2.0
"""Device arrays: what they show to NumPy, to DLPack and to the CUDA array interface, and how long they live."""

from __future__ import annotations

import ctypes
import gc
import weakref

import numpy as np
import pytest
from support.cuda.host_slot import NotingGpu, NotingStream

from isaac_inference.cuda import dlpack
from isaac_inference.cuda.array import DeviceArray
from isaac_inference.errors import DeviceError

python = ctypes.PyDLL(None)
python.PyCapsule_GetPointer.restype = ctypes.c_void_p
python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
python.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
USED = b'used_dltensor'


@pytest.fixture
def stream():
    return NotingStream(NotingGpu(), 7)


def array_of(values, stream):
    return DeviceArray(values.ctypes.data, values.shape, values.dtype, stream, owner=values)


def managed(capsule):
    """The DLManagedTensor in a capsule."""
    return dlpack._ManagedTensor.from_address(python.PyCapsule_GetPointer(capsule, b'dltensor'))


def test_sizes_and_names(stream):
    array = DeviceArray(4096, [2, 3], 'float16', stream)
    assert (array.shape, array.dtype, array.nbytes, array.size, array.ndim, len(array)) == ((2, 3), 'f2', 12, 6, 2, 2)
    assert DeviceArray(0, (), np.int64, stream).nbytes == 8
    assert DeviceArray(0, (0, 4), np.float32, stream).nbytes == 0
    with pytest.raises(TypeError):
        len(DeviceArray(0, (), np.int64, stream))


def test_numpy_downloads_once_with_one_synchronisation(stream):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    array = array_of(values, stream)
    host = np.asarray(array)
    assert np.array_equal(host, values) and np.asarray(array) is host
    assert stream.gpu.notes == [(7, 'download'), (7, 'synchronize')]
    assert np.asarray(array, np.float64).dtype == np.float64
    with pytest.raises(ValueError, match='read-only'):
        host[0, 0] = 1
    copied = array.__array__(copy=True)
    copied[0, 0] = 1
    assert len(stream.gpu.notes) == 2


def test_numpy_may_not_ask_for_no_copy(stream):
    array = array_of(np.ones(3, np.float32), stream)
    with pytest.raises(ValueError, match='copied'):
        array.__array__(copy=False)
    np.asarray(array)
    assert array.__array__(copy=False) is np.asarray(array)


def test_reading_on_another_stream_waits_and_is_waited_for(stream):
    other, array = NotingStream(stream.gpu, 9), DeviceArray(4096, (4,), np.uint8, stream)
    with array.reading(stream):
        pass
    assert stream.gpu.notes == []
    with array.reading(other):
        stream.gpu.notes.append('work')
    array.slot.claim(stream)
    assert stream.gpu.notes == [
        (9, 'waits for', 'event 1'),
        'work',
        (9, 'records', 'event 2'),
        (7, 'waits for', 'event 2'),
    ]
    array.slot.claim(stream)
    assert len(stream.gpu.notes) == 4


def test_cuda_array_interface(stream):
    shown = DeviceArray(4096, (2, 3), np.float16, stream).__cuda_array_interface__
    assert shown == {
        'shape': (2, 3),
        'typestr': '<f2',
        'data': (4096, False),
        'version': 3,
        'strides': None,
        'stream': 7,
    }
    assert DeviceArray(4096, (0, 3), np.float16, stream).__cuda_array_interface__['data'][0] == 0


@pytest.mark.parametrize(
    ('dtype', 'code', 'bits'),
    [('f2', 2, 16), ('f4', 2, 32), ('u1', 1, 8), ('i4', 0, 32), ('i8', 0, 64), ('?', 6, 8), ('c8', 5, 64)],
)
def test_capsule_describes_the_array(stream, dtype, code, bits):
    capsule = DeviceArray(4096, (2, 3, 4), dtype, stream).__dlpack__()
    tensor = managed(capsule).tensor
    assert (tensor.data, tensor.device_type, tensor.device_id, tensor.byte_offset) == (4096, 2, 0, 0)
    assert (tensor.type_code, tensor.type_bits, tensor.type_lanes) == (code, bits, 1)
    sizes = (ctypes.c_int64 * 3).from_address(tensor.shape), (ctypes.c_int64 * 3).from_address(tensor.strides)
    assert [list(size) for size in sizes] == [[2, 3, 4], [12, 4, 1]]


def test_capsule_of_nothing_and_of_a_scalar(stream):
    empty = managed(DeviceArray(4096, (0, 4), np.float32, stream).__dlpack__()).tensor
    assert not empty.data and empty.ndim == 2
    scalar = managed(DeviceArray(4096, (), np.float32, stream).__dlpack__()).tensor
    assert scalar.data == 4096 and scalar.ndim == 0


def test_the_consumer_s_stream_waits(stream):
    array = DeviceArray(4096, (4,), np.uint8, stream)
    for asked in (None, 1, 2, 12345, -1):
        array.__dlpack__(stream=asked)
    assert stream.gpu.notes == [('stream', waiter, 'after', 7) for waiter in (1, 1, 2, 12345)]
    with pytest.raises(DeviceError, match='ambiguous'):
        array.__dlpack__(stream=0)


def test_what_a_foreign_stream_read_is_waited_for_before_it_is_written(stream):
    array = DeviceArray(4096, (4,), np.uint8, stream)
    array.__dlpack__(stream=1)
    stream.gpu.notes.clear()
    array.slot.claim(stream)
    assert stream.gpu.notes == [('stream', 7, 'after', 1)]
    array.__dlpack__(stream=4242)
    stream.gpu.notes.clear()
    array.slot.claim(stream)
    assert stream.gpu.notes == [('synchronize device',)]


def test_other_devices_copies_and_types_are_refused(stream):
    array = DeviceArray(4096, (4,), np.uint8, stream)
    with pytest.raises(BufferError, match='without a copy'):
        array.__dlpack__(copy=True)
    with pytest.raises(BufferError, match='numpy.asarray'):
        array.__dlpack__(dl_device=(1, 0))
    assert array.__dlpack__(dl_device=(2, 0), max_version=(1, 0), copy=False)
    with pytest.raises(DeviceError, match='element type'):
        DeviceArray(4096, (4,), 'M8[s]', stream).__dlpack__()


def test_a_consumed_capsule_keeps_the_array_until_the_deleter(stream):
    array = DeviceArray(4096, (4,), np.uint8, stream)
    alive = weakref.ref(array)
    capsule = array.__dlpack__()
    address = python.PyCapsule_GetPointer(capsule, b'dltensor')
    python.PyCapsule_SetName(capsule, USED)
    del array, capsule
    dlpack.sweep()
    gc.collect()
    assert alive() is not None
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(dlpack._ManagedTensor.from_address(address).deleter)(address)
    assert alive() is None


def test_a_capsule_that_was_never_consumed_releases_the_array(stream):
    array = DeviceArray(4096, (4,), np.uint8, stream)
    alive = weakref.ref(array)
    capsule = array.__dlpack__()
    del array
    dlpack.sweep()
    assert alive() is not None
    del capsule
    dlpack.sweep()
    assert alive() is None


def test_numpy_s_own_refusal_comes_through(stream):
    with pytest.raises((RuntimeError, BufferError)) as caught:
        np.from_dlpack(DeviceArray(4096, (4,), np.uint8, stream))
    assert 'evice' in str(caught.value)
