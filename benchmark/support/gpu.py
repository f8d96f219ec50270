# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks on a GPU share: the models, their engines, and the bare engine that all is held against."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmark.support.common import ROOT, Options, SkippedError
from benchmark.support.yolo_like import make_model
from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.models import ModelCard, read_card
from isaac_inference.ops.image.raw_image import RawImage

WIDTH, HEIGHT = 1920, 1080
NANO, MEDIUM = 'YOLOX-nano', 'YOLOv8n-sized'


def need_gpu() -> None:
    """Skip where there is no GPU or no TensorRT."""
    if why := why_no_gpu():
        raise SkippedError(why)
    try:
        import tensorrt  # noqa: F401
    except ImportError as error:
        raise SkippedError(f'no TensorRT: {error}') from error


def cards(options: Options, *, batch: int | None = 1) -> dict[str, ModelCard]:
    """The models that are measured; `batch` None leaves their batch open."""
    folder = ROOT / 'build' / 'benchmark' / 'models'
    folder.mkdir(parents=True, exist_ok=True)
    suffix = '' if batch == 1 else '_batch'
    medium = folder / f'yolov8n_sized{suffix}.onnx'
    if not medium.is_file():
        make_model(medium, batch=batch)
    nano = Path(options.model_path())
    if batch is None:
        nano = _open_batch(nano, folder / 'yolox_nano_batch.onnx')
    return {NANO: read_card(str(nano)), MEDIUM: read_card(str(medium))}


def settings(options: Options, **more: Any) -> Any:
    """TensorRT settings of every benchmark: FP16 unless `more` says otherwise."""
    from isaac_inference.engines.tensorrt.settings import TensorRtSettings

    sources = tuple(name for name in options.tactic_sources.split(',') if name)
    return TensorRtSettings(**{'precision': 'fp16', 'preset': options.preset, 'tactic_sources': sources, **more})


def build_note(options: Options) -> str:
    """How the engines were built, for a result's notes."""
    import tensorrt

    chosen = settings(options)
    sources = ', '.join(chosen.tactic_sources) or "TensorRT's own"
    return (
        f'Engines: TensorRT {tensorrt.__version__}, FP16 unless said otherwise, preset {chosen.preset} (optimization '
        f'level {chosen.level}), tactic sources: {sources}.'
    )


def frames(options: Options, count: int = 4) -> list[RawImage]:
    """1080p bgr8 pictures as a message holds them: in pageable memory."""
    return [RawImage.from_array(picture, 'bgr8') for picture in options.photos(WIDTH, HEIGHT, count)]


@contextlib.contextmanager
def pinned_frames(gpu: Any, pictures: list[RawImage]) -> Iterator[list[RawImage]]:
    """The same pictures in pinned memory."""
    from isaac_inference.cuda.memory import pinned

    with gpu.current():
        held = [pinned(gpu, picture.data.shape, np.uint8, 'benchmark picture') for picture in pictures]
    for one, picture in zip(held, pictures, strict=True):
        one.array[:] = picture.data
    try:
        yield [replace(picture, data=one.array) for one, picture in zip(held, pictures, strict=True)]
    finally:
        with gpu.current():
            for one in held:
                one.free()


def clocked(work: Callable[[int], object], count: int, warm_up: int = 20) -> list[float]:
    """Milliseconds of each of `count` calls."""
    for index in range(warm_up):
        work(index)
    found = []
    for index in range(count):
        begin = time.perf_counter()
        work(index)
        found.append((time.perf_counter() - begin) * 1e3)
    return found


def rate(submit: Callable[[int], Any], fetch: Callable[[Any], object], count: int, in_flight: int = 2) -> float:
    """Frames per second with so many in flight."""
    waiting: list[Any] = []
    begin = time.perf_counter()
    for index in range(count):
        if len(waiting) == in_flight:
            fetch(waiting.pop(0))
        waiting.append(submit(index))
    for one in waiting:
        fetch(one)
    return count / (time.perf_counter() - begin)


class BareEngine:
    """A plan with nothing around it: `execute_async_v3` on buffers of its own, and one wait."""

    def __init__(self, gpu: Any, plan: Path, batch: int = 1) -> None:
        import tensorrt as trt

        self._gpu = gpu
        with gpu.current():
            self.stream = gpu.stream()
            self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
            self._engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
            self._context = self._engine.create_execution_context()
            names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
            for name in names:
                shape = tuple(self._engine.get_tensor_shape(name))
                if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT and -1 in shape:
                    self._context.set_input_shape(name, tuple(batch if size == -1 else size for size in shape))
            self._buffers = []
            for name in names:
                shape = tuple(self._context.get_tensor_shape(name))
                nbytes = int(np.prod(shape)) * np.dtype(trt.nptype(self._engine.get_tensor_dtype(name))).itemsize
                self._buffers.append(gpu.pool.allocate(nbytes, f'bare {name}'))
                self.stream.fill(self._buffers[-1].ptr, 0, nbytes)
                self._context.set_tensor_address(name, self._buffers[-1].ptr)
            self.run()
            self.graph: Any = None

    def enqueue(self) -> None:
        """Start one inference; the context must be current."""
        self._context.execute_async_v3(self.stream.handle)

    def run(self, _: int = 0) -> None:
        """One inference from start to end; the context must be current."""
        self.enqueue()
        self.stream.synchronize()

    def run_graph(self, _: int = 0) -> None:
        """The same, launched as one CUDA graph."""
        if self.graph is None:
            from isaac_inference.cuda.graph import capture

            self.graph = capture(self._gpu, self.stream, self.enqueue)
        self.graph.launch(self.stream)
        self.stream.synchronize()

    def rate(self, count: int) -> float:
        """Inferences a second, the next ones always enqueued; the context must be current."""
        begin = time.perf_counter()
        for _ in range(count):
            self.enqueue()
        self.stream.synchronize()
        return count / (time.perf_counter() - begin)

    def close(self) -> None:
        """Give back what it holds."""
        with self._gpu.current():
            if self.graph is not None:
                self.graph.close()
            del self._context, self._engine, self._runtime
            for buffer in self._buffers:
                buffer.free()


def _open_batch(source: Path, target: Path) -> Path:
    """The model with an open batch: its graph computes shapes from the input, so only the declared ones change."""
    model = onnx.load(str(source))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = 'batch'
    del model.graph.value_info[:]
    onnx.save(model, str(target))
    return target
