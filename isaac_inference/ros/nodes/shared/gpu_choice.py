# SPDX-License-Identifier: Apache-2.0
"""Where a stage runs: the parameter, and the GPU it selects."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from isaac_inference.cuda.availability import why_no_gpu
from isaac_inference.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    from isaac_inference.cuda.device import Gpu

T = TypeVar('T')


class Device(str, Enum):
    """What a stage runs on; 'auto' uses the GPU where that saves a copy, else the CPU."""

    AUTO = 'auto'
    CPU = 'cpu'
    CUDA = 'cuda'


def stage_on_gpu(
    device: Device, ordinal: int, make: Callable[[Gpu], T | None], warn: Callable[[str], None]
) -> T | None:
    """The GPU version of a stage, or None where the CPU version is to be used.

    Args:
        device: the requested device.
        ordinal: which GPU.
        make: makes the stage; with 'auto', a DeviceError from it means the CPU, with a warning.
        warn: takes that warning.

    Raises:
        ConfigError: the GPU was requested and there is none.
        DeviceError: the GPU was requested and can't run the stage.
    """
    if device is Device.CPU:
        return None
    why = why_no_gpu()
    if why and device is Device.CUDA:
        raise ConfigError(f'parameter device: got "cuda", but {why}; set it to "auto" or "cpu" to run without a GPU')
    if why:
        return None
    from isaac_inference.cuda.device import gpu  # needs PyCUDA

    try:
        return make(gpu(ordinal))
    except DeviceError as error:
        if device is Device.CUDA:
            raise
        warn(f'this stage runs on the CPU: {error}')
        return None
