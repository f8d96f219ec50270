# SPDX-License-Identifier: Apache-2.0
"""An execution context with the shapes that it has now, the addresses of its outputs, and its CUDA graphs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from isaac_inference.engines.tensorrt.buffers import nbytes_of
from isaac_inference.engines.tensorrt.context_memory import give_memory
from isaac_inference.engines.tensorrt.io_tensors import PlanTensor, Shape
from isaac_inference.engines.tensorrt.logger import TRT_LOG, is_out_of_memory, said
from isaac_inference.errors import DeviceMemoryError, EngineError
from isaac_inference.models.card.tensor_spec import shape_text

Capture = Callable[[Any, Any, Callable[[], None]], Any]
"""(gpu, stream, what to enqueue) -> a `cuda.graph.CudaGraph`."""


class ShapedContext:
    """One context. Not for two threads at once; several may share their memory where they share a stream.

    Args:
        gpu: the `cuda.device.Gpu`; its context is current here and in every method.
        stream: what it runs on.
        context: a trt.IExecutionContext without memory.
        tensors: the engine's inputs and outputs.
        name: the engine's name, for messages.

    Attributes:
        shapes: of the inputs, in the engine's order; () before they are set.
        output_shapes: output name -> shape for these inputs.
        capacity: output name -> bytes that there are for it; empty for no limit.
    """

    def __init__(self, gpu: Any, stream: Any, context: Any, tensors: Iterable[PlanTensor], name: str) -> None:
        self.shapes: tuple[Shape, ...] = ()
        self.output_shapes: dict[str, Shape] = {}
        self.capacity: Mapping[str, int] = {}
        self._gpu, self._stream, self._name = gpu, stream, name
        self._context: Any = context
        tensors = tuple(tensors)
        self._inputs = tuple(tensor for tensor in tensors if tensor.is_input)
        self._outputs = tuple(tensor for tensor in tensors if not tensor.is_input)
        self._addresses: Mapping[str, int] = {}
        self._graphs: dict[tuple[int, ...], Any] = {}
        self._choose_profile()

    @property
    def graphs(self) -> int:
        """How many CUDA graphs were captured."""
        return len(self._graphs)

    def give(self, inputs: Mapping[str, Any], activations: Any) -> None:
        """Let it use this memory."""
        give_memory(self._context, activations.ptr, activations.nbytes)
        for name, buffer in inputs.items():
            self._check(self._context.set_tensor_address(name, buffer.ptr), f'set_tensor_address({name!r})', [])

    def set_shapes(self, shapes: tuple[Shape, ...]) -> dict[str, Shape]:
        """Tell it the inputs' shapes, where they changed; returns those of the outputs."""
        if shapes == self.shapes:
            return self.output_shapes
        self.shapes = ()
        with TRT_LOG.collect() as errors:
            for tensor, shape in zip(self._inputs, shapes, strict=True):
                done = self._context.set_input_shape(tensor.name, shape)
                self._check(done, f'set_input_shape({tensor.name!r}, {shape_text(shape)})', errors)
            found = {
                tensor.name: tuple(map(int, tuple(self._context.get_tensor_shape(tensor.name))))
                for tensor in self._outputs
            }
        for tensor in self._outputs:
            shape = found[tensor.name]
            if any(size < 0 for size in shape):
                raise EngineError(
                    f'{self._name}: the size of output {tensor.name!r} {shape_text(shape)} depends on the image, which '
                    'is not supported; export the model with a fixed number of results, or use backend: onnxruntime'
                )
            if self.capacity and nbytes_of(shape, tensor.dtype) > self.capacity[tensor.name]:
                raise EngineError(
                    f'{self._name}: output {tensor.name!r} has {shape_text(shape)} for inputs {shapes}, more than for '
                    'the largest inputs of the profile, which is not supported; use backend: onnxruntime'
                )
        self.shapes, self.output_shapes = shapes, found
        return found

    def run(self, addresses: Mapping[str, int], timer: Any = None) -> None:
        """Enqueue the network, its outputs going to these addresses: as a graph where there is one."""
        graph = self._graphs.get(self._key(addresses)) if self._graphs else None
        if graph is None and addresses != self._addresses:
            self._addresses = {}
            for name, address in addresses.items():
                self._check(self._context.set_tensor_address(name, address), f'set_tensor_address({name!r})', [])
            self._addresses = addresses
        with timer.measure(self._stream) if timer is not None else contextlib.nullcontext():
            if graph is None:
                self._execute()
            else:
                graph.launch(self._stream)

    def capture(self, places: Iterable[Mapping[str, int]], capture: Capture) -> None:
        """Make a graph for each set of the outputs' addresses, at the shapes that it has, which must not change then.

        TensorRT sets up what it needs at a shape in the first run, which cannot be captured.
        """
        for addresses in places:
            self.run(addresses)
            self._stream.synchronize()
            self._graphs[self._key(addresses)] = capture(self._gpu, self._stream, self._execute)

    def profile(self, profiler: Any) -> None:
        """Time each layer of the runs from now on."""
        self._context.profiler = profiler

    def drop_graphs(self) -> None:
        """Do without graphs; the stream must be idle."""
        graphs, self._graphs = self._graphs, {}
        for graph in graphs.values():
            graph.close()

    def close(self) -> None:
        """Free it; the stream must be idle. May be called twice."""
        self.drop_graphs()
        self._context = None

    def _choose_profile(self) -> None:
        """Profile 0, which only the first context has by itself."""
        if self._context.active_optimization_profile == 0:
            return
        with TRT_LOG.collect() as errors:
            done = self._context.set_optimization_profile_async(0, self._stream.handle)
            self._stream.synchronize()
        if not done:
            raise EngineError(
                f'{self._name}: this engine cannot be used by several contexts at once; set contexts to 1, or build '
                f'it again{said(errors)}'
            )

    def _key(self, addresses: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(addresses[tensor.name] for tensor in self._outputs)

    def _execute(self) -> None:
        """Enqueue the network with the shapes and addresses that the context has."""
        with TRT_LOG.collect() as errors:
            done = self._context.execute_async_v3(self._stream.handle)
        self._check(done, 'execute_async_v3', errors)

    def _check(self, done: bool, what: str, errors: list[str]) -> None:
        """Raise EngineError unless TensorRT did it."""
        if done:
            return
        if is_out_of_memory(errors):
            asked = [int(number) for error in errors for number in re.findall(r'(\d{4,}) bytes', error)]
            raise DeviceMemoryError(f'{self._name}: {what}{said(errors)}', max(asked, default=0), self._gpu.pool.free)
        raise EngineError(f'{self._name}: TensorRT failed in {what}{said(errors)}; build the engine again')
