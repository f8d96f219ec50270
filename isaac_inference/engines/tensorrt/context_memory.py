# SPDX-License-Identifier: Apache-2.0
"""Execution contexts whose activation memory is ours: three names that TensorRT 8.6, 10 and 11 have differently."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

NOT_EVERYWHERE: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        'ICudaEngine.device_memory_size': (8, 10),
        'ICudaEngine.device_memory_size_v2': (10, 11),
        'ICudaEngine.create_execution_context_without_device_memory': (8, 10),
        'ExecutionContextAllocationStrategy.USER_MANAGED': (10, 11),
        'IExecutionContext.set_device_memory': (10, 11),
    }
)
"""TensorRT names that are used here and not in all versions, with the major versions that have them."""


def activation_bytes(engine: Any) -> int:
    """Bytes of device memory that one context of an engine needs while it runs."""
    if hasattr(engine, 'device_memory_size_v2'):
        return int(engine.device_memory_size_v2)
    return int(engine.device_memory_size)


def context_without_memory(trt: Any, engine: Any) -> Any:
    """A new context of an engine, None where TensorRT fails; it can run once it has got memory."""
    strategies = getattr(trt, 'ExecutionContextAllocationStrategy', None)
    if strategies is not None:
        return engine.create_execution_context(strategies.USER_MANAGED)
    return engine.create_execution_context_without_device_memory()


def give_memory(context: Any, address: int, nbytes: int) -> None:
    """Let a context use device memory from `address` on (aligned to 256 bytes) while it runs."""
    if hasattr(context, 'set_device_memory'):
        context.set_device_memory(address, nbytes)
    else:
        context.device_memory = address
