# SPDX-License-Identifier: Apache-2.0
"""From a plan to a deserialized TensorRT engine, and errors that people can read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from isaac_inference.engines.tensorrt.io_tensors import PlanTensor, check_is_model, read_tensors
from isaac_inference.engines.tensorrt.logger import TRT_LOG, is_out_of_memory, said
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import DeviceMemoryError, EngineError
from isaac_inference.models.card.card import ModelCard

_FOREIGN = ('version tag', 'incompatible', 'different version', 'platform', 'compute capability', 'not compatible')


@dataclass(frozen=True)
class Plan:
    """A plan, TensorRT's serialized engine, as it is handed to who runs it. It is code: only from a source that is
    trusted.

    Attributes:
        content: its bytes.
        origin: where it came from, for messages, such as a path.
        remedy: what a person can do where it can't be used, as the end of a sentence.
    """

    content: bytes = field(repr=False)
    origin: str
    remedy: str = 'build it again'


@dataclass(frozen=True)
class LoadedPlan:
    """A deserialized engine. The runtime has to outlive the engine, and the engine its contexts.

    Attributes:
        runtime: the trt.Runtime.
        engine: the trt.ICudaEngine.
        tensors: its inputs and outputs.
        plan_bytes: size of the plan.
        device_bytes: GPU memory that loading it took, as far as the driver shows it.
    """

    runtime: Any
    engine: Any
    tensors: tuple[PlanTensor, ...]
    plan_bytes: int
    device_bytes: int


def load_plan(trt: Any, logger: Any, gpu: Any, plan: Plan, card: ModelCard, settings: TensorRtSettings) -> LoadedPlan:
    """Deserialize a plan on the GPU whose context is current.

    Args:
        trt: the tensorrt module.
        logger: the trt.ILogger that writes to TRT_LOG.
        gpu: the `cuda.device.Gpu`.
        plan: the plan.
        card: the model that it is of; its inputs and outputs are compared.
        settings: how it was built.

    Raises:
        DeviceMemoryError: too little memory for it.
        EngineError: an engine of another TensorRT or GPU, a damaged one, or one of another model.
    """
    size = len(plan.content)
    if not size:
        raise EngineError(f'{plan.origin}: the engine is empty (0 bytes); {plan.remedy}')
    room = gpu.pool.free
    if size > room:
        raise DeviceMemoryError(f'{card.name}: the weights of its TensorRT engine', size, room)
    before, _ = gpu.memory()
    with TRT_LOG.collect() as errors:
        runtime = trt.Runtime(logger)
        if settings.version_compatible:  # such plans carry code; see `Plan`
            runtime.engine_host_code_allowed = True
        if settings.dla_core >= 0:
            runtime.DLA_core = settings.dla_core
        engine = runtime.deserialize_cuda_engine(plan.content)
    if engine is None:
        raise _load_error(trt, gpu, plan, card, errors)
    tensors = read_tensors(engine, card.name)
    check_is_model(tensors, card, f'{card.name} ({plan.origin})')
    after, _ = gpu.memory()
    return LoadedPlan(runtime, engine, tensors, size, max(0, before - after))


def _load_error(trt: Any, gpu: Any, plan: Plan, card: ModelCard, errors: list[str]) -> EngineError:
    """Why a plan could not be deserialized."""
    size = len(plan.content)
    if is_out_of_memory(errors):
        return DeviceMemoryError(f'{card.name}: loading its TensorRT engine{said(errors)}', size, gpu.pool.free)
    text = ' '.join(errors).lower()
    if any(word in text for word in _FOREIGN):
        what = f'was built by another TensorRT than {trt.__version__}, or for another GPU than {gpu.name}'
    else:
        what = f'is damaged, or was not built by TensorRT {trt.__version__} for {gpu.name}'
    return EngineError(f'{plan.origin}: the engine of {size} bytes {what}; {plan.remedy}{said(errors)}')
