# SPDX-License-Identifier: Apache-2.0
"""All memory of one lane, taken when the engine opens: inputs, outputs, activations, and pinned memory for the host."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from isaac_inference.engines.tensorrt.io_tensors import PlanTensor, Shape

DEPTH = 4
"""Results of `enqueue` that may be held at once: two in flight, one being read, one being published."""


def nbytes_of(shape: Shape, dtype: np.dtype[Any]) -> int:
    """Bytes of a C-contiguous array."""
    return math.prod(shape) * dtype.itemsize


class LaneBuffers:
    """The memory of one execution context.

    Args:
        gpu: the `cuda.device.Gpu`; its context is current.
        stream: the lane's stream.
        tensors: the engine's inputs and outputs.
        outputs: names of the outputs that are wanted; the others get memory that no one reads.
        largest: output name -> largest shape that the profile allows.
        activations: bytes of activation memory.
        name: the engine's name, for messages.

    Attributes:
        inputs: input name -> device buffer for its largest shape.
        own: output name -> device buffer of `infer`, all outputs.
        ring: hands out the wanted outputs of `enqueue` as device arrays.
        host: wanted output name -> pinned memory, uint8, for its largest shape.
        activations: the context's memory while it runs.

    Raises:
        DeviceMemoryError: too little memory; nothing is left taken.
    """

    def __init__(
        self,
        gpu: Any,
        stream: Any,
        tensors: Iterable[PlanTensor],
        outputs: Iterable[str],
        largest: Mapping[str, Shape],
        activations: int,
        name: str,
    ) -> None:
        from isaac_inference.cuda.memory import pinned
        from isaac_inference.cuda.ring import ArrayRing

        self.inputs: dict[str, Any] = {}
        self.own: dict[str, Any] = {}
        self.host: dict[str, Any] = {}
        self.ring: Any = None
        self.activations: Any = None
        wanted, specs = set(outputs), {}
        try:
            for tensor in tensors:
                what = f'{name}: {"input" if tensor.is_input else "output"} {tensor.name!r}'
                shape = tensor.largest if tensor.is_input else largest[tensor.name]
                size = max(1, nbytes_of(shape, tensor.dtype))
                target = self.inputs if tensor.is_input else self.own
                target[tensor.name] = gpu.pool.allocate(size, what)
                if tensor.name in wanted and not tensor.is_input:
                    specs[tensor.name] = (shape, tensor.dtype)
                    self.host[tensor.name] = pinned(gpu, (size,), np.uint8, what)
            self.ring = ArrayRing(gpu, stream, specs, DEPTH, f'{name}: outputs')
            self.activations = gpu.pool.allocate(max(256, activations), f'{name}: activations')
        except BaseException:
            self.close()
            raise

    @property
    def sizes(self) -> dict[str, int]:
        """Purpose -> bytes; 'staging' is pinned host memory, the rest is the GPU's."""
        outputs = sum(buffer.nbytes for buffer in self.own.values())
        return {
            'inputs': sum(buffer.nbytes for buffer in self.inputs.values()),
            'outputs': outputs + self.ring.nbytes,
            'activations': self.activations.nbytes,
            'staging': sum(buffer.array.nbytes for buffer in self.host.values()),
        }

    def close(self) -> None:
        """Give all of it back; the stream must be idle. May be called twice."""
        ring, self.ring = self.ring, None
        if ring is not None:
            ring.close()
        single, self.activations = self.activations, None
        for buffer in (*self.inputs.values(), *self.own.values(), *self.host.values(), single):
            if buffer is not None:
                buffer.free()
        for group in (self.inputs, self.own, self.host):
            group.clear()
