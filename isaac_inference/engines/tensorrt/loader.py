# SPDX-License-Identifier: Apache-2.0
"""From a model card to a deserialized TensorRT engine, and errors that people can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isaac_inference.engines.tensorrt.build.ensure import build_command, ensure_engine
from isaac_inference.engines.tensorrt.io_tensors import PlanTensor, check_is_model, read_tensors
from isaac_inference.engines.tensorrt.logger import TRT_LOG, is_out_of_memory, said
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import DeviceMemoryError, EngineError
from isaac_inference.models.card.card import ModelCard

_FOREIGN = ('version tag', 'incompatible', 'different version', 'platform', 'compute capability', 'not compatible')


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


def find_plan(card: ModelCard, settings: TensorRtSettings) -> tuple[bytes, str]:
    """The plan of a model from this user's cache, built first where that is allowed, and where it lies.

    Raises:
        EngineError: there is none and `auto_build` is off, with the command that builds it; or the build failed.
    """
    entry = ensure_engine(card, settings)
    return entry.read(), str(entry.path)


def load_plan(
    trt: Any, logger: Any, gpu: Any, plan: bytes, card: ModelCard, settings: TensorRtSettings, origin: str
) -> LoadedPlan:
    """Deserialize a plan on the GPU whose context is current.

    Args:
        trt: the tensorrt module.
        logger: the trt.ILogger that writes to TRT_LOG.
        gpu: the `cuda.device.Gpu`.
        plan: the plan's bytes.
        card: the model that it is of; its inputs and outputs are compared.
        settings: how it was built.
        origin: where the plan came from, for messages.

    Raises:
        DeviceMemoryError: too little memory for it.
        EngineError: an engine of another TensorRT or GPU, a damaged one, or one of another model.
    """
    again = f'remove {origin} and build it again with: {build_command(card, settings)}'
    if not plan:
        raise EngineError(f'{origin}: the engine is empty (0 bytes); {again}')
    room = gpu.pool.free
    if len(plan) > room:
        raise DeviceMemoryError(f'{card.name}: the weights of its TensorRT engine', len(plan), room)
    before, _ = gpu.memory()
    with TRT_LOG.collect() as errors:
        runtime = trt.Runtime(logger)
        if settings.version_compatible:  # such plans carry code; it comes from this user's own cache
            runtime.engine_host_code_allowed = True
        if settings.dla_core >= 0:
            runtime.DLA_core = settings.dla_core
        engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise _load_error(trt, gpu, plan, card, origin, again, errors)
    tensors = read_tensors(engine, card.name)
    check_is_model(tensors, card, f'{card.name} ({origin})')
    after, _ = gpu.memory()
    return LoadedPlan(runtime, engine, tensors, len(plan), max(0, before - after))


def _load_error(
    trt: Any, gpu: Any, plan: bytes, card: ModelCard, origin: str, again: str, errors: list[str]
) -> EngineError:
    """Why a plan could not be deserialized."""
    if is_out_of_memory(errors):
        return DeviceMemoryError(f'{card.name}: loading its TensorRT engine{said(errors)}', len(plan), gpu.pool.free)
    text = ' '.join(errors).lower()
    if any(word in text for word in _FOREIGN):
        what = f'was built by another TensorRT than {trt.__version__}, or for another GPU than {gpu.name}'
    else:
        what = f'is damaged, or was not built by TensorRT {trt.__version__} for {gpu.name}'
    return EngineError(f'{origin}: the engine of {len(plan)} bytes {what}; {again}{said(errors)}')
