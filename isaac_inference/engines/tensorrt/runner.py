# SPDX-License-Identifier: Apache-2.0
"""Runs a model with TensorRT."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from isaac_inference.cuda.array import DeviceArray
from isaac_inference.engines.base import Engine
from isaac_inference.engines.tensorrt import compat
from isaac_inference.engines.tensorrt.buffers import LaneBuffers
from isaac_inference.engines.tensorrt.context_memory import activation_bytes, context_without_memory
from isaac_inference.engines.tensorrt.graph_facts import graph_facts
from isaac_inference.engines.tensorrt.io_tensors import Shape
from isaac_inference.engines.tensorrt.lane import Lane
from isaac_inference.engines.tensorrt.layer_times import make_profiler, mean_times
from isaac_inference.engines.tensorrt.loader import LoadedPlan, Plan, load_plan
from isaac_inference.engines.tensorrt.logger import TRT_LOG, is_out_of_memory, said, trt_logger
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import DeviceMemoryError, EngineError, ModelError
from isaac_inference.models.card.card import ModelCard

_MIB = 2**20


class TensorRtEngine(Engine):
    """TensorRT on an NVIDIA GPU. All memory is taken in `open`; the arrays that `infer` returns are the caller's.

    `contexts` frames may be in flight at once, each on a stream of its own. `infer` waits for its result; `enqueue`
    does not, and leaves the result on the device.

    Where TensorRT makes int32 of a model's int64 (8.6 does), `infer` takes and returns the model's types all the same;
    `enqueue` returns int32.

    Args:
        card: the model.
        plan: the plan to run, or what gives it: called by each `open`, which may take minutes where it is built first.
        settings: how the plan was built and how to run it; None for the defaults.
    """

    backend = 'tensorrt'
    needs_contiguous = False
    reuses_outputs = False
    takes_device_arrays = True
    takes_rows = True

    def __init__(
        self, card: ModelCard, plan: Plan | Callable[[], Plan], settings: TensorRtSettings | None = None
    ) -> None:
        self.settings = settings or TensorRtSettings()
        super().__init__(card, concurrency=self.settings.contexts)
        self.gpu_ordinal = self.settings.device
        self._find_plan: Callable[[], Plan] = (lambda: plan) if isinstance(plan, Plan) else plan
        self._gpu: Any = None
        self._loaded: LoadedPlan | None = None
        self._lanes: list[Lane] = []
        self._idle: deque[Lane] = deque()
        self._memory: Mapping[str, float] = MappingProxyType({})

    def enqueue(self, feeds: Mapping[str, Any], timer: Any = None) -> dict[str, DeviceArray]:
        """Run the model once without waiting for it.

        Args:
            feeds: as for `infer`; arrays on the device are read in stream order. A host array in pinned memory must
                stay as it is until the outputs are ready; others may be altered at once.
            timer: a `cuda.timer.GpuTimer` that measures the network alone.

        Returns:
            Output name -> array on the device, readable once its `ready` event has happened (`reading` and
            `numpy.asarray` see to that). Four results a context may be held at once; each is freed when its arrays
            are gone.

        Raises:
            EngineError: the engine is not open, the feeds don't fit it, or TensorRT failed.
            FrameError: all results of earlier frames are still held ('device_buffers_busy').
        """
        with self._running('enqueue', feeds), self._lane() as lane:
            return lane.enqueue(feeds, timer)

    @property
    def batch_sizes(self) -> tuple[int, int | None]:
        """As of the base class; of an open engine those of its optimization profile."""
        sizes = super().batch_sizes
        images = {image.tensor.name for image in self.card.images if image.has_batch}
        found = [tensor for tensor in (self._loaded.tensors if self._loaded else ()) if tensor.name in images]
        if not found:
            return sizes
        return max(tensor.smallest[0] for tensor in found), min(tensor.largest[0] for tensor in found)

    @property
    def memory(self) -> Mapping[str, float]:
        """Purpose -> MiB that this engine holds; empty while it is closed.

        'plan' is the size of the plan, 'tensorrt' what TensorRT took for weights and contexts as far as the driver
        shows it (other processes blur it); 'inputs', 'outputs' and 'activations' are of the pool, all contexts
        together; 'staging' is pinned host memory.
        """
        return self._memory

    @property
    def graphs(self) -> int:
        """CUDA graphs that frames are launched as, of all batch sizes; 0 where anything else varies, or graphs are off
        or can't be captured.
        """
        return sum(lane.graphs for lane in self._lanes)

    def zero_feeds(self, batch: int = 1) -> dict[str, np.ndarray]:
        """As of the base class, but within the profile of an open engine."""
        feeds = super().zero_feeds(batch)
        if self._loaded is not None:
            for tensor in self._loaded.tensors:
                if tensor.is_input:
                    zeros = feeds[tensor.name]
                    feeds[tensor.name] = np.zeros(tensor.nearest(zeros.shape), zeros.dtype)
        return feeds

    def profile_layers(self, runs: int = 20) -> list[tuple[str, float]]:
        """Mean time of each layer at the optimum shapes, in the engine's order; runs on a context of its own, which
        takes its memory for the time being.

        Args:
            runs: how many runs to average, after one that is not counted.

        Returns:
            (layer name, ms) pairs. Their sum is more than the engine takes: TensorRT waits after each layer.
        """
        feeds = {}
        with self._gate.alone():
            if self._loaded is None:
                raise EngineError(f'{self.name}: profile_layers() on an engine that is not open; call open() first')
            trt = compat.load()
            profiler = make_profiler(trt)
            with self._gpu.current():
                lane = self._make_lane(trt, with_graph=False)
                try:
                    for spec in self.inputs:
                        optimum = next(item.optimum for item in self._loaded.tensors if item.name == spec.name)
                        feeds[spec.name] = np.zeros(optimum, spec.dtype)
                    lane.profile(profiler, feeds, runs)
                finally:
                    lane.close()
        return mean_times(profiler.times, runs)

    def _open(self) -> None:
        from isaac_inference.cuda.device import gpu

        settings = self.settings
        trt = compat.load()
        self._gpu = gpu(settings.device)
        plan = self._find_plan()
        if settings.memory_limit_mib:
            self._gpu.pool.limit = settings.memory_limit_mib * _MIB
        with self._gpu.current():
            compat.init_plugins(trt, trt_logger())
            self._loaded = load_plan(trt, trt_logger(), self._gpu, plan, self.card, settings)
            before, _ = self._gpu.memory()
            held = self._gpu.pool.used
            self._lanes = []
            for _ in range(settings.contexts):
                self._lanes.append(self._make_lane(trt, with_graph=settings.cuda_graph))
            after, _ = self._gpu.memory()
            own = max(0, before - after - (self._gpu.pool.used - held)) + self._loaded.device_bytes
        self._gpu.keep(self)  # closed before the context is, also when the process ends
        self._idle = deque(self._lanes)
        sizes = {'plan': self._loaded.plan_bytes, 'tensorrt': own}
        for lane in self._lanes:
            for purpose, size in lane.buffers.sizes.items():
                sizes[purpose] = sizes.get(purpose, 0) + size
        self._memory = MappingProxyType({purpose: size / _MIB for purpose, size in sizes.items()})
        self._device = f'{self._gpu.name} (TensorRT {trt.__version__}, {self._precision()})'

    def _infer(self, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        with self._lane() as lane:
            return lane.infer(feeds)

    def _close(self) -> None:
        if self._gpu is None:
            return
        lanes, self._lanes = self._lanes, []
        self._idle.clear()
        self._memory = MappingProxyType({})
        with self._gpu.current():
            for lane in lanes:
                lane.close()
            del lanes
            self._loaded = None
        self._gpu = None

    @contextlib.contextmanager
    def _lane(self) -> Iterator[Lane]:
        """A lane that no one else has, the one that is idle for longest. There is one: no more threads get
        in than there are lanes.
        """
        lane = self._idle.popleft()
        try:
            with self._gpu.current():
                yield lane
        finally:
            self._idle.append(lane)

    def _make_lane(self, trt: Any, *, with_graph: bool) -> Lane:
        """A lane for one more frame in flight; the GPU's context is current."""
        from isaac_inference.cuda.graph import capture

        loaded = self._loaded
        if loaded is None:
            raise EngineError(f'{self.name}: not open')
        stream = self._gpu.stream(self.settings.priority)

        def make_context() -> Any:
            with TRT_LOG.collect() as errors:
                context = context_without_memory(trt, loaded.engine)
            if context is None:
                if is_out_of_memory(errors):
                    what = f'{self.name}: a context{said(errors)}'
                    raise DeviceMemoryError(what, loaded.plan_bytes, self._gpu.pool.free)
                raise EngineError(f'{self.name}: TensorRT could not make an execution context{said(errors)}')
            return context

        def make_buffers(largest: Mapping[str, Shape]) -> LaneBuffers:
            wanted = [spec.name for spec in self.outputs]
            size = activation_bytes(loaded.engine)
            return LaneBuffers(self._gpu, stream, loaded.tensors, wanted, largest, size, self.name)

        wanted = {spec.name: np.dtype(spec.dtype) for spec in self.outputs}
        graphs = capture if with_graph else None
        return Lane(
            self._gpu, stream, make_context(), loaded.tensors, wanted, make_buffers, graphs, self.name, make_context
        )

    def _precision(self) -> str:
        """The number types of the engine, for people."""
        if self.settings.precision != 'model':
            return self.settings.precision
        try:
            facts = graph_facts(self.card.path)
        except (ImportError, ModelError):  # for a line of text only: the engine is there
            return 'types of the model'
        return 'int8' if facts.quantized else 'fp16' if facts.float16 else 'fp32'
