# SPDX-License-Identifier: Apache-2.0
"""Energy cost of an inference, from NVML, NVIDIA's management library."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

_SAMPLE_S = 0.02
_MIN_SECONDS = 0.2  # a shorter run says nothing: NVML updates its figures about ten times a second


@dataclass(frozen=True)
class PowerReading:
    """Power while a call ran repeatedly; if it can't be read, the figures are None and `reason` says why.

    Attributes:
        watts: mean power of the whole GPU, idle power included.
        millijoules: energy of one call.
        calls, seconds: length of the measurement.
        method: 'energy counter' or 'power samples'.
        reason: why there is no figure.
    """

    watts: float | None = None
    millijoules: float | None = None
    calls: int = 0
    seconds: float = 0.0
    method: str = ''
    reason: str = ''

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure_power(call: Callable[[], object], device: int | None, seconds: float = 1.0) -> PowerReading:
    """Runs `call` for some time and reads the GPU's power meanwhile.

    Args:
        call: returns when its work is done.
        device: the GPU's CUDA ordinal; None for an engine that doesn't run on one.
        seconds: how long, at least 0.2.
    """
    if device is None:
        return PowerReading(reason='only available for NVIDIA GPUs, and this engine does not run on one')
    try:
        import pynvml
    except ImportError:
        return PowerReading(reason='needs the Python module pynvml; pip install nvidia-ml-py')
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return PowerReading(reason=f'NVML does not start: {error}')
    try:
        handle = _handle(pynvml, device)
        try:
            return _by_counter(pynvml, handle, call, max(seconds, _MIN_SECONDS))
        except pynvml.NVMLError:  # before Volta there is no counter
            return _by_samples(pynvml, handle, call, max(seconds, _MIN_SECONDS))
    except pynvml.NVMLError as error:
        return PowerReading(reason=f'NVML does not report the power of GPU {device}: {error}')
    finally:
        pynvml.nvmlShutdown()


def _handle(pynvml: Any, device: int) -> Any:
    """NVML numbers all GPUs of the machine, CUDA those that CUDA_VISIBLE_DEVICES names."""
    visible = [entry.strip() for entry in os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if entry.strip()]
    if device < len(visible):
        if not visible[device].isdigit():
            return pynvml.nvmlDeviceGetHandleByUUID(visible[device])
        device = int(visible[device])
    return pynvml.nvmlDeviceGetHandleByIndex(device)


def _by_counter(pynvml: Any, handle: Any, call: Callable[[], object], seconds: float) -> PowerReading:
    before = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)  # mJ since the driver was loaded
    calls, elapsed = _repeat(call, seconds)
    spent = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) - before
    if spent <= 0:
        return PowerReading(calls=calls, seconds=elapsed, reason='the energy counter of this GPU does not change')
    return PowerReading(spent / 1e3 / elapsed, spent / calls, calls, elapsed, 'energy counter')


def _by_samples(pynvml: Any, handle: Any, call: Callable[[], object], seconds: float) -> PowerReading:
    samples = [pynvml.nvmlDeviceGetPowerUsage(handle)]  # mW
    done = threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLE_S):
            samples.append(pynvml.nvmlDeviceGetPowerUsage(handle))

    sampler = threading.Thread(target=sample, name='power', daemon=True)
    sampler.start()
    try:
        calls, elapsed = _repeat(call, seconds)
    finally:
        done.set()
        sampler.join()
    watts = sum(samples) / len(samples) / 1e3
    return PowerReading(watts, 1e3 * watts * elapsed / calls, calls, elapsed, 'power samples')


def _repeat(call: Callable[[], object], seconds: float) -> tuple[int, float]:
    start = time.perf_counter()
    calls = 0
    while (elapsed := time.perf_counter() - start) < seconds:
        call()
        calls += 1
    return calls, elapsed
