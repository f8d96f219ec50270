# SPDX-License-Identifier: Apache-2.0
"""One execution context with its stream, its buffers and its CUDA graphs: what one thread at a time runs frames on."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from isaac_inference.cuda.array import DeviceArray
from isaac_inference.engines.tensorrt.buffers import LaneBuffers, nbytes_of
from isaac_inference.engines.tensorrt.context_memory import give_memory
from isaac_inference.engines.tensorrt.io_tensors import PlanTensor, Shape, check_profile
from isaac_inference.engines.tensorrt.logger import TRT_LOG, is_out_of_memory, said
from isaac_inference.errors import DeviceError, DeviceMemoryError, EngineError
from isaac_inference.models.card.tensor_spec import shape_text

_log = logging.getLogger(__name__)

Capture = Callable[[Any, Any, Callable[[], None]], Any]
"""(gpu, stream, what to enqueue) -> a `cuda.graph.CudaGraph`."""


class Lane:
    """Runs frames on one context. Not for two threads at once.

    Inputs are always copied to the lane's own memory, on the device too: a CUDA graph has the addresses of its inputs
    built in, the copy takes two microseconds or so, and the maker's buffer is free again right after it instead of
    after the whole network. Outputs are written where they are wanted: each slot of the ring has its own graph.

    Host arrays go up straight from the caller's memory: to copy them into pinned memory first takes longer than what
    the driver does with pageable memory. Outputs come down into pinned memory and are copied from there.

    Args:
        gpu: the `cuda.device.Gpu`; its context is current here and in every method.
        stream: the lane's own.
        context: a trt.IExecutionContext without memory.
        tensors: the engine's inputs and outputs.
        wanted: output name -> type that `infer` returns.
        make_buffers: largest output shapes -> the lane's memory.
        capture: makes CUDA graphs; None to do without.
        name: the engine's name, for messages.
    """

    def __init__(
        self,
        gpu: Any,
        stream: Any,
        context: Any,
        tensors: tuple[PlanTensor, ...],
        wanted: Mapping[str, np.dtype[Any]],
        make_buffers: Callable[[Mapping[str, Shape]], LaneBuffers],
        capture: Capture | None,
        name: str,
    ) -> None:
        self.stream = stream
        self._gpu = gpu
        self._context: Any = context
        self._name = name
        self._wanted = dict(wanted)
        self._inputs = tuple(tensor for tensor in tensors if tensor.is_input)
        self._outputs = tuple(tensor for tensor in tensors if not tensor.is_input)
        self._capacity: dict[str, int] = {}
        self._shapes: tuple[Shape, ...] = ()
        self._output_shapes: dict[str, Shape] = {}
        self._addresses: Mapping[str, int] = {}
        self._unread: dict[str, int] = {}  # where outputs go that no one wants
        self._graphs: dict[tuple[int, ...], Any] = {}
        self._choose_profile()
        largest = self._set_shapes(tuple(tensor.largest for tensor in self._inputs))
        self._capacity = {tensor.name: nbytes_of(largest[tensor.name], tensor.dtype) for tensor in self._outputs}
        self.buffers = make_buffers(largest)
        try:
            self._prepare(capture)
        except BaseException:
            self.close()
            raise

    @property
    def graphs(self) -> int:
        """How many CUDA graphs were captured; 0 when frames are enqueued one kernel after the other."""
        return len(self._graphs)

    def infer(self, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Run once and wait; one synchronisation. The arrays are the caller's.

        Raises:
            EngineError: a feed outside of the profile, or TensorRT failed.
        """
        self._feed(feeds)
        own = self.buffers.own
        self._run({name: buffer.ptr for name, buffer in own.items()})
        views = {}
        for tensor in self._outputs:
            if tensor.name not in self._wanted:
                continue
            shape = self._output_shapes[tensor.name]
            raw = self.buffers.host[tensor.name].array[: nbytes_of(shape, tensor.dtype)]
            self.stream.download(raw, own[tensor.name].ptr)
            views[tensor.name] = raw.view(tensor.dtype).reshape(shape)
        self.stream.synchronize()
        return {name: views[name].astype(dtype) for name, dtype in self._wanted.items()}

    def enqueue(self, feeds: Mapping[str, Any], timer: Any = None) -> dict[str, DeviceArray]:
        """Run once without waiting.

        Args:
            feeds: input name -> host or device array. One in pinned memory must stay as it is until the outputs are
                ready.
            timer: a `cuda.timer.GpuTimer` that measures the network alone, or None.

        Returns:
            Output name -> device array of the engine's type, ready in stream order.

        Raises:
            EngineError: a feed outside of the profile, or TensorRT failed.
            FrameError: the results of earlier frames are all still held ('device_buffers_busy').
        """
        slot = self.buffers.ring.take()
        self._feed(feeds)
        self._run({**self._unread, **{name: array.ptr for name, array in slot.items()}}, timer)
        results = {name: _with_shape(slot[name], self._output_shapes[name]) for name in self._wanted}
        next(iter(slot.values())).mark_ready()  # the arrays of a slot share its event
        return results

    def profile(self, profiler: Any, feeds: Mapping[str, Any], runs: int) -> None:
        """Run `runs` times under a trt.IProfiler, after once without it."""
        self.infer(feeds)
        self._context.profiler = profiler
        for _ in range(runs):
            self.infer(feeds)

    def close(self) -> None:
        """Wait for what runs and free everything; may be called twice."""
        graphs, self._graphs = self._graphs, {}
        if self._context is not None:
            with contextlib.suppress(DeviceError):  # a lost device must not keep the rest from being freed
                self.stream.synchronize()
        for graph in graphs.values():
            graph.close()
        self._context = None
        if hasattr(self, 'buffers'):
            self.buffers.close()
        self.stream.close()

    def _choose_profile(self) -> None:
        """Profile 0, which only the first context has by itself."""
        if self._context.active_optimization_profile == 0:
            return
        with TRT_LOG.collect() as errors:
            done = self._context.set_optimization_profile_async(0, self.stream.handle)
            self.stream.synchronize()
        if not done:
            raise EngineError(
                f'{self._name}: this engine cannot be used by several contexts at once; set contexts to 1, or build '
                f'it again{said(errors)}'
            )

    def _prepare(self, capture: Capture | None) -> None:
        """Memory for the context, one run at the optimum shape, and a graph for each set of outputs where the shapes
        are fixed.

        TensorRT sets up what it needs at a shape in the first run, which can't be captured. A context whose shapes
        vary gets no graph: it keeps shape values in memory that a graph captured before would read.
        """
        buffers = self.buffers
        give_memory(self._context, buffers.activations.ptr, buffers.activations.nbytes)
        for name, buffer in buffers.inputs.items():
            self.stream.fill(buffer.ptr, 0, buffer.nbytes)
            self._check(self._context.set_tensor_address(name, buffer.ptr), f'set_tensor_address({name!r})', [])
        own = {name: buffer.ptr for name, buffer in buffers.own.items()}
        self._unread = {name: address for name, address in own.items() if name not in self._wanted}
        self._set_shapes(tuple(tensor.optimum for tensor in self._inputs))
        self._run(own)
        self.stream.synchronize()
        if capture is None or not all(tensor.is_fixed for tensor in self._inputs):
            return
        slots = [buffers.ring.take() for _ in range(buffers.ring.depth)]
        places = [{**self._unread, **{name: array.ptr for name, array in slot.items()}} for slot in slots]
        try:
            for addresses in (own, *places):
                self._run(addresses)
                self.stream.synchronize()
                self._graphs[self._key(addresses)] = capture(self._gpu, self.stream, self._execute)
        except EngineError as error:
            _log.warning('%s: runs without a CUDA graph: %s', self._name, error)
            graphs, self._graphs = self._graphs, {}
            for graph in graphs.values():
                graph.close()

    def _key(self, addresses: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(addresses[tensor.name] for tensor in self._outputs)

    def _feed(self, feeds: Mapping[str, Any]) -> None:
        """Bring the feeds into the lane's memory, and tell the context their shapes."""
        for tensor in self._inputs:
            check_profile(tensor, feeds[tensor.name].shape, self._name)
        self._set_shapes(tuple(feeds[tensor.name].shape for tensor in self._inputs))
        for tensor in self._inputs:
            feed, target = feeds[tensor.name], self.buffers.inputs[tensor.name].ptr
            if isinstance(feed, DeviceArray):
                self._check_device(feed, tensor)
                with feed.reading(self.stream):
                    self.stream.copy(target, feed.ptr, feed.nbytes)
            else:
                self.stream.upload(target, self._as_engine_type(feed, tensor))

    def _check_device(self, feed: DeviceArray, tensor: PlanTensor) -> None:
        """Raise EngineError for a device array that can't be copied as it is."""
        if feed.dtype != tensor.dtype:
            raise EngineError(
                f'{self._name}: input {tensor.name!r}: got {feed.dtype} on the device, where the engine takes '
                f'{tensor.dtype}; feed a host array, which is converted'
            )
        if feed.gpu.ordinal != self._gpu.ordinal:
            raise EngineError(
                f'{self._name}: input {tensor.name!r}: got an array on GPU {feed.gpu.ordinal}, the engine runs on GPU '
                f'{self._gpu.ordinal}; use the same `device` for all stages'
            )

    def _as_engine_type(self, feed: np.ndarray, tensor: PlanTensor) -> np.ndarray:
        """A C-contiguous host array of the engine's type; the feed itself where it is one."""
        if feed.dtype != tensor.dtype and tensor.dtype.kind == 'i' and feed.size:
            limits = np.iinfo(tensor.dtype)
            if feed.min() < limits.min or feed.max() > limits.max:
                raise EngineError(
                    f'{self._name}: input {tensor.name!r}: got {feed.min()} to {feed.max()}, which do not fit into '
                    f'{tensor.dtype}, to which this TensorRT converts {feed.dtype}'
                )
        return np.ascontiguousarray(feed, tensor.dtype)

    def _set_shapes(self, shapes: tuple[Shape, ...]) -> dict[str, Shape]:
        """Tell the context the inputs' shapes, where they changed; returns those of the outputs."""
        if shapes == self._shapes:
            return self._output_shapes
        self._shapes = ()
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
            if self._capacity and nbytes_of(shape, tensor.dtype) > self._capacity[tensor.name]:
                raise EngineError(
                    f'{self._name}: output {tensor.name!r} has {shape_text(shape)} for inputs {shapes}, more than for '
                    'the largest inputs of the profile, which is not supported; use backend: onnxruntime'
                )
        self._shapes, self._output_shapes = shapes, found
        return found

    def _run(self, addresses: Mapping[str, int], timer: Any = None) -> None:
        """Enqueue the network, its outputs going to these addresses: as a graph where there is one."""
        graph = self._graphs.get(self._key(addresses)) if self._graphs else None
        if graph is None and addresses != self._addresses:
            self._addresses = {}
            for name, address in addresses.items():
                self._check(self._context.set_tensor_address(name, address), f'set_tensor_address({name!r})', [])
            self._addresses = addresses
        with timer.measure(self.stream) if timer is not None else contextlib.nullcontext():
            if graph is None:
                self._execute()
            else:
                graph.launch(self.stream)

    def _execute(self) -> None:
        """Enqueue the network with the shapes and addresses that the context has."""
        with TRT_LOG.collect() as errors:
            done = self._context.execute_async_v3(self.stream.handle)
        self._check(done, 'execute_async_v3', errors)

    def _check(self, done: bool, what: str, errors: list[str]) -> None:
        """Raise EngineError unless TensorRT did it."""
        if done:
            return
        if is_out_of_memory(errors):
            asked = [int(number) for error in errors for number in re.findall(r'(\d{4,}) bytes', error)]
            raise DeviceMemoryError(f'{self._name}: {what}{said(errors)}', max(asked, default=0), self._gpu.pool.free)
        raise EngineError(f'{self._name}: TensorRT failed in {what}{said(errors)}; build the engine again')


def _with_shape(array: DeviceArray, shape: Shape) -> DeviceArray:
    """The same memory with the shape that this frame has; it holds the ring's slot as the array does."""
    if array.shape == shape:
        return array
    return DeviceArray(array.ptr, shape, array.dtype, array.stream, slot=array.slot, owner=array)
