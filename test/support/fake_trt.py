# SPDX-License-Identifier: Apache-2.0
"""The smallest TensorRT and GPU on which a lane runs: one float input 'x', its double as 'y', memory in a dict."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np

from isaac_inference.engines.tensorrt.logger import TRT_LOG


class Device:
    """Device addresses -> arrays of bytes; copies happen at once."""

    ordinal, name = 0, 'Toy'

    def __init__(self, free=1 << 30):
        self.memories, self.next, self.left = {}, itertools.count(1 << 20, 1 << 16), free
        self.pool = SimpleNamespace(limit=0, used=0, free=free, allocate=self.allocate)

    def allocate(self, nbytes, what):
        ptr = next(self.next)
        self.memories[ptr] = np.zeros(nbytes, np.uint8)
        return SimpleNamespace(ptr=ptr, nbytes=nbytes, free=lambda: self.memories.pop(ptr, None))

    def at(self, address):
        """The bytes from an address to the end of what was allocated there."""
        ptr = max(ptr for ptr in self.memories if ptr <= address)
        return self.memories[ptr][address - ptr :]

    def memory(self):
        return self.left, 1 << 31

    def current(self):
        return nullcontext()

    def event(self):
        return object()


class Stream:
    """Does everything at once; remembers what was asked for."""

    handle = 7

    def __init__(self, device):
        self.gpu, self.calls = device, []

    def upload(self, target, host):
        self.gpu.at(target)[: host.nbytes] = np.frombuffer(host.tobytes(), np.uint8)
        self.calls.append('upload')

    def download(self, host, source, nbytes=None):
        host[...] = self.gpu.at(source)[: host.nbytes].view(host.dtype).reshape(host.shape)
        self.calls.append('download')

    def copy(self, target, source, nbytes):
        self.gpu.at(target)[:nbytes] = self.gpu.at(source)[:nbytes]
        self.calls.append('copy')

    def fill(self, target, value, nbytes):
        self.gpu.memories[target][:nbytes] = value

    def record(self, event):
        self.calls.append('record')

    def synchronize(self):
        self.calls.append('synchronize')

    def close(self):
        self.calls.append('close')


class Context:
    """Writes the double of input 'x' to output 'y'."""

    active_optimization_profile = 0

    def __init__(self, device, says=''):
        self.device, self.says, self.shape, self.addresses = device, says, (), {}

    def set_input_shape(self, name, shape):
        self.shape = shape
        return True

    def get_tensor_shape(self, name):
        return self.shape

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def set_optimization_profile_async(self, index, stream):
        return False

    def execute_async_v3(self, stream):
        if self.says:
            TRT_LOG.write('ERROR', self.says)
            return False
        count = int(np.prod(self.shape))
        memories = self.device.memories
        values = memories[self.addresses['x']].view(np.float32)[:count] * 2
        memories[self.addresses['y']].view(np.float32)[:count] = values
        return True


class TrtEngine:
    """A trt.ICudaEngine of the tensors {name: (mode, type, shape, profile)}."""

    def __init__(self, tensors, location='DEVICE'):
        self.tensors, self.location = tensors, location
        self.num_io_tensors = len(tensors)

    def get_tensor_name(self, index):
        return list(self.tensors)[index]

    def get_tensor_mode(self, name):
        return SimpleNamespace(name=self.tensors[name][0])

    def get_tensor_dtype(self, name):
        return SimpleNamespace(name=self.tensors[name][1])

    def get_tensor_shape(self, name):
        return self.tensors[name][2]

    def get_tensor_location(self, name):
        return SimpleNamespace(name=self.location)

    def get_tensor_profile_shape(self, name, index):
        return self.tensors[name][3]


def trt_that_loads(engine, says=()):
    """A tensorrt module whose runtime gives this engine, or None after it said something."""

    def deserialize(plan):
        for text in says:
            TRT_LOG.write('ERROR', text)
        return engine

    return SimpleNamespace(
        __version__='8.6.0', Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=deserialize)
    )
