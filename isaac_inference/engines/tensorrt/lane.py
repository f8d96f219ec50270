# SPDX-License-Identifier: Apache-2.0
"""One execution context with its stream, its buffers and its CUDA graphs: what one thread at a time runs frames on."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from isaac_inference.cuda.array import DeviceArray
from isaac_inference.engines.rows import parts_of
from isaac_inference.engines.tensorrt.buffers import LaneBuffers, nbytes_of
from isaac_inference.engines.tensorrt.io_tensors import PlanTensor, Shape, check_profile
from isaac_inference.engines.tensorrt.shaped import Capture, ShapedContext
from isaac_inference.errors import DeviceError, EngineError

_log = logging.getLogger(__name__)

_MOST_GRAPHED = 16  # batch sizes that get graphs; each has a context of its own, and a graph for each slot


class Lane:
    """Runs frames on one context. Not for two threads at once.

    Inputs are always copied to the lane's own memory, on the device too: a CUDA graph has the addresses of its inputs
    built in, the copy takes two microseconds or so, and the maker's buffer is free again right after it instead of
    after the whole network. Images of a batch that lie apart (`Rows`) come together by these copies. Outputs are
    written where they are wanted: each slot of the ring has its own graph.

    Where only the number of images varies, each number has a context of its own with its graphs: a context keeps shape
    values in memory that a graph reads. They share all other memory, as they run one after the other.

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
        more_contexts: makes further contexts like `context`, for batch sizes; None to do without graphs of these.
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
        more_contexts: Callable[[], Any] | None = None,
    ) -> None:
        self.stream = stream
        self._gpu = gpu
        self._name = name
        self._tensors = tensors
        self._wanted = dict(wanted)
        self._inputs = tuple(tensor for tensor in tensors if tensor.is_input)
        self._outputs = tuple(tensor for tensor in tensors if not tensor.is_input)
        self._unread: dict[str, int] = {}  # where outputs go that no one wants
        self._any = ShapedContext(gpu, stream, context, tensors, name)
        self._fixed: dict[tuple[Shape, ...], ShapedContext] = {}
        self._now = self._any
        largest = self._any.set_shapes(tuple(tensor.largest for tensor in self._inputs))
        self._any.capacity = {tensor.name: nbytes_of(largest[tensor.name], tensor.dtype) for tensor in self._outputs}
        self.buffers = make_buffers(largest)
        try:
            self._prepare(capture, more_contexts)
        except BaseException:
            self.close()
            raise

    @property
    def graphs(self) -> int:
        """How many CUDA graphs were captured; 0 when frames are enqueued one kernel after the other."""
        return sum(one.graphs for one in (self._any, *self._fixed.values()))

    def infer(self, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Run once and wait; one synchronisation. The arrays are the caller's.

        Raises:
            EngineError: a feed outside of the profile, or TensorRT failed.
        """
        self._feed(feeds)
        own = self.buffers.own
        self._now.run({name: buffer.ptr for name, buffer in own.items()})
        views = {}
        for tensor in self._outputs:
            if tensor.name not in self._wanted:
                continue
            shape = self._now.output_shapes[tensor.name]
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
        self._now.run({**self._unread, **{name: array.ptr for name, array in slot.items()}}, timer)
        results = {name: _with_shape(slot[name], self._now.output_shapes[name]) for name in self._wanted}
        next(iter(slot.values())).mark_ready()  # the arrays of a slot share its event
        return results

    def profile(self, profiler: Any, feeds: Mapping[str, Any], runs: int) -> None:
        """Run `runs` times under a trt.IProfiler, after once without it."""
        self.infer(feeds)
        self._now.profile(profiler)
        for _ in range(runs):
            self.infer(feeds)

    def close(self) -> None:
        """Wait for what runs and free everything; may be called twice."""
        shaped, self._fixed = (self._any, *self._fixed.values()), {}
        with contextlib.suppress(DeviceError):  # a lost device must not keep the rest from being freed
            self.stream.synchronize()
        for one in shaped:
            one.close()
        if hasattr(self, 'buffers'):
            self.buffers.close()
        self.stream.close()

    def _prepare(self, capture: Capture | None, more_contexts: Callable[[], Any] | None) -> None:
        """Memory for the context, one run at the optimum shape, and a graph for each set of outputs at each batch size,
        where nothing else varies.
        """
        buffers = self.buffers
        for buffer in buffers.inputs.values():
            self.stream.fill(buffer.ptr, 0, buffer.nbytes)
        self._any.give(buffers.inputs, buffers.activations)
        own = {name: buffer.ptr for name, buffer in buffers.own.items()}
        self._unread = {name: address for name, address in own.items() if name not in self._wanted}
        self._any.set_shapes(tuple(tensor.optimum for tensor in self._inputs))
        self._any.run(own)
        self.stream.synchronize()
        if capture is None:
            return
        slots = [buffers.ring.take() for _ in range(buffers.ring.depth)]
        places = [own, *({**self._unread, **{name: array.ptr for name, array in slot.items()}} for slot in slots)]
        try:
            if all(tensor.is_fixed for tensor in self._inputs):
                self._any.capture(places, capture)
            elif more_contexts is not None:
                self._capture_batches(places, capture, more_contexts)
        except EngineError as error:
            _log.warning('%s: runs without a CUDA graph: %s', self._name, error)
            self.stream.synchronize()
            fixed, self._fixed = self._fixed, {}
            self._any.drop_graphs()
            for one in fixed.values():
                one.close()

    def _capture_batches(
        self, places: list[dict[str, int]], capture: Capture, more_contexts: Callable[[], Any]
    ) -> None:
        """A context with its graphs for each batch size, where there are few and nothing else varies."""
        for shapes in _batches(self._inputs):
            one = ShapedContext(self._gpu, self.stream, more_contexts(), self._tensors, self._name)
            self._fixed[shapes] = one
            one.capacity = self._any.capacity
            one.give(self.buffers.inputs, self.buffers.activations)
            one.set_shapes(shapes)
            one.capture(places, capture)

    def _feed(self, feeds: Mapping[str, Any]) -> None:
        """Bring the feeds into the lane's memory, and tell the context their shapes."""
        for tensor in self._inputs:
            check_profile(tensor, feeds[tensor.name].shape, self._name)
        shapes = tuple(feeds[tensor.name].shape for tensor in self._inputs)
        self._now = self._fixed.get(shapes, self._any)
        self._now.set_shapes(shapes)
        for tensor in self._inputs:
            target = self.buffers.inputs[tensor.name].ptr
            for part in parts_of(feeds[tensor.name]):
                target += self._bring(part, tensor, target)

    def _bring(self, part: Any, tensor: PlanTensor, target: int) -> int:
        """Copy an array into the lane's memory; how many bytes it takes there."""
        if isinstance(part, DeviceArray):
            self._check_device(part, tensor)
            with part.reading(self.stream):
                self.stream.copy(target, part.ptr, part.nbytes)
            return part.nbytes
        host = self._as_engine_type(part, tensor)
        self.stream.upload(target, host)
        return host.nbytes

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


def _batches(inputs: tuple[PlanTensor, ...]) -> list[tuple[Shape, ...]]:
    """The inputs' shapes at each batch size; none where anything else varies, or where there are many."""
    varying = [tensor for tensor in inputs if not tensor.is_fixed]
    if any(tensor.smallest[1:] != tensor.largest[1:] for tensor in varying):
        return []
    low = max(tensor.smallest[0] for tensor in varying)
    high = min(tensor.largest[0] for tensor in varying)
    if high - low >= _MOST_GRAPHED:
        return []
    return [
        tuple(tensor.optimum if tensor.is_fixed else (count, *tensor.optimum[1:]) for tensor in inputs)
        for count in range(low, high + 1)
    ]


def _with_shape(array: DeviceArray, shape: Shape) -> DeviceArray:
    """The same memory with the shape that this frame has; it holds the ring's slot as the array does."""
    if array.shape == shape:
        return array
    return DeviceArray(array.ptr, shape, array.dtype, array.stream, slot=array.slot, owner=array)
