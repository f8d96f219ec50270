# SPDX-License-Identifier: Apache-2.0
"""DLPack capsules of device memory, through ctypes: how PyTorch, CuPy and JAX take over an array without a copy.

The structures are those of dlpack.h, version 0.8, which all consumers still read. A capsule has no destructor here: it
would be Python code that runs while the consumer's exception is pending, and swallow that exception. Instead each
capsule is kept here, and released when no one else holds it and it was not consumed.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from ctypes import c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint64, c_void_p
from typing import Any

import numpy as np

from isaac_inference.errors import DeviceError

CUDA = 2
"""kDLCUDA"""
TYPE_CODES = {'i': 0, 'u': 1, 'f': 2, 'c': 5, 'b': 6}
"""NumPy's kind to DLDataTypeCode."""

_FRESH = b'dltensor'  # a consumer renames it to used_dltensor and calls the deleter when it is done


class _Tensor(ctypes.Structure):
    _fields_ = [
        ('data', c_void_p),
        ('device_type', c_int32),
        ('device_id', c_int32),
        ('ndim', c_int32),
        ('type_code', c_uint8),
        ('type_bits', c_uint8),
        ('type_lanes', c_uint16),
        ('shape', c_void_p),
        ('strides', c_void_p),
        ('byte_offset', c_uint64),
    ]


class _ManagedTensor(ctypes.Structure):
    _fields_ = [('tensor', _Tensor), ('context', c_void_p), ('deleter', c_void_p)]


class _Loan:
    """One capsule that was handed out: its structures, and the owner of the memory."""

    def __init__(self, owner: object, tensor: _ManagedTensor, sizes: Any) -> None:
        self.owner = owner
        self.tensor = tensor
        self.sizes = sizes
        self.capsule: object = None


# a separate handle, because setting argtypes on ctypes.pythonapi affects every user of it
_python = ctypes.PyDLL(None)
_new_capsule = _python.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = (c_void_p, c_char_p, c_void_p)
_is_valid = _python.PyCapsule_IsValid
_is_valid.restype = ctypes.c_int
_is_valid.argtypes = (ctypes.py_object, c_char_p)

_loans: dict[int, _Loan] = {}  # by address of the managed tensor
_sweeping = threading.Lock()


@ctypes.CFUNCTYPE(None, c_void_p)
def _give_back(address: int) -> None:
    """The deleter, called on whichever thread the consumer releases it."""
    _loans.pop(address, None)


def lend(owner: object, ptr: int, shape: tuple[int, ...], dtype: np.dtype, ordinal: int) -> object:
    """A capsule named 'dltensor' for C-contiguous device memory.

    Args:
        owner: kept alive until the consumer releases it, or no one holds the capsule any more.
        ptr: device address.
        shape: dimensions.
        dtype: element type.
        ordinal: the device.

    Raises:
        DeviceError: DLPack has no such element type.
    """
    sweep()
    if dtype.kind not in TYPE_CODES or not dtype.isnative:
        raise DeviceError(f'DLPack has no element type for {dtype}')
    strides = np.ones(len(shape), np.int64)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * max(shape[axis + 1], 1)
    sizes = (c_int64 * (2 * len(shape)))(*shape, *strides.tolist())
    managed = _ManagedTensor()
    tensor = managed.tensor
    tensor.data = ptr
    tensor.device_type, tensor.device_id = CUDA, ordinal
    tensor.ndim = len(shape)
    tensor.type_code, tensor.type_bits, tensor.type_lanes = TYPE_CODES[dtype.kind], 8 * dtype.itemsize, 1
    tensor.shape = ctypes.addressof(sizes)
    tensor.strides = ctypes.addressof(sizes) + 8 * len(shape)
    managed.deleter = ctypes.cast(_give_back, c_void_p).value
    address = ctypes.addressof(managed)
    loan = _Loan(owner, managed, sizes)
    _loans[address] = loan
    loan.capsule = _new_capsule(address, _FRESH, None)
    return loan.capsule


def sweep() -> None:
    """Releases what was lent in capsules that were never consumed and that no one holds any more."""
    with _sweeping:
        for address, loan in list(_loans.items()):
            if loan.capsule is None or _holders(loan) > _ALONE:
                continue
            if _is_valid(loan.capsule, _FRESH):
                _loans.pop(address, None)
            else:
                loan.capsule = None  # consumed: now the deleter decides


def _holders(loan: _Loan) -> int:
    return sys.getrefcount(loan.capsule)


def _count_alone() -> int:
    loan = _Loan(None, _ManagedTensor(), None)
    loan.capsule = object()
    return _holders(loan)


_ALONE = _count_alone()  # what `_holders` returns if only the loan has the capsule; differs between Python versions
